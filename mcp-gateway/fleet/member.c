#include "mcp-gateway/fleet/member.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aisbx/v1/worker_service.rpc.h"
#include "base/err.h"
#include "base/log.h"
#include "grpc/health/v1/health.pb-c.h"
#include "mcp-gateway/fleet/fleet_internal.h"

enum {
    INFO_MS = 5000, /* a worker may take to say who it is */
    LOAD_MS = 200,  /* between two words about its load */
    AGAIN_MS = 250, /* after the first loss; doubled for each that follows */
    AGAIN_MAX_MS = 4000,
};

const char *const sb_member_states[SB_MEMBER_STATES_] = {"connecting", "serving", "draining",
                                                         "lost"};

#define TO(state) (1U << SB_MEMBER_##state)
static const unsigned moves[SB_MEMBER_STATES_] = {
    [SB_MEMBER_CONNECTING] = TO(SERVING) | TO(DRAINING) | TO(LOST),
    [SB_MEMBER_SERVING] = TO(DRAINING) | TO(LOST),
    [SB_MEMBER_DRAINING] = TO(SERVING) | TO(LOST),
    [SB_MEMBER_LOST] = TO(CONNECTING),
};

static void arm(struct sb_member *member, unsigned ms)
{
    const struct timeval tv = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
    (void)event_add(member->timer, &tv);
}

static void move(struct sb_member *member, enum sb_member_state state)
{
    if (member->state == state || (moves[member->state] & 1U << state) == 0) {
        return;
    }
    bool was_up = sb_fleet_is_up(member);
    member->state = state;
    if (was_up || sb_fleet_is_up(member)) { /* not each attempt */
        SB_LOG_INFO("worker", "address=%s id=%s state=%s", member->address, member->id,
                    sb_member_states[state]);
    }
    if (state == SB_MEMBER_SERVING) {
        member->n_losses = 0;
    }
    sb_fleet_changed(member->fleet);
}

/* ---- how it is ---- */

static void settle(struct sb_member *member)
{
    if (member->has_info && member->has_load && member->load != NULL) {
        move(member,
             member->is_draining || member->is_ill ? SB_MEMBER_DRAINING : SB_MEMBER_SERVING);
    }
}

/* Whatever still comes of it is not looked at. */
static void leave(struct sb_rpc_stream **stream)
{
    if (*stream != NULL) {
        sb_rpc_stream_cancel(*stream);
        *stream = NULL;
    }
}

static void lose(struct sb_member *member, const struct sb_err *err)
{
    if (member->state == SB_MEMBER_LOST) {
        return;
    }
    unsigned wait_ms = (unsigned)AGAIN_MS << (member->n_losses < 4 ? member->n_losses : 4);
    SB_LOG(member->n_losses == 0 ? SB_LOG_LEVEL_WARN : SB_LOG_LEVEL_DEBUG, "worker lost",
           "address=%s id=%s why=%s", member->address, member->id, err->text);
    member->n_losses++;
    member->has_info = false;
    member->has_load = false;
    member->is_ill = false;
    leave(&member->info);
    leave(&member->load);
    leave(&member->health);
    move(member, SB_MEMBER_LOST);
    arm(member, wait_ms < AGAIN_MAX_MS ? wait_ms : AGAIN_MAX_MS);
}

static void on_info(struct sb_rpc_stream *stream, const ProtobufCMessage *message, void *user)
{
    struct sb_member *member = user;
    const Aisbx__V1__GetInfoResponse *info = (const void *)message;
    if (stream != member->info) {
        return;
    }
    if (!sb_id_valid(sb_str_from(info->worker_id), "wk_")) {
        SB_LOG_WARN("no worker of ours", "address=%s", member->address);
        return;
    }
    (void)snprintf(member->id, sizeof member->id, "%s", info->worker_id);
    member->has_info = true;
    settle(member);
}

static void on_info_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    struct sb_member *member = user;
    if (stream != member->info) {
        return;
    }
    member->info = NULL;
    if (err->code != SB_OK) {
        lose(member, err);
    }
}

static void on_load(struct sb_rpc_stream *stream, const ProtobufCMessage *message, void *user)
{
    struct sb_member *member = user;
    const Aisbx__V1__WatchLoadResponse *load = (const void *)message;
    if (stream != member->load) {
        return;
    }
    member->has_load = true;
    member->is_draining = load->draining;
    member->slots = load->slots;
    member->active = load->active_sandboxes;
    member->available_memory = load->available_memory_bytes;
    member->n_sent = 0;
    settle(member);
    sb_rpc_stream_read(stream);
}

static void on_load_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    struct sb_member *member = user;
    struct sb_err ended;
    if (stream != member->load) {
        return;
    }
    member->load = NULL;
    if (err->code == SB_OK) {
        (void)sb_err_set(&ended, SB_UNAVAILABLE, "it ended the stream of its load");
        err = &ended;
    }
    lose(member, err);
}

static void on_health(struct sb_rpc_stream *stream, const ProtobufCMessage *message, void *user)
{
    struct sb_member *member = user;
    const Grpc__Health__V1__HealthCheckResponse *health = (const void *)message;
    if (stream != member->health) {
        return;
    }
    member->is_ill =
        health->status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
    settle(member);
    sb_rpc_stream_read(stream);
}

/* A worker on a unix socket has none: its load says what there is to say. */
static void on_health_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    (void)err;
    struct sb_member *member = user;
    if (stream == member->health) {
        member->health = NULL;
        member->is_ill = false;
    }
}

static const struct sb_rpc_stream_callbacks info_callbacks = {.message = on_info,
                                                              .done = on_info_done};
static const struct sb_rpc_stream_callbacks load_callbacks = {.message = on_load,
                                                              .done = on_load_done};
static const struct sb_rpc_stream_callbacks health_callbacks = {.message = on_health,
                                                                .done = on_health_done};

static int ask(struct sb_member *member, struct sb_err *err)
{
    static const struct sb_rpc_method health = {
        .service = "grpc.health.v1.Health",
        .name = "Watch",
        .path = "/grpc.health.v1.Health/Watch",
        .in = &grpc__health__v1__health_check_request__descriptor,
        .out = &grpc__health__v1__health_check_response__descriptor,
        .flags = SB_RPC_SERVER_STREAM,
    };
    static const Aisbx__V1__GetInfoRequest info = AISBX__V1__GET_INFO_REQUEST__INIT;
    Grpc__Health__V1__HealthCheckRequest all;
    Aisbx__V1__WatchLoadRequest load = AISBX__V1__WATCH_LOAD_REQUEST__INIT;
    struct sb_rpc_channel *channel = member->line.connect.channel;
    struct sb_rpc_stream_options options = member->line.connect.options;
    load.interval_ms = LOAD_MS;
    grpc__health__v1__health_check_request__init(&all);
    if (sb_rpc_stream_start(
            channel,
            &aisbx__v1__worker_service__methods[AISBX__V1__WORKER_SERVICE__METHOD_WATCH_LOAD],
            &load.base, &options, &load_callbacks, member, &member->load, err) < 0) {
        return -1;
    }
    sb_rpc_stream_read(member->load);
    if (sb_rpc_stream_start(channel, &health, &all.base, &options, &health_callbacks, member,
                            &member->health, err) < 0) {
        return -1;
    }
    sb_rpc_stream_read(member->health);
    options.timeout_ms = INFO_MS;
    return sb_rpc_stream_start(
        channel, &aisbx__v1__worker_service__methods[AISBX__V1__WORKER_SERVICE__METHOD_GET_INFO],
        &info.base, &options, &info_callbacks, member, &member->info, err);
}

/* Calls that go on keep their channel: it connects by itself, and a worker that stops lets them. */
static void connect_anew(struct sb_member *member)
{
    struct sb_err err;
    if (member->n_legs == 0) {
        sb_line_close(&member->line);
    }
    const struct sb_connect_options options = {
        .address = member->address,
        .key = member->fleet->options.key,
        .tls_name = member->name[0] == '\0' ? NULL : member->name,
        .mode = SB_CONNECT_PRESENT,
        .lends_nothing = true,
    };
    move(member, SB_MEMBER_CONNECTING);
    if ((member->line.connect.channel == NULL && sb_line_open(&member->line, &options, &err) < 0) ||
        ask(member, &err) < 0) {
        lose(member, &err);
    }
    sb_line_rearm(&member->line);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_member *member = ctx;
    if (sb_member_is_over(member)) {
        sb_fleet_forget(member->fleet, member);
    } else if (member->is_named) {
        connect_anew(member);
    } else {
        arm(member, AGAIN_MAX_MS); /* calls end there */
    }
}

bool sb_member_is_over(const struct sb_member *member)
{
    return !member->is_named && member->n_legs == 0 &&
           (member->state == SB_MEMBER_LOST || member->state == SB_MEMBER_CONNECTING);
}

/* ---- life ---- */

int sb_member_new(struct sb_fleet *fleet,
                  const char *address,
                  const char *name,
                  struct sb_member **ret_member,
                  struct sb_err *err)
{
    struct sb_member *member = calloc(1, sizeof *member);
    if (member == NULL) {
        return sb_err_oom(err);
    }
    member->fleet = fleet;
    (void)snprintf(member->address, sizeof member->address, "%s", address);
    (void)snprintf(member->name, sizeof member->name, "%s", name == NULL ? "" : name);
    member->state = SB_MEMBER_CONNECTING;
    member->is_named = true;
    member->available_memory = UINT64_MAX;
    sb_list_init(&member->legs);
    member->timer = event_new(fleet->options.base, -1, 0, on_timer, member);
    if (member->timer == NULL || sb_line_init(&member->line, fleet->options.base, err) < 0) {
        sb_member_free(member);
        return sb_err_oom(err);
    }
    event_active(member->timer, EV_TIMEOUT, 0);
    *ret_member = member;
    return 0;
}

void sb_member_free(struct sb_member *member)
{
    sb_list_remove(&member->node);
    if (member->timer != NULL) {
        (void)event_del(member->timer);
    }
    sb_line_done(&member->line);
    if (member->timer != NULL) {
        event_free(member->timer);
    }
    free(member);
}

/* ---- legs ---- */

static void on_message(struct sb_rpc_stream *stream, const ProtobufCMessage *message, void *user)
{
    (void)stream;
    struct sb_leg *leg = user;
    leg->callbacks->message(leg, message, leg->user);
}

static void on_drained(struct sb_rpc_stream *stream, void *user)
{
    (void)stream;
    struct sb_leg *leg = user;
    if (leg->callbacks->drained != NULL) {
        leg->callbacks->drained(leg, leg->user);
    }
}

static void on_accepted(struct sb_rpc_stream *stream, void *user)
{
    (void)stream;
    struct sb_leg *leg = user;
    if (leg->callbacks->accepted != NULL) {
        leg->callbacks->accepted(leg, leg->user);
    }
}

static void on_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    (void)stream;
    struct sb_leg *leg = user;
    sb_list_remove(&leg->node);
    leg->member->n_legs--;
    leg->callbacks->done(leg, err, leg->user);
}

static const struct sb_rpc_stream_callbacks leg_callbacks = {
    .message = on_message,
    .drained = on_drained,
    .accepted = on_accepted,
    .done = on_done,
};

int sb_leg_start(struct sb_leg *leg,
                 struct sb_member *member,
                 const struct sb_rpc_method *method,
                 const ProtobufCMessage *message,
                 const struct sb_rpc_stream_options *options,
                 struct sb_err *err)
{
    if (member->line.connect.channel == NULL || member->line.is_closing) {
        return sb_err_set(err, SB_UNAVAILABLE, "worker %s is not connected", member->address);
    }
    if (sb_rpc_stream_start(member->line.connect.channel, method, message, options, &leg_callbacks,
                            leg, &leg->stream, err) < 0) {
        return -1;
    }
    leg->member = member;
    sb_list_append(&member->legs, &leg->node);
    member->n_legs++;
    sb_line_rearm(&member->line);
    return 0;
}

void sb_leg_read(struct sb_leg *leg)
{
    sb_rpc_stream_read(leg->stream);
    sb_line_rearm(&leg->member->line);
}

bool sb_leg_send(struct sb_leg *leg, const ProtobufCMessage *message)
{
    bool has_room = sb_rpc_stream_send(leg->stream, message);
    sb_line_rearm(&leg->member->line);
    return has_room;
}

void sb_leg_half_close(struct sb_leg *leg)
{
    sb_rpc_stream_half_close(leg->stream);
    sb_line_rearm(&leg->member->line);
}

void sb_leg_cancel(struct sb_leg *leg)
{
    sb_rpc_stream_cancel(leg->stream);
    sb_line_rearm(&leg->member->line);
}

const char *sb_leg_trailer(const struct sb_leg *leg, const char *key)
{
    size_t len = 0;
    return sb_rpc_stream_trailer(leg->stream, key, &len);
}
