/** Frames of the client and the calls they open. */
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "proto/rpc/local/server_impl.h"
#include "proto/rpc/local/ttrpc.pb-c.h"
#include "proto/rpc/wire.h"

enum { NANO_PER_MILLI = 1000000, MAX_PATH_BYTES = 512 };

static void on_deadline(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_err status;
    (void)sb_err_set(&status, SB_DEADLINE, "deadline exceeded");
    sb_local_call_cut_short(ctx, &status);
}

static void kick_reader(struct sb_local_call *call)
{
    if (call->base.is_reading) {
        sb_local_server_kick_call(call);
    }
}

static void
refuse_frame(struct sb_local_conn *conn, uint32_t id, enum sb_code code, const char *why)
{
    struct sb_err err;
    (void)sb_err_set(&err, code, "stream %u: %s", id, why);
    sb_local_call_put_status(conn, id, &err);
}

static const struct sb_rpc_registration *find_method(const struct sb_rpc_server *server,
                                                     const Aisbx__Ttrpc__Request *request,
                                                     struct sb_err *err)
{
    char path[MAX_PATH_BYTES];
    int len = snprintf(path, sizeof path, "/%s/%s", request->service, request->method);
    const struct sb_rpc_registration *reg =
        len < 0 || (size_t)len >= sizeof path ? NULL : sb_rpc_server_find(server, path);
    if (reg == NULL) {
        (void)sb_err_set(err, SB_UNIMPLEMENTED, "unknown method %.200s", path);
    }
    return reg;
}

static void set_deadline(struct sb_local_call *call, int64_t timeout_nano)
{
    call->base.deadline_ms = UINT64_MAX;
    if (timeout_nano == 0) {
        return;
    }
    /* Rounded up: never earlier than the client asked. */
    uint64_t ms =
        timeout_nano < 0 ? 0 : ((uint64_t)timeout_nano + NANO_PER_MILLI - 1) / NANO_PER_MILLI;
    call->base.deadline_ms = sb_clock_mono_ms() + ms;
    call->has_deadline = true;
    const struct timeval delay = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000) * 1000};
    (void)evtimer_assign(&call->deadline, call->conn->local->base, on_deadline, call);
    (void)event_add(&call->deadline, &delay);
}

static struct sb_local_call *new_call(struct sb_local_conn *conn,
                                      const struct sb_frame *frame,
                                      const Aisbx__Ttrpc__Request *request,
                                      const struct sb_rpc_registration *reg,
                                      struct sb_err *err)
{
    struct sb_local_call *call = calloc(1, sizeof *call);
    if (call == NULL) {
        (void)sb_err_oom(err);
        return NULL;
    }
    if (sb_envelope_get_metadata(request->metadata, request->n_metadata, &call->metadata, err) <
        0) {
        free(call);
        return NULL;
    }
    call->base.ops = &sb_local_call_ops;
    call->base.peer = (struct sb_rpc_peer){"local",        conn->cred.pid, conn->cred.uid,
                                           conn->cred.gid, NULL,           "unix:"};
    call->base.peer_fd = conn->link.fd;
    call->base.metadata = call->metadata.entries;
    call->base.n_metadata = call->metadata.n;
    sb_rpc_call_init(&call->base, conn->local->server, reg);

    call->conn = conn;
    call->is_remote_closed = (frame->flags & SB_FRAME_REMOTE_OPEN) == 0;
    sb_flow_init(&call->flow, frame->stream, (frame->flags & SB_FRAME_CREDITED) != 0);
    sb_link_add(&conn->link, &call->flow);
    sb_list_append(&conn->calls, &call->in_conn);
    set_deadline(call, request->timeout_nano);
    return call;
}

/** The request message of a unary or server-stream call; a first message of the others. */
static void begin(struct sb_local_call *call, const ProtobufCBinaryData *payload)
{
    struct sb_rpc_call *base = &call->base;
    const struct sb_rpc_method *method = base->reg->method;
    ProtobufCMessage *req = NULL;
    struct sb_err err;
    sb_err_clear(&err);
    if (payload->len > sb_rpc_server_get_options(base->server)->max_message_bytes) {
        (void)sb_err_set(&err, SB_EXHAUSTED, "a request of %zu bytes is too large", payload->len);
    } else if ((method->flags & SB_RPC_CLIENT_STREAM) == 0) {
        (void)sb_rpc_unpack(method->in, payload->data, payload->len, &req, &err);
    } else if (payload->len > 0) {
        (void)sb_flow_keep(&call->flow, payload->data, (uint32_t)payload->len, &err);
    }
    if (err.code != SB_OK) {
        sb_rpc_call_refuse(base, &err);
    } else {
        sb_rpc_call_begin(base, req);
    }
    if (!base->is_live && call->conn != NULL) {
        call->is_refused = true;
        call->conn->n_refused++;
        sb_local_server_update_pause(call->conn);
    }
}

static void run_request(struct sb_local_conn *conn,
                        const struct sb_frame *frame,
                        const Aisbx__Ttrpc__Request *request)
{
    struct sb_err err;
    int fds[SB_RPC_MAX_FDS];
    if (request->fd_count > SB_RPC_MAX_FDS ||
        !sb_link_take_fds(&conn->link, fds, request->fd_count)) {
        refuse_frame(conn, frame->stream, SB_INVALID, "not the descriptors it speaks of");
        conn->link.is_broken = true; /* those of later requests could no longer be told apart */
        return;
    }
    const struct sb_rpc_registration *reg = find_method(conn->local->server, request, &err);
    struct sb_local_call *call = reg == NULL ? NULL : new_call(conn, frame, request, reg, &err);
    if (call == NULL) {
        sb_fd_close_all(fds, request->fd_count);
        sb_local_call_put_status(conn, frame->stream, &err);
        return;
    }
    call->base.n_fds = request->fd_count;
    memcpy(call->base.fds, fds, request->fd_count * sizeof *fds);
    begin(call, &request->payload);
}

static void
on_request(struct sb_local_conn *conn, const struct sb_frame *frame, const uint8_t *data)
{
    if (frame->stream % 2 == 0 || frame->stream <= conn->last_id) {
        refuse_frame(conn, frame->stream, SB_INVALID, "an id must be odd and larger than the last");
        return;
    }
    conn->last_id = frame->stream;
    ProtobufCMessage *msg = NULL;
    struct sb_err err;
    if (sb_rpc_unpack(&aisbx__ttrpc__request__descriptor, data, frame->len, &msg, &err) < 0) {
        (void)sb_err_wrap(&err, "request envelope");
        sb_local_call_put_status(conn, frame->stream, &err);
        return;
    }
    run_request(conn, frame, (const Aisbx__Ttrpc__Request *)(const void *)msg);
    protobuf_c_message_free_unpacked(msg, NULL);
}

static struct sb_local_call *find_call(struct sb_local_conn *conn, uint32_t id)
{
    struct sb_flow *flow = sb_link_find(&conn->link, id);
    return flow == NULL ? NULL : sb_local_call_of_flow(flow);
}

static void on_data(struct sb_local_conn *conn, const struct sb_frame *frame, const uint8_t *data)
{
    struct sb_local_call *call = find_call(conn, frame->stream);
    if (call == NULL) {
        /* What still arrives for a call that has ended is no mistake. */
        if (frame->stream % 2 == 0 || frame->stream > conn->last_id) {
            refuse_frame(conn, frame->stream, SB_INVALID, "not open");
        }
        return;
    }
    struct sb_rpc_call *base = &call->base;
    struct sb_err err;
    sb_err_clear(&err);
    if (call->is_remote_closed) {
        (void)sb_err_set(&err, SB_INVALID, "data after the end of the stream");
    } else if (frame->len > sb_rpc_server_get_options(base->server)->max_message_bytes) {
        (void)sb_err_set(&err, SB_EXHAUSTED, "a message of %u bytes is too large", frame->len);
    } else if ((frame->flags & SB_FRAME_NO_DATA) == 0 && !base->is_finished) {
        (void)sb_flow_keep(&call->flow, data, frame->len, &err);
    }
    if (err.code != SB_OK) {
        sb_rpc_call_fail(base, &err);
        return;
    }
    call->is_remote_closed = (frame->flags & SB_FRAME_REMOTE_CLOSED) != 0;
    sb_local_call_update_clogging(call);
    kick_reader(call);
}

static void on_cancel(struct sb_local_conn *conn, const struct sb_frame *frame, const uint8_t *data)
{
    (void)data;
    struct sb_local_call *call = find_call(conn, frame->stream);
    if (call != NULL) {
        sb_local_call_cut_short(call, NULL);
    }
}

static void on_credit(struct sb_local_conn *conn, const struct sb_frame *frame, const uint8_t *data)
{
    struct sb_local_call *call = find_call(conn, frame->stream);
    if (call != NULL && frame->len == 4) {
        sb_flow_credit(&conn->link, &call->flow, sb_frame_get_u32(data));
    }
}

static void on_frame(struct sb_link *link, const struct sb_frame *frame, const uint8_t *data)
{
    static void (*const handlers[])(struct sb_local_conn * conn, const struct sb_frame *frame,
                                    const uint8_t *data) = {
        [SB_FRAME_REQUEST] = on_request,
        [SB_FRAME_DATA] = on_data,
        [SB_FRAME_CANCEL] = on_cancel,
        [SB_FRAME_CREDIT] = on_credit,
    };
    if (frame->type < sizeof handlers / sizeof handlers[0] && handlers[frame->type] != NULL) {
        handlers[frame->type](sb_local_conn_of(link), frame, data);
    }
}

static void on_oversize(struct sb_link *link, const struct sb_frame *frame)
{
    struct sb_local_conn *conn = sb_local_conn_of(link);
    struct sb_local_call *call = find_call(conn, frame->stream);
    struct sb_err err;
    (void)sb_err_set(&err, SB_EXHAUSTED, "a frame of %u bytes is too large", frame->len);
    if (call != NULL) {
        sb_rpc_call_fail(&call->base, &err);
    } else {
        sb_local_call_put_status(conn, frame->stream, &err);
    }
}

static void on_moved(struct sb_link *link, struct sb_flow *flow)
{
    (void)link;
    if (flow->is_over_high && flow->out.bytes <= SB_RPC_LOW_BYTES) {
        sb_local_server_kick_call(sb_local_call_of_flow(flow));
    }
}

static void on_ended(struct sb_link *link, struct sb_flow *flow)
{
    sb_list_append(&sb_local_conn_of(link)->sent, &sb_local_call_of_flow(flow)->in_sent);
}

const struct sb_link_ops sb_local_frames_ops = {
    .frame = on_frame,
    .oversize = on_oversize,
    .moved = on_moved,
    .ended = on_ended,
};
