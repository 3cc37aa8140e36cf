/** Theory of operation. Everything happens in a turn of one connection: read and run the frames
 * that are there, send what is queued, end the calls whose last byte the kernel has taken. Handlers
 * run inside a turn or from other parts of the program, and what they ask for is only noted (struct
 * sb_rpc_call_ops forbids more): the call or the connection is put on a list of the local server,
 * and a timer of zero length, not an active event, runs the list, so that a busy stream lets the
 * loop look at other descriptors in between. */
#include "proto/rpc/local/server.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/list.h"
#include "proto/rpc/internal.h"
#include "proto/rpc/local/envelope.h"
#include "proto/rpc/local/link.h"
#include "proto/rpc/local/ttrpc.pb-c.h"
#include "proto/rpc/wire.h"

enum {
    NANO_PER_MILLI = 1000000,
    MAX_REFUSED = 64, /* calls per connection whose refusal the peer has not read */
    MAX_PATH_BYTES = 512,
};

struct sb_local_server {
    struct sb_rpc_server *server;
    struct event_base *base;
    struct sb_list conns;
    unsigned n_conns;
    struct event kick;
    struct sb_list kicked_calls;
    struct sb_list kicked_conns;
};

struct conn {
    struct sb_local_server *local;
    struct sb_list in_conns;
    struct sb_list in_kicked;
    struct sb_link link;
    struct ucred cred;
    struct event readable;
    struct event writable;
    struct event hangup;  /* watched while nothing is read */
    struct sb_list calls; /* struct call, in_conn */
    struct sb_list sent;  /* struct call, in_sent: the kernel has their status */
    uint32_t last_id;
    unsigned n_refused;
    unsigned n_clogging;
    bool is_in_turn;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

struct call {
    struct sb_rpc_call base; /* first */
    struct conn *conn;       /* NULL: detached */
    struct sb_flow flow;
    struct sb_list in_conn;
    struct sb_list in_sent;
    struct sb_list in_kicked;
    struct event deadline;
    struct sb_envelope_metadata metadata;
    bool has_deadline;
    bool is_remote_closed;
    bool is_half_close_told;
    bool is_refused;  /* counted in conn->n_refused */
    bool is_clogging; /* counted in conn->n_clogging */
};

static struct call *call_of(struct sb_rpc_call *base)
{
    return (struct call *)(void *)base;
}

static struct call *call_of_flow(struct sb_flow *flow)
{
    return SB_LIST_ENTRY(flow, struct call, flow);
}

static struct conn *conn_of(struct sb_link *link)
{
    return SB_LIST_ENTRY(link, struct conn, link);
}

/* ---- kicks ---- */

static void arm_kick(struct sb_local_server *local)
{
    static const struct timeval now = {0, 0};
    if (!event_pending(&local->kick, EV_TIMEOUT, NULL)) {
        (void)event_add(&local->kick, &now);
    }
}

static void kick_conn(struct conn *conn)
{
    if (!conn->is_in_turn && !sb_list_is_linked(&conn->in_kicked)) {
        sb_list_append(&conn->local->kicked_conns, &conn->in_kicked);
        arm_kick(conn->local);
    }
}

static void kick_call(struct call *call)
{
    if (call->conn != NULL && !sb_list_is_linked(&call->in_kicked)) {
        sb_list_append(&call->conn->local->kicked_calls, &call->in_kicked);
        arm_kick(call->conn->local);
    }
}

static void update_pause(struct conn *conn)
{
    bool was_paused = conn->link.is_paused;
    conn->link.is_paused = conn->n_clogging > 0 || conn->n_refused > MAX_REFUSED;
    if (was_paused && !conn->link.is_paused) {
        kick_conn(conn);
    }
}

/** A stream without credit that is not read stops its connection; one with credit cannot get here.
 */
static void update_clogging(struct call *call)
{
    bool is_clogging = call->conn != NULL && !call->flow.is_credited &&
                       call->flow.in.bytes > SB_LINK_WINDOW_BYTES && !call->base.is_finished;
    if (call->conn == NULL || is_clogging == call->is_clogging) {
        return;
    }
    call->is_clogging = is_clogging;
    call->conn->n_clogging += is_clogging ? 1U : (unsigned)-1;
    update_pause(call->conn);
}

/* ---- ending ---- */

/** The connection forgets the call; the caller ends it. */
static void detach(struct call *call)
{
    struct conn *conn = call->conn;
    if (conn == NULL) {
        return;
    }
    call->conn = NULL;
    if (call->has_deadline) {
        (void)event_del(&call->deadline);
    }
    sb_list_remove(&call->in_conn);
    sb_list_remove(&call->in_sent);
    sb_list_remove(&call->in_kicked);
    sb_flow_done(&call->flow);
    conn->n_refused -= call->is_refused ? 1 : 0;
    conn->n_clogging -= call->is_clogging ? 1 : 0;
    update_pause(conn);
}

/** Answers a stream without a call, or before one ends early. */
static void put_status(struct conn *conn, uint32_t id, const struct sb_err *status)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf buf = SB_BUF_INIT(SB_FRAME_MAX_BYTES);
    struct sb_err ignored;
    if (sb_envelope_put_response(&buf, status, NULL, NULL, &ignored) < 0) {
        conn->link.is_broken = true;
        return;
    }
    struct sb_frame frame = {(uint32_t)buf.len, id, SB_FRAME_RESPONSE, 0};
    sb_link_put(&conn->link, &frame, sb_buf_cstr(&buf));
    kick_conn(conn);
}

/** Ends a call before its time. @status NULL: the client does not care. */
static void cut_short(struct call *call, const struct sb_err *status)
{
    struct conn *conn = call->conn;
    if (conn == NULL) {
        return;
    }
    bool is_status_out = call->flow.end_at > 0;
    if (status != NULL && !is_status_out) {
        sb_flow_clear(&call->flow);
        put_status(conn, call->flow.id, status);
    }
    detach(call);
    sb_rpc_call_end(&call->base, true);
}

static void on_deadline(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_err status;
    (void)sb_err_set(&status, SB_DEADLINE, "deadline exceeded");
    cut_short(ctx, &status);
}

/* ---- call ops ---- */

static void op_read(struct sb_rpc_call *base)
{
    kick_call(call_of(base));
}

static bool op_send(struct sb_rpc_call *base, const ProtobufCMessage *msg)
{
    struct call *call = call_of(base);
    struct sb_err err;
    if (call->conn == NULL) {
        return false;
    }
    if (sb_flow_send_message(&call->conn->link, &call->flow, msg, SB_RPC_MAX_MESSAGE_BYTES, &err) <
        0) {
        sb_rpc_call_fail(base, &err);
        return false;
    }
    kick_conn(call->conn);
    return !call->flow.is_over_high;
}

/** A stream that ends well and plainly ends with an empty DATA frame, as in ttrpc; all else takes a
 * response. */
static int queue_end(struct call *call, const ProtobufCMessage *reply, const struct sb_err *status)
{
    struct sb_err err;
    const struct sb_rpc_call *base = &call->base;
    bool is_stream = (base->reg->method->flags & SB_RPC_SERVER_STREAM) != 0;
    if (is_stream && status->code == SB_OK) {
        if (reply != NULL && sb_flow_send_message(&call->conn->link, &call->flow, reply,
                                                  SB_RPC_MAX_MESSAGE_BYTES, &err) < 0) {
            return queue_end(call, NULL, &err);
        }
        reply = NULL;
        if (base->n_trailers == 0) {
            struct sb_frame frame = {.type = SB_FRAME_DATA,
                                     .flags = SB_FRAME_REMOTE_CLOSED | SB_FRAME_NO_DATA};
            return sb_flow_send(&call->conn->link, &call->flow, &frame, NULL, true);
        }
    }
    SB_CLEANUP(sb_buf_done) struct sb_buf buf = SB_BUF_INIT(SB_FRAME_MAX_BYTES);
    if (sb_envelope_put_response(&buf, status, reply, base, &err) < 0) {
        return reply == NULL ? -1 : queue_end(call, NULL, &err);
    }
    struct sb_frame frame = {.len = (uint32_t)buf.len, .type = SB_FRAME_RESPONSE};
    return sb_flow_send(&call->conn->link, &call->flow, &frame, sb_buf_cstr(&buf), true);
}

static void
op_finish(struct sb_rpc_call *base, const ProtobufCMessage *reply, const struct sb_err *status)
{
    struct call *call = call_of(base);
    if (call->conn == NULL) {
        return;
    }
    if (queue_end(call, reply, status) < 0) {
        call->conn->link.is_broken = true; /* out of memory: the connection goes */
    }
    update_clogging(call);
    kick_conn(call->conn);
}

static void op_abort(struct sb_rpc_call *base, const struct sb_err *status)
{
    cut_short(call_of(base), status);
}

static void op_free(struct sb_rpc_call *base)
{
    struct call *call = call_of(base);
    sb_envelope_metadata_done(&call->metadata);
    free(call);
}

static const struct sb_rpc_call_ops call_ops = {
    .read = op_read,
    .send = op_send,
    .finish = op_finish,
    .abort = op_abort,
    .free = op_free,
};

/* ---- delivering ---- */

static void deliver_message(struct call *call, const struct sb_link_item *item)
{
    ProtobufCMessage *msg = NULL;
    struct sb_err err;
    if (sb_rpc_unpack(call->base.reg->method->in, item->data, item->len, &msg, &err) < 0) {
        sb_rpc_call_fail(&call->base, &err);
        return;
    }
    sb_rpc_call_message(&call->base, msg);
    protobuf_c_message_free_unpacked(msg, NULL);
}

/** What the call waits for and what there is. One message a turn. */
static void call_turn(struct call *call)
{
    if (call->base.is_reading && !call->base.is_finished) {
        struct sb_link_item *item = sb_flow_take(&call->conn->link, &call->flow);
        if (item != NULL) {
            update_clogging(call);
            kick_conn(call->conn); /* for the credit */
            deliver_message(call, item);
            free(item);
        } else if (call->is_remote_closed && !call->is_half_close_told) {
            call->is_half_close_told = true;
            sb_rpc_call_half_close(&call->base);
        }
    }
    if (sb_flow_take_drained(&call->flow)) {
        sb_rpc_call_drained(&call->base);
    }
}

static void kick_reader(struct call *call)
{
    if (call->base.is_reading) {
        kick_call(call);
    }
}

/* ---- frames ---- */

static void refuse_frame(struct conn *conn, uint32_t id, enum sb_code code, const char *why)
{
    struct sb_err err;
    (void)sb_err_set(&err, code, "stream %u: %s", id, why);
    put_status(conn, id, &err);
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

static void set_deadline(struct call *call, int64_t timeout_nano)
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

static struct call *new_call(struct conn *conn,
                             const struct sb_frame *frame,
                             const Aisbx__Ttrpc__Request *request,
                             const struct sb_rpc_registration *reg,
                             struct sb_err *err)
{
    struct call *call = calloc(1, sizeof *call);
    if (call == NULL) {
        (void)sb_err_oom(err);
        return NULL;
    }
    if (sb_envelope_get_metadata(request->metadata, request->n_metadata, &call->metadata, err) <
        0) {
        free(call);
        return NULL;
    }
    call->base.ops = &call_ops;
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
static void begin(struct call *call, const ProtobufCBinaryData *payload)
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
    if (req != NULL) {
        protobuf_c_message_free_unpacked(req, NULL);
    }
    if (!base->is_live && call->conn != NULL) {
        call->is_refused = true;
        call->conn->n_refused++;
        update_pause(call->conn);
    }
}

static void
run_request(struct conn *conn, const struct sb_frame *frame, const Aisbx__Ttrpc__Request *request)
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
    struct call *call = reg == NULL ? NULL : new_call(conn, frame, request, reg, &err);
    if (call == NULL) {
        sb_fd_close_all(fds, request->fd_count);
        put_status(conn, frame->stream, &err);
        return;
    }
    call->base.n_fds = request->fd_count;
    memcpy(call->base.fds, fds, request->fd_count * sizeof *fds);
    begin(call, &request->payload);
}

static void on_request(struct conn *conn, const struct sb_frame *frame, const uint8_t *data)
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
        put_status(conn, frame->stream, &err);
        return;
    }
    run_request(conn, frame, (const Aisbx__Ttrpc__Request *)(const void *)msg);
    protobuf_c_message_free_unpacked(msg, NULL);
}

static struct call *find_call(struct conn *conn, uint32_t id)
{
    struct sb_flow *flow = sb_link_find(&conn->link, id);
    return flow == NULL ? NULL : call_of_flow(flow);
}

static void on_data(struct conn *conn, const struct sb_frame *frame, const uint8_t *data)
{
    struct call *call = find_call(conn, frame->stream);
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
    update_clogging(call);
    kick_reader(call);
}

static void on_cancel(struct conn *conn, const struct sb_frame *frame, const uint8_t *data)
{
    (void)data;
    struct call *call = find_call(conn, frame->stream);
    if (call != NULL) {
        cut_short(call, NULL);
    }
}

static void on_credit(struct conn *conn, const struct sb_frame *frame, const uint8_t *data)
{
    struct call *call = find_call(conn, frame->stream);
    if (call != NULL && frame->len == 4) {
        sb_flow_credit(&conn->link, &call->flow, sb_frame_get_u32(data));
    }
}

static void on_frame(struct sb_link *link, const struct sb_frame *frame, const uint8_t *data)
{
    static void (*const handlers[])(struct conn * conn, const struct sb_frame *frame,
                                    const uint8_t *data) = {
        [SB_FRAME_REQUEST] = on_request,
        [SB_FRAME_DATA] = on_data,
        [SB_FRAME_CANCEL] = on_cancel,
        [SB_FRAME_CREDIT] = on_credit,
    };
    if (frame->type < sizeof handlers / sizeof handlers[0] && handlers[frame->type] != NULL) {
        handlers[frame->type](conn_of(link), frame, data);
    }
}

static void on_oversize(struct sb_link *link, const struct sb_frame *frame)
{
    struct conn *conn = conn_of(link);
    struct call *call = find_call(conn, frame->stream);
    struct sb_err err;
    (void)sb_err_set(&err, SB_EXHAUSTED, "a frame of %u bytes is too large", frame->len);
    if (call != NULL) {
        sb_rpc_call_fail(&call->base, &err);
    } else {
        put_status(conn, frame->stream, &err);
    }
}

static void on_moved(struct sb_link *link, struct sb_flow *flow)
{
    (void)link;
    if (flow->is_over_high && flow->out.bytes <= SB_RPC_LOW_BYTES) {
        kick_call(call_of_flow(flow));
    }
}

static void on_ended(struct sb_link *link, struct sb_flow *flow)
{
    sb_list_append(&conn_of(link)->sent, &call_of_flow(flow)->in_sent);
}

static const struct sb_link_ops link_ops = {
    .frame = on_frame,
    .oversize = on_oversize,
    .moved = on_moved,
    .ended = on_ended,
};

/* ---- connections ---- */

static void conn_free(struct conn *conn)
{
    struct sb_local_server *local = conn->local;
    conn->is_in_turn = true; /* nothing below may kick it */
    struct sb_list orphans;
    sb_list_init(&orphans);
    for (struct sb_list *node; (node = sb_list_pop(&conn->calls)) != NULL;) {
        struct call *call = SB_LIST_ENTRY(node, struct call, in_conn);
        detach(call);
        sb_list_append(&orphans, &call->in_conn);
    }
    (void)event_del(&conn->readable);
    (void)event_del(&conn->writable);
    (void)event_del(&conn->hangup);
    sb_link_done(&conn->link);
    sb_list_remove(&conn->in_conns);
    sb_list_remove(&conn->in_kicked);
    local->n_conns--;
    for (struct sb_list *node; (node = sb_list_pop(&orphans)) != NULL;) {
        sb_rpc_call_end(&SB_LIST_ENTRY(node, struct call, in_conn)->base, true);
    }
    if (conn->closed != NULL) {
        conn->closed(conn->closed_ctx);
    }
    free(conn);
}

static void end_sent(struct conn *conn)
{
    for (struct sb_list *node; (node = sb_list_pop(&conn->sent)) != NULL;) {
        struct call *call = SB_LIST_ENTRY(node, struct call, in_sent);
        detach(call);
        sb_rpc_call_end(&call->base, false);
    }
}

static void watch(struct conn *conn)
{
    if (conn->link.is_paused || sb_link_is_clogged(&conn->link)) {
        (void)event_del(&conn->readable);
        (void)event_add(&conn->hangup, NULL);
    } else {
        (void)event_add(&conn->readable, NULL);
        (void)event_del(&conn->hangup);
    }
    if (conn->link.wants_write) {
        (void)event_add(&conn->writable, NULL);
    } else {
        (void)event_del(&conn->writable);
    }
}

static void conn_turn(struct conn *conn)
{
    struct sb_err err;
    conn->is_in_turn = true;
    int r = sb_link_receive(&conn->link, &err);
    bool was_clogged = sb_link_is_clogged(&conn->link);
    /* Also after a failed read: a peer that closed its sending half may still read. */
    if (sb_link_flush(&conn->link, &err) < 0) {
        r = -1;
    }
    end_sent(conn);
    conn->is_in_turn = false;
    if (r < 0) {
        conn_free(conn);
        return;
    }
    watch(conn);
    bool is_unclogged = was_clogged && !sb_link_is_clogged(&conn->link);
    bool has_more = !conn->link.wants_write && !sb_list_is_empty(&conn->link.ready);
    if (is_unclogged || has_more) {
        kick_conn(conn);
    }
}

static void on_socket(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    conn_turn(ctx);
}

static void on_hangup(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    conn_free(ctx);
}

static void on_kick(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_local_server *local = ctx;
    struct sb_list calls;
    sb_list_init(&calls);
    /* Only those listed now: who is kicked meanwhile waits for the next turn of the loop. */
    for (struct sb_list *node; (node = sb_list_pop(&local->kicked_calls)) != NULL;) {
        sb_list_append(&calls, node);
    }
    for (struct sb_list *node; (node = sb_list_pop(&calls)) != NULL;) {
        call_turn(SB_LIST_ENTRY(node, struct call, in_kicked));
    }
    struct sb_list conns;
    sb_list_init(&conns);
    for (struct sb_list *node; (node = sb_list_pop(&local->kicked_conns)) != NULL;) {
        sb_list_append(&conns, node);
    }
    for (struct sb_list *node; (node = sb_list_pop(&conns)) != NULL;) {
        conn_turn(SB_LIST_ENTRY(node, struct conn, in_kicked));
    }
}

/* ---- life ---- */

struct sb_local_server *
sb_local_server_new(struct sb_rpc_server *server, struct event_base *base, struct sb_err *err)
{
    struct sb_local_server *local = calloc(1, sizeof *local);
    if (local == NULL) {
        (void)sb_err_oom(err);
        return NULL;
    }
    local->server = server;
    local->base = base;
    sb_list_init(&local->conns);
    sb_list_init(&local->kicked_calls);
    sb_list_init(&local->kicked_conns);
    (void)evtimer_assign(&local->kick, base, on_kick, local);
    return local;
}

void sb_local_server_free(struct sb_local_server *local)
{
    if (local == NULL) {
        return;
    }
    while (!sb_list_is_empty(&local->conns)) {
        struct conn *conn = SB_LIST_ENTRY(local->conns.next, struct conn, in_conns);
        struct sb_err ignored;
        conn->is_in_turn = true;
        (void)sb_link_flush(&conn->link, &ignored); /* the last word to who was cut short */
        conn_free(conn);
    }
    (void)event_del(&local->kick);
    free(local);
}

void sb_local_server_adopt(struct sb_local_server *local,
                           int fd,
                           const struct ucred *cred,
                           void (*closed)(void *ctx),
                           void *ctx)
{
    struct conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL) {
        sb_closep(&fd);
        closed(ctx);
        return;
    }
    conn->local = local;
    conn->cred = *cred;
    conn->closed = closed;
    conn->closed_ctx = ctx;
    sb_list_init(&conn->calls);
    sb_list_init(&conn->sent);
    sb_list_append(&local->conns, &conn->in_conns);
    local->n_conns++;
    sb_link_init(&conn->link, fd, &link_ops, conn);
    (void)event_assign(&conn->readable, local->base, fd, EV_READ | EV_PERSIST, on_socket, conn);
    (void)event_assign(&conn->writable, local->base, fd, EV_WRITE | EV_PERSIST, on_socket, conn);
    (void)event_assign(&conn->hangup, local->base, fd, EV_CLOSED, on_hangup, conn);
    conn_turn(conn);
}

unsigned sb_local_server_connections(const struct sb_local_server *local)
{
    return local->n_conns;
}
