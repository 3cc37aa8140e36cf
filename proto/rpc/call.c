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
    call->refs = 1;
    call->n_trailers = 0;
    call->is_live = false;
    call->is_started = false;
    call->is_reading = false;
    call->is_finished = false;
    call->is_ended = false;
    call->is_cancelled = false;
    call->code = SB_CANCELLED;
    call->begin_ns = sb_clock_mono_ns();
}

void sb_rpc_call_refuse(struct sb_rpc_call *call, const struct sb_err *err)
{
    if (!call->is_finished && !call->is_ended) {
        call->is_finished = true;
        call->code = err->code;
        call->ops->finish(call, NULL, err);
    }
}

void sb_rpc_call_begin(struct sb_rpc_call *call, const ProtobufCMessage *req)
{
    const struct sb_rpc_registration *reg = call->reg;
    struct sb_err err;
    if (sb_rpc_server_admit(call->server, call, &err) < 0) {
        sb_rpc_call_refuse(call, &err);
        return;
    }
    call->is_live = true;
    if (reg->handler.start == NULL) {
        (void)sb_err_set(&err, SB_UNIMPLEMENTED,
                         "%s.%s is part of the interface but not built into this server",
                         reg->method->service, reg->method->name);
        sb_rpc_call_refuse(call, &err);
        return;
    }
    call->is_started = true;
    reg->handler.start(call, req, reg->svc);
}

void sb_rpc_call_message(struct sb_rpc_call *call, const ProtobufCMessage *msg)
{
    call->is_reading = false;
    const struct sb_rpc_registration *reg = call->reg;
    if (call->is_started && !call->is_finished && !call->is_ended && reg->handler.message != NULL) {
        reg->handler.message(call, msg, reg->svc);
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
