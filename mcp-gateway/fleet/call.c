#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "mcp-gateway/fleet/fleet_internal.h"
#include "mcp-gateway/fleet/merge.h"
#include "mcp-gateway/fleet/pbpath.h"
#include "mcp-gateway/fleet/rates.h"
#include "proto/client/message.h"

static const char lost[] = "worker_lost";

/* ---- the end ---- */

static void drop_pending(struct sb_fleet_call *call)
{
    for (struct sb_list *node; (node = sb_list_pop(&call->pending)) != NULL;) {
        struct sb_pending *pending = SB_LIST_ENTRY(node, struct sb_pending, node);
        protobuf_c_message_free_unpacked(pending->message, NULL);
        free(pending);
    }
    call->n_pending = 0;
}

static void call_free(struct sb_fleet_call *call)
{
    sb_list_remove(&call->node);
    drop_pending(call);
    if (call->timer != NULL) {
        event_free(call->timer);
    }
    if (call->message != NULL) {
        protobuf_c_message_free_unpacked(call->message, NULL);
    }
    sb_claim_free(call->claim);
    sb_rates_ask_free(call->rate);
    sb_merge_free(call->merge);
    free(call->metadata);
    free(call);
}

void sb_fleet_finish(struct sb_fleet_call *call, const struct sb_err *err)
{
    call->has_leg = false;
    call->callbacks->done(call, err, call->user);
    call_free(call);
}

void sb_fleet_fail(struct sb_fleet_call *call, const struct sb_err *err)
{
    if (!call->is_failing) {
        call->is_failing = true;
        call->is_waiting = false;
        call->failure = *err;
        event_active(call->timer, EV_TIMEOUT, 0);
    }
}

void sb_fleet_fail_lost(struct sb_fleet_call *call, enum sb_code code, const char *fmt, ...)
{
    struct sb_err err;
    char text[SB_ERR_TEXT_SIZE];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)sb_err_set(&err, code, "%s: %s", lost, text);
    call->reason = lost;
    sb_fleet_fail(call, &err);
}

const char *sb_fleet_trailer(const struct sb_fleet_call *call, const char *key)
{
    const char *own = strcmp(key, "x-aisbx-reason") == 0   ? call->reason
                      : strcmp(key, "retry-after-ms") == 0 ? call->retry_ms
                                                           : NULL;
    own = own != NULL || call->rate == NULL ? own : sb_rates_trailer(call->rate, key);
    return own != NULL || call->ended == NULL ? own : sb_leg_trailer(call->ended, key);
}

/* ---- waiting ---- */

void sb_fleet_fail_unavailable(struct sb_fleet_call *call, const char *text)
{
    struct sb_err err;
    call->retry_ms = "1000";
    (void)sb_err_set(&err, SB_UNAVAILABLE, "%s", text);
    sb_fleet_fail(call, &err);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_fleet_call *call = ctx;
    if (call->is_failing) {
        sb_fleet_finish(call, &call->failure);
    } else if (call->merge != NULL) {
        sb_merge_due(call);
    } else if (call->is_waiting) {
        struct sb_err err;
        bool is_late = call->deadline_ms != 0 && sb_clock_mono_ms() >= call->deadline_ms;
        call->retry_ms = "1000";
        (void)sb_err_set(&err, is_late ? SB_DEADLINE : SB_UNAVAILABLE,
                         "workers are still being connected; try again");
        sb_fleet_finish(call, &err);
    }
}

void sb_fleet_wait(struct sb_fleet_call *call)
{
    if (call->is_waiting || call->is_failing) {
        return;
    }
    uint64_t ms = SB_FLEET_WAIT_MS;
    uint64_t now_ms = sb_clock_mono_ms();
    if (call->deadline_ms != 0 && call->deadline_ms < now_ms + ms) {
        ms = call->deadline_ms > now_ms ? call->deadline_ms - now_ms : 1;
    }
    const struct timeval tv = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
    call->is_waiting = true;
    (void)event_add(call->timer, &tv);
}

void sb_fleet_stop_waiting(struct sb_fleet_call *call)
{
    if (call->is_waiting) {
        call->is_waiting = false;
        (void)event_del(call->timer);
    }
}

/* ---- one worker ---- */

struct sb_rpc_stream_options sb_fleet_stream_options(const struct sb_fleet_call *call)
{
    uint64_t now_ms = sb_clock_mono_ms();
    return (struct sb_rpc_stream_options){
        .timeout_ms = call->deadline_ms == 0        ? 0
                      : call->deadline_ms <= now_ms ? 1
                                                    : call->deadline_ms - now_ms,
        .metadata = call->metadata,
        .n_metadata = call->n_metadata,
    };
}

static void on_message(struct sb_leg *leg, const ProtobufCMessage *message, void *user)
{
    (void)leg;
    struct sb_fleet_call *call = user;
    call->has_begun = true;
    call->callbacks->message(call, message, call->user);
}

static void on_drained(struct sb_leg *leg, void *user)
{
    (void)leg;
    struct sb_fleet_call *call = user;
    call->callbacks->drained(call, call->user);
}

static void on_accepted(struct sb_leg *leg, void *user)
{
    (void)leg;
    struct sb_fleet_call *call = user;
    call->has_begun = true;
    call->callbacks->accepted(call, call->user);
}

/* Its worker tells its name with each failure of its own (api_gate.c). */
bool sb_fleet_is_loss(const struct sb_leg *leg, const struct sb_err *err)
{
    return (err->code == SB_UNAVAILABLE || err->code == SB_CANCELLED || err->code == SB_INTERNAL) &&
           sb_leg_trailer(leg, "x-aisbx-worker") == NULL;
}

/* The worker has done nothing, and another may: true when one is asked. */
static bool go_on_elsewhere(struct sb_fleet_call *call, const struct sb_leg *leg)
{
    if (call->has_begun || call->is_cancelled || call->message == NULL || call->fleet->is_closing ||
        call->n_tried == SB_FLEET_TRIES || sb_leg_trailer(leg, "x-aisbx-elsewhere") == NULL) {
        return false;
    }
    call->tried[call->n_tried++] = leg->member;
    call->has_leg = false;
    if (!sb_claim_release(call)) {
        sb_fleet_route(call);
    }
    return true;
}

static void on_done(struct sb_leg *leg, const struct sb_err *err, void *user)
{
    struct sb_fleet_call *call = user;
    struct sb_err told;
    if (call->way->otherwise == SB_WAY_PLACE && err->code != SB_OK && go_on_elsewhere(call, leg)) {
        return;
    }
    if (!call->is_cancelled && !call->fleet->is_closing && sb_fleet_is_loss(leg, err)) {
        call->reason = lost;
        (void)sb_err_set(&told, SB_UNAVAILABLE,
                         "%s: the connection to worker %s broke; how far this got nobody knows "
                         "(%s)",
                         lost, leg->member->id, err->text);
        err = &told;
    }
    call->ended = leg;
    sb_rates_learn(call, leg, err);
    sb_fleet_finish(call, err);
}

static const struct sb_leg_callbacks leg_callbacks = {
    .message = on_message,
    .drained = on_drained,
    .accepted = on_accepted,
    .done = on_done,
};

static bool send_pending(struct sb_fleet_call *call)
{
    bool has_room = true;
    SB_FOREACH (node, &call->pending) {
        has_room = sb_leg_send(&call->leg, SB_LIST_ENTRY(node, struct sb_pending, node)->message);
    }
    drop_pending(call);
    return has_room;
}

/* The channel is known to be broken: nothing was sent. */
static void
not_begun(struct sb_fleet_call *call, struct sb_member *member, const struct sb_err *err)
{
    if (call->way->otherwise == SB_WAY_PLACE && call->n_tried < SB_FLEET_TRIES &&
        err->code == SB_UNAVAILABLE) {
        call->tried[call->n_tried++] = member;
        if (!sb_claim_release(call)) {
            sb_fleet_wait(call); /* and routed again with the news */
            sb_fleet_changed(call->fleet);
        }
        return;
    }
    if (err->code == SB_UNAVAILABLE) {
        sb_fleet_fail_lost(call, SB_UNAVAILABLE, "%s", err->text);
    } else {
        sb_fleet_fail(call, err);
    }
}

void sb_fleet_begin(struct sb_fleet_call *call, struct sb_member *member)
{
    struct sb_err err;
    const struct sb_rpc_stream_options options = sb_fleet_stream_options(call);
    call->leg = (struct sb_leg){.callbacks = &leg_callbacks, .user = call};
    if (call->way->otherwise == SB_WAY_PLACE) {
        member->n_sent++;
    }
    if (sb_leg_start(&call->leg, member, call->method, call->message, &options, &err) < 0) {
        not_begun(call, member, &err);
        return;
    }
    call->has_leg = true;
    sb_fleet_stop_waiting(call);
    bool has_room = send_pending(call);
    if (call->is_half_closed) {
        sb_leg_half_close(&call->leg);
    } else if (call->owes_drained && has_room) {
        call->owes_drained = false;
        call->callbacks->drained(call, call->user);
    }
    if (call->wants_read) {
        call->wants_read = false;
        sb_leg_read(&call->leg);
    }
}

/* ---- which ---- */

static const ProtobufCMessage *says(const struct sb_fleet_call *call)
{
    return call->message != NULL ? call->message
           : sb_list_is_empty(&call->pending)
               ? NULL
               : SB_LIST_ENTRY(call->pending.next, struct sb_pending, node)->message;
}

static void to_owner(struct sb_fleet_call *call, struct sb_str id, struct sb_str tag)
{
    struct sb_member *member = sb_fleet_by_tag(call->fleet, tag);
    if (member != NULL && sb_fleet_is_up(member)) {
        sb_fleet_begin(call, member);
    } else if (member == NULL && !sb_fleet_is_settled(call->fleet)) {
        sb_fleet_wait(call);
    } else {
        sb_fleet_fail_lost(call, member == NULL ? SB_NOT_FOUND : SB_UNAVAILABLE,
                           "%.*s was on a worker that is %s", SB_STR_ARG(id),
                           member == NULL ? "no longer there, and went with it"
                                          : "not reached any more");
    }
}

static bool was_tried(const struct sb_fleet_call *call, const struct sb_member *member)
{
    for (unsigned i = 0; i < call->n_tried; i++) {
        if (call->tried[i] == member) {
            return true;
        }
    }
    return false;
}

struct choice {
    struct sb_place_worker workers[SB_MEMBERS_MAX];
    struct sb_member *members[SB_MEMBERS_MAX];
    size_t n;
    size_t n_able;
};

static void fill(const struct sb_fleet_call *call, struct choice *choice)
{
    *choice = (struct choice){.n = 0};
    SB_FOREACH (node, &call->fleet->members) {
        struct sb_member *member = SB_LIST_ENTRY(node, struct sb_member, node);
        bool can_take =
            member->state == SB_MEMBER_SERVING && member->is_named && !was_tried(call, member);
        choice->members[choice->n] = member;
        choice->workers[choice->n++] =
            (struct sb_place_worker){.id = member->id,
                                     .can_take = can_take,
                                     .slots = member->slots,
                                     .taken = member->active + member->n_sent,
                                     .available_memory = member->available_memory};
        choice->n_able += can_take;
    }
}

static void nowhere(struct sb_fleet_call *call)
{
    if (call->n_tried > 0) {
        sb_fleet_fail_unavailable(call, "no worker has room: each that was asked refused");
    } else if (sb_fleet_is_settled(call->fleet)) {
        sb_fleet_fail_unavailable(call, "no worker serves: those that there are drain or are lost");
    } else {
        sb_fleet_wait(call);
    }
}

/* The sandbox of a tenant's own is where that caller's requests always go. */
const char *sb_fleet_caller(const struct sb_fleet_call *call)
{
    for (size_t i = 0; i < call->n_metadata; i++) {
        if (strcmp(call->metadata[i].key, "x-api-key") == 0 ||
            strcmp(call->metadata[i].key, "x-aisbx-identity") == 0) {
            return call->metadata[i].value;
        }
    }
    return "";
}

static void to_place(struct sb_fleet_call *call)
{
    struct choice choice;
    int second = SB_PLACE_NOWHERE;
    const char *request_id = sb_pbpath_text(says(call), "request_id");
    if (request_id == NULL) {
        request_id = sb_pbpath_text(says(call), "start.request_id");
    }
    fill(call, &choice);
    if (choice.n_able == 0) {
        nowhere(call);
        return;
    }
    if (sb_pbpath_bool(says(call), "home")) {
        int at = sb_place_of(choice.workers, choice.n, sb_fleet_caller(call), &second);
        sb_fleet_begin(call, choice.members[at]);
    } else if (request_id != NULL && request_id[0] != '\0') {
        int at = sb_place_of(choice.workers, choice.n, request_id, &second);
        if (second >= 0) {
            sb_claim_ask(call, choice.members[second], choice.members[at]);
        } else if (call->fleet->options.shared != NULL) { /* there may have been others */
            sb_claim_ask(call, choice.members[at], choice.members[at]);
        } else {
            sb_fleet_begin(call, choice.members[at]); /* nobody else could have it */
        }
    } else {
        int at = sb_place_pick(choice.workers, choice.n, sb_fleet_random(call->fleet));
        sb_fleet_begin(call, choice.members[at]);
    }
}

static void to_any(struct sb_fleet_call *call)
{
    struct choice choice;
    fill(call, &choice);
    int at = sb_place_pick(choice.workers, choice.n, sb_fleet_random(call->fleet));
    if (sb_pbpath_bool(says(call), "home")) {
        int unused = 0;
        at = sb_place_of(choice.workers, choice.n, sb_fleet_caller(call), &unused);
    }
    for (size_t i = 0; at < 0 && i < choice.n; i++) {
        at = choice.members[i]->state == SB_MEMBER_DRAINING ? (int)i : at;
    }
    if (at >= 0) {
        sb_fleet_begin(call, choice.members[at]);
    } else {
        nowhere(call);
    }
}

static void to_none(struct sb_fleet_call *call)
{
    struct sb_err err;
    (void)sb_err_set(&err, SB_INVALID, "the gateway is before many workers: %s", call->way->why);
    sb_fleet_fail(call, &err);
}

void sb_fleet_route(struct sb_fleet_call *call)
{
    static void (*const elses[])(struct sb_fleet_call * call) = {
        [SB_WAY_ANY] = to_any,
        [SB_WAY_PLACE] = to_place,
        [SB_WAY_MERGE] = sb_merge_start,
        [SB_WAY_NONE] = to_none,
    };
    struct sb_str tag;
    if (call->has_leg || call->is_failing || sb_rates_ask(call)) {
        return;
    }
    struct sb_str id = sb_way_id(call->way, says(call), &tag);
    if (tag.len > 0) {
        to_owner(call, id, tag);
    } else {
        elses[call->way->otherwise](call);
    }
}

/* ---- what a caller does ---- */

static int copy_metadata(struct sb_fleet_call *call,
                         const struct sb_fleet_request *request,
                         struct sb_err *err)
{
    size_t bytes = 0;
    for (size_t i = 0; i < request->n_metadata; i++) {
        bytes += strlen(request->metadata[i].key) + 1 + request->metadata[i].len + 1;
    }
    call->metadata = malloc(request->n_metadata * sizeof *call->metadata + bytes + 1);
    if (call->metadata == NULL) {
        return sb_err_oom(err);
    }
    char *at = (char *)(call->metadata + request->n_metadata);
    for (size_t i = 0; i < request->n_metadata; i++) {
        const struct sb_rpc_metadata *from = &request->metadata[i];
        struct sb_rpc_metadata *to = &call->metadata[call->n_metadata++];
        to->key = at;
        at = stpcpy(at, from->key) + 1;
        memcpy(at, from->value, from->len);
        at[from->len] = '\0';
        to->value = at;
        to->len = from->len;
        at += from->len + 1;
    }
    return 0;
}

static int
fill_call(struct sb_fleet_call *call, const struct sb_fleet_request *request, struct sb_err *err)
{
    sb_list_init(&call->pending);
    call->method = request->method;
    call->way = sb_way_find(request->method->path);
    if (call->way == NULL) {
        return sb_err_set(err, SB_UNIMPLEMENTED, "%s: not through a gateway before many workers",
                          request->method->path);
    }
    call->deadline_ms = request->timeout_ms == 0 ? 0 : sb_clock_mono_ms() + request->timeout_ms;
    call->timer = event_new(call->fleet->options.base, -1, 0, on_timer, call);
    if (call->timer == NULL) {
        return sb_err_oom(err);
    }
    if (request->message != NULL &&
        (call->message = sb_message_copy(request->message, err)) == NULL) {
        return -1;
    }
    return copy_metadata(call, request, err);
}

int sb_fleet_start(struct sb_fleet *fleet,
                   const struct sb_fleet_request *request,
                   const struct sb_fleet_callbacks *callbacks,
                   void *user,
                   struct sb_fleet_call **ret_call,
                   struct sb_err *err)
{
    if (fleet->is_closing) {
        return sb_err_set(err, SB_CANCELLED, "the connection is being closed");
    }
    struct sb_fleet_call *call = calloc(1, sizeof *call);
    if (call == NULL) {
        return sb_err_oom(err);
    }
    call->fleet = fleet;
    call->callbacks = callbacks;
    call->user = user;
    if (fill_call(call, request, err) < 0) {
        call_free(call);
        return -1;
    }
    sb_list_append(&fleet->calls, &call->node);
    *ret_call = call;
    if (call->message != NULL) {
        sb_fleet_route(call);
    }
    return 0;
}

void sb_fleet_read(struct sb_fleet_call *call)
{
    if (call->merge != NULL) {
        sb_merge_read(call);
    } else if (call->has_leg) {
        sb_leg_read(&call->leg);
    } else {
        call->wants_read = true;
    }
}

/* The first message says where the call goes; what follows before it is there waits with it. */
static void keep(struct sb_fleet_call *call, const ProtobufCMessage *message)
{
    struct sb_err err;
    struct sb_pending *pending = calloc(1, sizeof *pending);
    (void)sb_err_oom(&err);
    if (pending == NULL || call->n_pending == SB_FLEET_PENDING ||
        (pending->message = sb_message_copy(message, &err)) == NULL) {
        free(pending);
        sb_fleet_fail(call, &err);
        return;
    }
    sb_list_append(&call->pending, &pending->node);
    call->n_pending++;
}

bool sb_fleet_send(struct sb_fleet_call *call, const ProtobufCMessage *message)
{
    if (call->has_leg) {
        return sb_leg_send(&call->leg, message);
    }
    if (call->is_failing || call->is_cancelled) {
        return true;
    }
    keep(call, message);
    if (!call->has_sent) {
        call->has_sent = true;
        sb_fleet_route(call);
    }
    call->owes_drained = !call->has_leg;
    return call->has_leg;
}

void sb_fleet_half_close(struct sb_fleet_call *call)
{
    call->is_half_closed = true;
    if (call->has_leg) {
        sb_leg_half_close(&call->leg);
    } else if (!call->has_sent && call->message == NULL) {
        struct sb_err err;
        (void)sb_err_set(&err, SB_INVALID, "the call ended before it said anything");
        sb_fleet_fail(call, &err);
    }
}

void sb_fleet_cancel(struct sb_fleet_call *call)
{
    struct sb_err err;
    call->is_cancelled = true;
    if (call->has_leg) {
        sb_leg_cancel(&call->leg);
    } else if (call->merge != NULL) {
        sb_merge_cancel(call);
    } else if (call->claim != NULL) {
        sb_claim_cancel(call);
    } else {
        (void)sb_err_set(&err, SB_CANCELLED, "cancelled");
        sb_fleet_fail(call, &err);
    }
}
