#include <event2/event.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "proto/rpc/local/server_impl.h"
#include "proto/rpc/wire.h"

/* ---- ending ---- */

void sb_local_call_update_clogging(struct sb_local_call *call)
{
    bool is_clogging = call->conn != NULL && !call->flow.is_credited &&
                       call->flow.in.bytes > SB_LINK_WINDOW_BYTES && !call->base.is_finished;
    if (call->conn == NULL || is_clogging == call->is_clogging) {
        return;
    }
    call->is_clogging = is_clogging;
    if (is_clogging) {
        call->conn->n_clogging++;
    } else {
        call->conn->n_clogging--;
    }
    sb_local_server_update_pause(call->conn);
}

void sb_local_call_detach(struct sb_local_call *call)
{
    struct sb_local_conn *conn = call->conn;
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
    sb_local_server_update_pause(conn);
}

void sb_local_call_put_status(struct sb_local_conn *conn, uint32_t id, const struct sb_err *status)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf buf = SB_BUF_INIT(SB_FRAME_MAX_BYTES);
    struct sb_err ignored;
    if (sb_envelope_put_response(&buf, status, NULL, NULL, &ignored) < 0) {
        conn->link.is_broken = true;
        return;
    }
    struct sb_frame frame = {(uint32_t)buf.len, id, SB_FRAME_RESPONSE, 0};
    sb_link_put(&conn->link, &frame, sb_buf_cstr(&buf));
    sb_local_server_kick_conn(conn);
}

void sb_local_call_cut_short(struct sb_local_call *call, const struct sb_err *status)
{
    struct sb_local_conn *conn = call->conn;
    if (conn == NULL) {
        return;
    }
    bool is_status_out = call->flow.end_at > 0;
    if (status != NULL && !is_status_out) {
        sb_flow_clear(&call->flow);
        sb_local_call_put_status(conn, call->flow.id, status);
    }
    sb_local_call_detach(call);
    sb_rpc_call_end(&call->base, true);
}

/* ---- call ops ---- */

static void op_read(struct sb_rpc_call *base)
{
    sb_local_server_kick_call(sb_local_call_of(base));
}

static void op_accept(struct sb_rpc_call *base)
{
    struct sb_local_call *call = sb_local_call_of(base);
    if (call->conn != NULL && call->flow.is_credited) {
        struct sb_frame frame = {0, call->flow.id, SB_FRAME_ACCEPT, 0};
        sb_link_put(&call->conn->link, &frame, NULL);
        sb_local_server_kick_conn(call->conn);
    }
}

static bool op_send(struct sb_rpc_call *base, const ProtobufCMessage *msg)
{
    struct sb_local_call *call = sb_local_call_of(base);
    struct sb_err err;
    if (call->conn == NULL) {
        return false;
    }
    if (sb_flow_send_message(&call->conn->link, &call->flow, msg, SB_RPC_MAX_MESSAGE_BYTES, &err) <
        0) {
        sb_rpc_call_fail(base, &err);
        return false;
    }
    sb_local_server_kick_conn(call->conn);
    return !call->flow.is_over_high;
}

/** A reply that cannot be packed turns into the reason. */
static int queue_response(struct sb_local_call *call,
                          const ProtobufCMessage *reply,
                          const struct sb_err *status)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf buf = SB_BUF_INIT(SB_FRAME_MAX_BYTES);
    struct sb_err why;
    struct sb_err ignored;
    if (sb_envelope_put_response(&buf, status, reply, &call->base, &why) < 0 &&
        sb_envelope_put_response(&buf, &why, NULL, &call->base, &ignored) < 0) {
        return -1;
    }
    struct sb_frame frame = {.len = (uint32_t)buf.len, .type = SB_FRAME_RESPONSE};
    return sb_flow_send(&call->conn->link, &call->flow, &frame, sb_buf_cstr(&buf), true);
}

/** A stream that ends well and plainly ends with an empty DATA frame, as in ttrpc; all else takes a
 * response. */
static int
queue_end(struct sb_local_call *call, const ProtobufCMessage *reply, const struct sb_err *status)
{
    struct sb_link *link = &call->conn->link;
    struct sb_err err;
    bool is_stream = (call->base.reg->method->flags & SB_RPC_SERVER_STREAM) != 0;
    if (!is_stream || status->code != SB_OK) {
        return queue_response(call, reply, status);
    }
    if (reply != NULL &&
        sb_flow_send_message(link, &call->flow, reply, SB_RPC_MAX_MESSAGE_BYTES, &err) < 0) {
        return queue_response(call, NULL, &err);
    }
    if (call->base.n_trailers > 0) {
        return queue_response(call, NULL, status);
    }
    struct sb_frame frame = {.type = SB_FRAME_DATA,
                             .flags = SB_FRAME_REMOTE_CLOSED | SB_FRAME_NO_DATA};
    return sb_flow_send(link, &call->flow, &frame, NULL, true);
}

static void
op_finish(struct sb_rpc_call *base, const ProtobufCMessage *reply, const struct sb_err *status)
{
    struct sb_local_call *call = sb_local_call_of(base);
    if (call->conn == NULL) {
        return;
    }
    if (queue_end(call, reply, status) < 0) {
        call->conn->link.is_broken = true; /* out of memory: the connection goes */
    }
    sb_local_call_update_clogging(call);
    sb_local_server_kick_conn(call->conn);
}

static void op_abort(struct sb_rpc_call *base, const struct sb_err *status)
{
    sb_local_call_cut_short(sb_local_call_of(base), status);
}

static void op_free(struct sb_rpc_call *base)
{
    struct sb_local_call *call = sb_local_call_of(base);
    sb_envelope_metadata_done(&call->metadata);
    free(call);
}

const struct sb_rpc_call_ops sb_local_call_ops = {
    .read = op_read,
    .accept = op_accept,
    .send = op_send,
    .finish = op_finish,
    .abort = op_abort,
    .free = op_free,
};

/* ---- delivering ---- */

static void deliver_message(struct sb_local_call *call, const struct sb_link_item *item)
{
    ProtobufCMessage *msg = NULL;
    struct sb_err err;
    if (sb_rpc_unpack(call->base.reg->method->in, item->data, item->len, &msg, &err) < 0) {
        sb_rpc_call_fail(&call->base, &err);
        return;
    }
    sb_rpc_call_message(&call->base, msg);
}

void sb_local_call_turn(struct sb_local_call *call)
{
    if (call->base.is_reading && !call->base.is_finished) {
        struct sb_link_item *item = sb_flow_take(&call->conn->link, &call->flow);
        if (item != NULL) {
            sb_local_call_update_clogging(call);
            sb_local_server_kick_conn(call->conn); /* for the credit */
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
