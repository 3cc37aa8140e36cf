/** The server side of one call, the part that is the same for both transports: what may be called
 * when, and who is told what. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "proto/rpc/internal.h"
#include "proto/rpc/metadata.h"

/* ---- from the transport ---- */

void sb_rpc_call_init(struct sb_rpc_call *call,
                      struct sb_rpc_server *server,
                      const struct sb_rpc_registration *reg)
{
    call->server = server;
    call->reg = reg;
    call->in_live = (struct sb_list){NULL, NULL};
    call->user = NULL;
    call->ticket = NULL;
    call->held = NULL;
    call->is_held = false;
    call->is_entered = false;
    call->refs = 1;
    call->n_trailers = 0;
    call->is_live = false;
    call->is_started = false;
    call->is_reading = false;
    call->is_accepted = false;
    call->is_finished = false;
    call->is_ended = false;
    call->is_cancelled = false;
    call->code = SB_CANCELLED;
    call->begin_ns = sb_clock_mono_ns();
}

/** The gate learns how it ended; once. */
static void leave(struct sb_rpc_call *call, const struct sb_err *status)
{
    void *ctx = NULL;
    if (call->is_entered) {
        call->is_entered = false;
        sb_rpc_server_gate(call->server, &ctx)->leave(call, status, ctx);
    }
}

void sb_rpc_call_refuse(struct sb_rpc_call *call, const struct sb_err *err)
{
    if (!call->is_finished && !call->is_ended) {
        leave(call, err);
        call->is_finished = true;
        call->code = err->code;
        call->ops->finish(call, NULL, err);
    }
}

/** Frees what waited at the gate. */
static void drop_held(struct sb_rpc_call *call)
{
    call->is_held = false;
    if (call->held != NULL) {
        protobuf_c_message_free_unpacked(call->held, NULL);
        call->held = NULL;
    }
}

/** What is held goes to the handler. */
static void deliver(struct sb_rpc_call *call)
{
    const struct sb_rpc_registration *reg = call->reg;
    ProtobufCMessage *msg = call->held;
    call->held = NULL; /* the handler may read again at once */
    call->is_held = false;
    if (!call->is_started) {
        call->is_started = true;
        reg->handler.start(call, msg, reg->svc);
    } else if (reg->handler.message != NULL) {
        reg->handler.message(call, msg, reg->svc);
    }
    if (msg != NULL) {
        protobuf_c_message_free_unpacked(msg, NULL);
    }
}

/** Takes msg. */
static void hand_in(struct sb_rpc_call *call, ProtobufCMessage *msg)
{
    void *ctx = NULL;
    const struct sb_rpc_gate *gate = sb_rpc_server_gate(call->server, &ctx);
    call->held = msg;
    call->is_held = true;
    if (gate != NULL && !call->is_started) {
        call->is_entered = true;
    }
    if (gate == NULL || gate->enter(call, msg, ctx)) {
        deliver(call);
    } else if (call->is_finished) {
        drop_held(call);
    }
}

void sb_rpc_call_pass(struct sb_rpc_call *call)
{
    if (call->is_held && !call->is_finished && !call->is_ended) {
        deliver(call);
    }
}

void sb_rpc_call_begin(struct sb_rpc_call *call, ProtobufCMessage *req)
{
    const struct sb_rpc_registration *reg = call->reg;
    struct sb_err err;
    call->held = req;
    if (sb_rpc_server_admit(call->server, call, &err) < 0) {
        sb_rpc_call_refuse(call, &err);
        drop_held(call);
        return;
    }
    call->is_live = true;
    if (reg->handler.start == NULL) {
        (void)sb_err_set(&err, SB_UNIMPLEMENTED,
                         "%s.%s is part of the interface but not built into this server",
                         reg->method->service, reg->method->name);
        sb_rpc_call_refuse(call, &err);
        drop_held(call);
        return;
    }
    hand_in(call, req);
}

void sb_rpc_call_message(struct sb_rpc_call *call, ProtobufCMessage *msg)
{
    call->is_reading = false;
    if (call->is_started && !call->is_finished && !call->is_ended) {
        hand_in(call, msg);
    } else {
        protobuf_c_message_free_unpacked(msg, NULL);
    }
}

void sb_rpc_call_half_close(struct sb_rpc_call *call)
{
    call->is_reading = false;
    const struct sb_rpc_registration *reg = call->reg;
    if (call->is_started && !call->is_finished && !call->is_ended &&
        reg->handler.half_close != NULL) {
        reg->handler.half_close(call, reg->svc);
    }
}

void sb_rpc_call_drained(struct sb_rpc_call *call)
{
    const struct sb_rpc_registration *reg = call->reg;
    if (call->is_started && !call->is_finished && !call->is_ended && reg->handler.drained != NULL) {
        reg->handler.drained(call, reg->svc);
    }
}

void sb_rpc_call_end(struct sb_rpc_call *call, bool cancelled)
{
    if (call->is_ended) {
        return;
    }
    call->is_ended = true;
    call->is_cancelled = cancelled;
    leave(call, NULL);
    drop_held(call);
    const struct sb_rpc_registration *reg = call->reg;
    const struct sb_rpc_server_options *options = sb_rpc_server_get_options(call->server);
    if (options->ended != NULL) {
        options->ended(call, cancelled ? SB_CANCELLED : call->code,
                       (sb_clock_mono_ns() - call->begin_ns) / 1000, options->ended_ctx);
    }
    if (call->is_started && reg->handler.done != NULL) {
        reg->handler.done(call, cancelled, reg->svc);
    }
    if (call->is_live) {
        call->is_live = false;
        sb_rpc_server_retire(call->server, call);
    }
    sb_rpc_call_unref(call);
}

/* ---- from the handlers ---- */

void sb_rpc_call_ref(struct sb_rpc_call *call)
{
    call->refs++;
}

void sb_rpc_call_unref(struct sb_rpc_call *call)
{
    if (--call->refs > 0) {
        return;
    }
    sb_fd_close_all(call->fds, call->n_fds);
    for (unsigned i = 0; i < call->n_trailers; i++) {
        free(call->trailers[i].key);
        free(call->trailers[i].value);
    }
    call->ops->free(call);
}

void *sb_rpc_call_user(const struct sb_rpc_call *call)
{
    return call->user;
}

void sb_rpc_call_set_user(struct sb_rpc_call *call, void *user)
{
    call->user = user;
}

void *sb_rpc_call_ticket(const struct sb_rpc_call *call)
{
    return call->ticket;
}

void sb_rpc_call_set_ticket(struct sb_rpc_call *call, void *ticket)
{
    call->ticket = ticket;
}

const void *sb_rpc_call_impl(const struct sb_rpc_call *call)
{
    return call->reg->handler.impl;
}

const struct sb_rpc_method *sb_rpc_call_method(const struct sb_rpc_call *call)
{
    return call->reg->method;
}

const struct sb_rpc_peer *sb_rpc_call_peer(const struct sb_rpc_call *call)
{
    return &call->peer;
}

const char *sb_rpc_call_metadata(const struct sb_rpc_call *call, const char *key, size_t *ret_len)
{
    return sb_metadata_find(call->metadata, call->n_metadata, key, ret_len);
}

uint64_t sb_rpc_call_time_left_ms(const struct sb_rpc_call *call)
{
    if (call->deadline_ms == UINT64_MAX) {
        return UINT64_MAX;
    }
    uint64_t now = sb_clock_mono_ms();
    return call->deadline_ms > now ? call->deadline_ms - now : 0;
}

int sb_rpc_call_peer_fd(const struct sb_rpc_call *call)
{
    return call->is_ended ? -1 : call->peer_fd;
}

bool sb_rpc_call_is_cancelled(const struct sb_rpc_call *call)
{
    return call->is_cancelled;
}

int sb_rpc_call_take_fd(struct sb_rpc_call *call, unsigned i)
{
    if (i >= call->n_fds) {
        return -1;
    }
    int fd = call->fds[i];
    call->fds[i] = -1;
    return fd;
}

void sb_rpc_call_accept(struct sb_rpc_call *call)
{
    if (!call->is_accepted && !call->is_finished && !call->is_ended &&
        call->reg->method->flags == SB_RPC_CLIENT_STREAM) {
        call->is_accepted = true;
        call->ops->accept(call);
    }
}

void sb_rpc_call_read(struct sb_rpc_call *call)
{
    if (call->is_finished || call->is_ended || call->is_reading) {
        return;
    }
    call->is_reading = true;
    call->ops->read(call);
}

bool sb_rpc_call_send(struct sb_rpc_call *call, const ProtobufCMessage *msg)
{
    if (call->is_finished || call->is_ended) {
        return false;
    }
    return call->ops->send(call, msg);
}

void sb_rpc_call_trailer(struct sb_rpc_call *call, const char *key, const void *value, size_t len)
{
    struct sb_err ignored;
    if (call->is_finished || call->is_ended || call->n_trailers == SB_RPC_MAX_TRAILERS ||
        sb_metadata_check(key, value, len, &ignored) < 0) {
        return;
    }
    struct sb_rpc_trailer trailer = {strdup(key), malloc(len + 1), len};
    if (trailer.key == NULL || trailer.value == NULL) {
        free(trailer.key);
        free(trailer.value);
        return;
    }
    if (len > 0) {
        memcpy(trailer.value, value, len);
    }
    trailer.value[len] = '\0';
    call->trailers[call->n_trailers++] = trailer;
}

void sb_rpc_call_reply(struct sb_rpc_call *call, const ProtobufCMessage *msg)
{
    if (call->is_finished || call->is_ended) {
        return;
    }
    struct sb_err status;
    sb_err_clear(&status);
    leave(call, &status);
    call->is_finished = true;
    call->code = SB_OK;
    call->ops->finish(call, msg, &status);
}

void sb_rpc_call_fail(struct sb_rpc_call *call, const struct sb_err *err)
{
    struct sb_err status = *err;
    if (status.code == SB_OK) {
        (void)sb_err_set(&status, SB_INTERNAL, "failed without a reason");
    }
    sb_rpc_call_refuse(call, &status);
}
