#include "proto/rpc/grpc/call.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/support/time.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "proto/rpc/grpc/bytes.h"
#include "proto/rpc/grpc/call_internal.h"
#include "proto/rpc/grpc/server.h"
#include "proto/rpc/internal.h"

/* Exported by libgrpc for its C++ face and missing in the C headers. Tells the end of the client's
 * messages from the end of the call, which RECV_MESSAGE reports alike. */
int grpc_call_failed_before_recv_message(const grpc_call *call);

/* ---- life ---- */

void sb_grpc_call_hold(struct sb_grpc_call *call)
{
    (void)atomic_fetch_add_explicit(&call->refs, 1, memory_order_relaxed);
}

void sb_grpc_call_drop(struct sb_grpc_call *call)
{
    if (atomic_fetch_sub_explicit(&call->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    sb_grpc_call_drop_queue(call);
    if (call->in != NULL) {
        grpc_byte_buffer_destroy(call->in);
    }
    if (call->msg != NULL) {
        protobuf_c_message_free_unpacked(call->msg, NULL);
    }
    grpc_metadata_array_destroy(&call->metadata);
    grpc_call_details_destroy(&call->details);
    if (call->call != NULL) {
        grpc_call_unref(call->call);
    }
    sb_grpc_peer_done(&call->peer);
    free(call->metadata_list);
    free(call->fail);
    free(call->status);
    free(call);
}

void sb_grpc_call_post(struct sb_grpc_call *call,
                       struct sb_grpc_op *op,
                       void (*run)(struct sb_grpc_note *note))
{
    op->note.run = run;
    sb_grpc_inbox_post(&call->server->inbox, &op->note);
}

struct sb_err *sb_grpc_call_copy_err(const struct sb_err *err)
{
    struct sb_err *copy = malloc(sizeof *copy);
    if (copy != NULL) {
        *copy = *err;
    }
    return copy;
}

/** Unpacks call->in into call->msg or call->fail. Queue thread. */
static void unpack(struct sb_grpc_call *call)
{
    struct sb_err err;
    if (call->in == NULL) {
        (void)sb_err_set(&err, SB_INVALID, "the call came without a message");
    } else {
        int result = sb_grpc_bytes_unpack(call->reg->method->in, call->in, &call->msg, &err);
        grpc_byte_buffer_destroy(call->in);
        call->in = NULL;
        if (result == 0) {
            return;
        }
    }
    call->fail = sb_grpc_call_copy_err(&err);
}

/* ---- receiving ---- */

static void on_received_loop(struct sb_grpc_note *note)
{
    struct sb_grpc_call *call = SB_GRPC_CALL_OF(note, recv_op.note);
    ProtobufCMessage *msg = call->msg;
    struct sb_err *fail = call->fail;
    call->msg = NULL; /* the handler may read again at once */
    call->fail = NULL;
    if (call->base.is_ended || call->is_recv_broken) {
        /* the close batch tells the rest */
    } else if (msg != NULL) {
        sb_rpc_call_message(&call->base, msg);
        msg = NULL;
    } else if (fail != NULL) {
        sb_rpc_call_fail(&call->base, fail);
    } else {
        sb_rpc_call_half_close(&call->base);
    }
    if (msg != NULL) {
        protobuf_c_message_free_unpacked(msg, NULL);
    }
    free(fail);
    sb_grpc_call_drop(call);
}

static void on_received(struct sb_grpc_op *op, bool is_ok)
{
    struct sb_grpc_call *call = SB_GRPC_CALL_OF(op, recv_op);
    if (call->in != NULL) {
        unpack(call);
        call->is_recv_broken = call->msg == NULL && call->fail == NULL; /* no memory to say why */
    } else {
        call->is_recv_broken = !is_ok || grpc_call_failed_before_recv_message(call->call) != 0;
    }
    sb_grpc_call_post(call, op, on_received_loop);
}

static void call_read(struct sb_rpc_call *base)
{
    struct sb_grpc_call *call = (struct sb_grpc_call *)base;
    grpc_op ops[1];
    memset(ops, 0, sizeof ops);
    ops[0].op = GRPC_OP_RECV_MESSAGE;
    ops[0].data.recv_message.recv_message = &call->in;
    sb_grpc_call_hold(call);
    if (sb_grpc_cq_batch(&call->server->cq, call->call, ops, 1, &call->recv_op) < 0) {
        sb_grpc_call_drop(call);
    }
}

/* ---- begin and end ---- */

static void call_free(struct sb_rpc_call *base)
{
    sb_grpc_call_drop((struct sb_grpc_call *)base);
}

static const struct sb_rpc_call_ops call_ops = {
    .read = call_read,
    .accept = sb_grpc_call_accept,
    .send = sb_grpc_call_send,
    .finish = sb_grpc_call_finish,
    .abort = sb_grpc_call_abort,
    .free = call_free,
};

static void on_closed_loop(struct sb_grpc_note *note)
{
    struct sb_grpc_call *call = SB_GRPC_CALL_OF(note, close_op.note);
    call->server->n_calls--;
    sb_grpc_call_drop_queue(call);
    sb_rpc_call_end(&call->base, call->close_cancelled != 0 || call->is_broken);
    sb_grpc_call_drop(call);
}

static void on_closed(struct sb_grpc_op *op, bool is_ok)
{
    (void)is_ok;
    sb_grpc_call_post(SB_GRPC_CALL_OF(op, close_op), op, on_closed_loop);
}

static uint64_t deadline_mono_ms(gpr_timespec deadline)
{
    if (gpr_time_cmp(deadline, gpr_inf_future(deadline.clock_type)) == 0) {
        return UINT64_MAX;
    }
    gpr_timespec left = gpr_time_sub(deadline, gpr_now(deadline.clock_type));
    int32_t left_ms = gpr_time_to_millis(left); /* saturates */
    return sb_clock_mono_ms() + (uint64_t)(left_ms > 0 ? left_ms : 0);
}

static void fill_base(struct sb_grpc_call *call)
{
    struct sb_rpc_call *base = &call->base;
    base->ops = &call_ops;
    base->metadata = call->metadata_list;
    base->n_metadata = call->metadata.count;
    base->peer_fd = call->peer.fd;
    base->deadline_ms = deadline_mono_ms(call->deadline);
    base->peer = (struct sb_rpc_peer){
        .transport = call->peer.transport,
        .pid = -1,
        .uid = (uid_t)-1,
        .gid = (gid_t)-1,
        .identity = call->peer.identity,
        .address = call->peer.address,
    };
    const struct sb_grpc_conn *conn = sb_grpc_conns_get(&call->server->conns, call->peer.fd);
    if (conn != NULL) {
        base->peer.pid = conn->pid;
        base->peer.uid = conn->uid;
        base->peer.gid = conn->gid;
    }
    for (int i = 0; i < SB_RPC_MAX_FDS; i++) {
        base->fds[i] = -1;
    }
}

static void on_begin_loop(struct sb_grpc_note *note)
{
    struct sb_grpc_call *call = SB_GRPC_CALL_OF(note, request_op.note);
    (void)atomic_fetch_sub(&call->server->n_backlog, 1);
    call->server->n_calls++;
    call->server->is_used = true;
    fill_base(call);
    sb_rpc_call_init(&call->base, call->server->upper, call->reg);
    ProtobufCMessage *msg = call->msg;
    struct sb_err *fail = call->fail;
    call->msg = NULL; /* the handler may read at once */
    call->fail = NULL;
    if (fail != NULL) {
        sb_rpc_call_refuse(&call->base, fail);
    } else {
        sb_rpc_call_begin(&call->base, msg);
        msg = NULL;
        /* A stream may have nothing to say for long; its client learns at once that there is one.
         */
        if ((call->reg->method->flags & SB_RPC_SERVER_STREAM) != 0) {
            sb_grpc_call_greet(call, NULL);
        }
    }
    if (msg != NULL) {
        protobuf_c_message_free_unpacked(msg, NULL);
    }
    free(fail);
    /* The reference of the request is now that of the upper side. */
}

static void on_refused(struct sb_grpc_op *op, bool is_ok)
{
    (void)is_ok;
    sb_grpc_call_drop(SB_GRPC_CALL_OF(op, close_op));
}

/** Answers on the queue thread, without the loop. */
static void refuse(struct sb_grpc_call *call, grpc_status_code code, const char *text)
{
    grpc_slice details = grpc_slice_from_static_string(text);
    grpc_op ops[3];
    memset(ops, 0, sizeof ops);
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[1].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    ops[1].data.send_status_from_server.status = code;
    ops[1].data.send_status_from_server.status_details = &details;
    ops[2].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
    ops[2].data.recv_close_on_server.cancelled = &call->close_cancelled;
    call->close_op.on_cq = on_refused;
    if (sb_grpc_cq_batch(&call->server->cq, call->call, ops, 3, &call->close_op) < 0) {
        sb_grpc_call_drop(call);
    }
}

static void accept_request(struct sb_grpc_call *call)
{
    if (sb_grpc_peer_read(call->call, &call->peer) < 0 ||
        sb_grpc_bytes_metadata(&call->metadata, &call->metadata_list, &call->base.n_metadata) < 0) {
        refuse(call, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    bool has_request = (call->reg->method->flags & SB_RPC_CLIENT_STREAM) == 0;
    if (has_request) {
        unpack(call);
        if (call->msg == NULL && call->fail == NULL) {
            refuse(call, GRPC_STATUS_RESOURCE_EXHAUSTED, "out of memory");
            return;
        }
    }
    (void)atomic_fetch_add(&call->server->n_backlog, 1);
    sb_grpc_call_hold(
        call); /* of the close batch, taken before the loop can be done with the call */
    sb_grpc_call_post(call, &call->request_op, on_begin_loop);
    /* After the post, so that the loop sees begin before end. */
    grpc_op ops[1];
    memset(ops, 0, sizeof ops);
    ops[0].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
    ops[0].data.recv_close_on_server.cancelled = &call->close_cancelled;
    if (sb_grpc_cq_batch(&call->server->cq, call->call, ops, 1, &call->close_op) < 0) {
        call->close_cancelled = 1;
        on_closed(&call->close_op, false);
    }
}

static void on_request(struct sb_grpc_op *op, bool is_ok)
{
    struct sb_grpc_call *call = SB_GRPC_CALL_OF(op, request_op);
    struct sb_grpc_server *server = call->server;
    if (!is_ok) { /* the server shuts down */
        sb_grpc_call_drop(call);
    } else {
        struct sb_err err;
        if (sb_grpc_call_arm(server, call->reg, &err) < 0) {
            SB_LOG_ERROR("method slot lost", "why=%s", err.text);
        }
        if (call->reg == NULL) {
            refuse(call, GRPC_STATUS_UNIMPLEMENTED, "unknown method");
        } else if (atomic_load(&server->n_backlog) >= server->max_calls) {
            refuse(call, GRPC_STATUS_RESOURCE_EXHAUSTED, "too many calls wait for the server");
        } else {
            accept_request(call);
        }
    }
    (void)atomic_fetch_sub(&server->n_armed, 1);
}

int sb_grpc_call_arm(struct sb_grpc_server *server,
                     const struct sb_rpc_registration *reg,
                     struct sb_err *err)
{
    struct sb_grpc_call *call = calloc(1, sizeof *call);
    if (call == NULL) {
        return sb_err_oom(err);
    }
    call->server = server;
    call->reg = reg;
    atomic_init(&call->refs, 1);
    sb_grpc_call_send_init(call);
    grpc_metadata_array_init(&call->metadata);
    grpc_call_details_init(&call->details);
    call->request_op.on_cq = on_request;
    call->close_op.on_cq = on_closed;
    call->recv_op.on_cq = on_received;

    grpc_completion_queue *queue = server->cq.queue;
    (void)atomic_fetch_add(&server->n_armed, 1);
    SB_GRPC_HAND_OVER(&call->request_op);
    grpc_call_error status;
    if (reg == NULL) {
        status = grpc_server_request_call(server->server, &call->call, &call->details,
                                          &call->metadata, queue, queue, &call->request_op);
    } else {
        bool has_request = (reg->method->flags & SB_RPC_CLIENT_STREAM) == 0;
        status = grpc_server_request_registered_call(
            server->server, reg->transport_slot, &call->call, &call->deadline, &call->metadata,
            has_request ? &call->in : NULL, queue, queue, &call->request_op);
    }
    if (status != GRPC_CALL_OK) {
        (void)atomic_fetch_sub(&server->n_armed, 1);
        sb_grpc_call_drop(call);
        return sb_err_set(err, SB_INTERNAL, "request slot: %s", grpc_call_error_to_string(status));
    }
    return 0;
}
