/** Theory of operation. A call passes three places:
 *
 *      queue thread   on_request: arms the next slot, reads peer and metadata, checks and unpacks
 * the request, posts; then starts the batch that tells of the call's end loop thread    on_begin
 * and whatever the handler does: every field below "loop" belongs to it queue thread   on_received
 * unpacks and posts; on_sent posts; on_closed posts; on_status_sent only drops its reference
 *
 *  Each batch under way holds a reference, and so does the upper side (until ops->free); the last
 * one frees the struct, on whichever thread. At most one message is being sent, so that a reader
 * that stalls stops the queue here, where its bytes are counted. The call has ended, for the upper
 * side, when core reports so (GRPC_OP_RECV_CLOSE_ON_SERVER); batches still under way complete soon
 * after and find base.is_ended set. */
#include "proto/rpc/grpc/call.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/support/time.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "proto/rpc/grpc/bytes.h"
#include "proto/rpc/grpc/server.h"
#include "proto/rpc/internal.h"

/* Exported by libgrpc for its C++ face and missing in the C headers. Tells the end of the client's
 * messages from the end of the call, which RECV_MESSAGE reports alike. */
int grpc_call_failed_before_recv_message(const grpc_call *call);

/** One packed message in the queue. */
struct outgoing {
    struct sb_list node;
    grpc_byte_buffer *buffer;
    size_t bytes;
};

struct sb_grpc_call {
    struct sb_rpc_call base;
    struct sb_grpc_server *server;
    const struct sb_rpc_registration *reg; /* NULL: the slot for unknown methods */
    atomic_uint refs;

    /* filled by core */
    grpc_call *call;
    gpr_timespec deadline;
    grpc_metadata_array metadata;
    grpc_call_details details; /* unknown methods only */
    grpc_byte_buffer *in;
    int close_cancelled;

    /* queue thread, handed to the loop with the post */
    struct sb_grpc_peer peer;
    struct sb_rpc_metadata *metadata_list;
    ProtobufCMessage *msg;
    struct sb_err *fail; /* why there is no msg */
    bool is_recv_broken; /* the read ended because the call did */

    struct sb_grpc_op request_op;
    struct sb_grpc_op close_op;
    struct sb_grpc_op recv_op;
    struct sb_grpc_op send_op;
    struct sb_grpc_op greet_op;

    /* loop */
    struct sb_list queue; /* struct outgoing */
    size_t queued_bytes;  /* in queue, and in flight */
    struct outgoing *in_flight;
    struct sb_err *status; /* final; NULL: not yet known */
    bool is_over_high;
    bool is_metadata_sent;
    bool is_status_sent;
    bool is_broken; /* aborted or failed by us: the end is a cancellation */
};

#define CALL_OF(ptr, member) SB_LIST_ENTRY(ptr, struct sb_grpc_call, member)

/* ---- life ---- */

static void outgoing_free(struct outgoing *out)
{
    grpc_byte_buffer_destroy(out->buffer);
    free(out);
}

static void hold(struct sb_grpc_call *call)
{
    (void)atomic_fetch_add_explicit(&call->refs, 1, memory_order_relaxed);
}

static void drop(struct sb_grpc_call *call)
{
    if (atomic_fetch_sub_explicit(&call->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (struct sb_list *node; (node = sb_list_pop(&call->queue)) != NULL;) {
        outgoing_free(SB_LIST_ENTRY(node, struct outgoing, node));
    }
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

static void
post(struct sb_grpc_call *call, struct sb_grpc_op *op, void (*run)(struct sb_grpc_note *note))
{
    op->note.run = run;
    sb_grpc_inbox_post(&call->server->inbox, &op->note);
}

static struct sb_err *copy_err(const struct sb_err *err)
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
    call->fail = copy_err(&err);
}

/* ---- sending ---- */

static void on_sent_loop(struct sb_grpc_note *note);

static void on_sent(struct sb_grpc_op *op, bool is_ok)
{
    (void)is_ok; /* a failed send means a call that ends: the close batch tells */
    post(CALL_OF(op, send_op), op, on_sent_loop);
}

static size_t fill_trailers(struct sb_grpc_call *call, grpc_metadata *list)
{
    for (unsigned i = 0; i < call->base.n_trailers; i++) {
        const struct sb_rpc_trailer *trailer = &call->base.trailers[i];
        list[i] = (grpc_metadata){
            .key = grpc_slice_from_copied_string(trailer->key),
            .value = grpc_slice_from_copied_buffer(trailer->value, trailer->len),
        };
    }
    return call->base.n_trailers;
}

/** Starts the next batch if none is under way: the next message, and with the last one the status.
 */
static void pump(struct sb_grpc_call *call)
{
    if (call->in_flight != NULL || call->is_status_sent || call->is_broken || call->base.is_ended ||
        (sb_list_is_empty(&call->queue) && call->status == NULL)) {
        return;
    }
    grpc_op ops[3];
    memset(ops, 0, sizeof ops);
    size_t n = 0;
    if (!call->is_metadata_sent) {
        ops[n++].op = GRPC_OP_SEND_INITIAL_METADATA;
        call->is_metadata_sent = true;
    }
    struct sb_list *node = sb_list_pop(&call->queue);
    if (node != NULL) {
        call->in_flight = SB_LIST_ENTRY(node, struct outgoing, node);
        ops[n].op = GRPC_OP_SEND_MESSAGE;
        ops[n++].data.send_message.send_message = call->in_flight->buffer;
    }
    grpc_metadata trailers[SB_RPC_MAX_TRAILERS];
    size_t n_trailers = 0;
    grpc_slice text = grpc_empty_slice();
    if (sb_list_is_empty(&call->queue) && call->status != NULL) {
        n_trailers = fill_trailers(call, trailers);
        text = grpc_slice_from_copied_string(call->status->text);
        ops[n].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
        ops[n].data.send_status_from_server.status = (grpc_status_code)call->status->code;
        ops[n].data.send_status_from_server.status_details = &text;
        ops[n].data.send_status_from_server.trailing_metadata_count = n_trailers;
        ops[n++].data.send_status_from_server.trailing_metadata = trailers;
        call->is_status_sent = true;
    }
    hold(call);
    if (sb_grpc_cq_batch(&call->server->cq, call->call, ops, n, &call->send_op) < 0) {
        grpc_call_cancel_with_status(call->call, GRPC_STATUS_INTERNAL, "send refused", NULL);
        call->is_broken = true;
        drop(call);
    }
    for (size_t i = 0; i < n_trailers; i++) {
        grpc_slice_unref(trailers[i].key);
        grpc_slice_unref(trailers[i].value);
    }
    grpc_slice_unref(text);
}

static void on_sent_loop(struct sb_grpc_note *note)
{
    struct sb_grpc_call *call = CALL_OF(note, send_op.note);
    if (call->in_flight != NULL) {
        call->queued_bytes -= call->in_flight->bytes;
        outgoing_free(call->in_flight);
        call->in_flight = NULL;
    }
    pump(call);
    if (call->is_over_high && call->queued_bytes <= SB_RPC_LOW_BYTES) {
        call->is_over_high = false;
        if (!call->base.is_ended && call->status == NULL && !call->is_broken) {
            sb_rpc_call_drained(&call->base);
        }
    }
    drop(call);
}

static void drop_queue(struct sb_grpc_call *call)
{
    for (struct sb_list *node; (node = sb_list_pop(&call->queue)) != NULL;) {
        struct outgoing *out = SB_LIST_ENTRY(node, struct outgoing, node);
        call->queued_bytes -= out->bytes;
        outgoing_free(out);
    }
}

static void call_abort(struct sb_rpc_call *base, const struct sb_err *status)
{
    struct sb_grpc_call *call = (struct sb_grpc_call *)base;
    drop_queue(call);
    if (!call->is_broken) {
        call->is_broken = true;
        grpc_call_cancel_with_status(call->call, (grpc_status_code)status->code, status->text,
                                     NULL);
    }
}

/** A message we cannot send (too large, no memory) ends the call: the receiver must not see a gap.
 */
static int enqueue(struct sb_grpc_call *call, const ProtobufCMessage *msg)
{
    struct sb_err err;
    struct outgoing *out = calloc(1, sizeof *out);
    if (out == NULL) {
        (void)sb_err_oom(&err);
    } else if (sb_grpc_bytes_pack(msg, call->server->max_message_bytes, &out->buffer, &err) == 0) {
        out->bytes = grpc_byte_buffer_length(out->buffer);
        call->queued_bytes += out->bytes;
        sb_list_append(&call->queue, &out->node);
        return 0;
    }
    free(out);
    SB_LOG_WARN("reply not sent", "method=%s why=%s", call->reg->method->path, err.text);
    call_abort(&call->base, &err);
    return -1;
}

static bool call_send(struct sb_rpc_call *base, const ProtobufCMessage *msg)
{
    struct sb_grpc_call *call = (struct sb_grpc_call *)base;
    if (call->is_broken || enqueue(call, msg) < 0) {
        return true; /* nothing will drain: done() follows */
    }
    if (call->queued_bytes > SB_RPC_HIGH_BYTES) {
        call->is_over_high = true;
    }
    pump(call);
    return !call->is_over_high;
}

static void
call_finish(struct sb_rpc_call *base, const ProtobufCMessage *reply, const struct sb_err *status)
{
    struct sb_grpc_call *call = (struct sb_grpc_call *)base;
    if (call->is_broken || (reply != NULL && enqueue(call, reply) < 0)) {
        return;
    }
    call->status = copy_err(status);
    if (call->status == NULL) {
        struct sb_err err;
        (void)sb_err_oom(&err);
        call_abort(base, &err);
        return;
    }
    pump(call);
}

/* ---- receiving ---- */

static void on_received_loop(struct sb_grpc_note *note)
{
    struct sb_grpc_call *call = CALL_OF(note, recv_op.note);
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
    drop(call);
}

static void on_received(struct sb_grpc_op *op, bool is_ok)
{
    struct sb_grpc_call *call = CALL_OF(op, recv_op);
    if (call->in != NULL) {
        unpack(call);
        call->is_recv_broken = call->msg == NULL && call->fail == NULL; /* no memory to say why */
    } else {
        call->is_recv_broken = !is_ok || grpc_call_failed_before_recv_message(call->call) != 0;
    }
    post(call, op, on_received_loop);
}

static void call_read(struct sb_rpc_call *base)
{
    struct sb_grpc_call *call = (struct sb_grpc_call *)base;
    grpc_op ops[1];
    memset(ops, 0, sizeof ops);
    ops[0].op = GRPC_OP_RECV_MESSAGE;
    ops[0].data.recv_message.recv_message = &call->in;
    hold(call);
    if (sb_grpc_cq_batch(&call->server->cq, call->call, ops, 1, &call->recv_op) < 0) {
        drop(call);
    }
}

/* ---- begin and end ---- */

static void on_greeted(struct sb_grpc_op *op, bool is_ok)
{
    (void)is_ok;
    drop(CALL_OF(op, greet_op));
}

/** @entry  borrowed; NULL: none. */
static void greet(struct sb_grpc_call *call, grpc_metadata *entry)
{
    if (call->is_metadata_sent || call->is_broken || call->base.is_ended) {
        return;
    }
    grpc_op op;
    memset(&op, 0, sizeof op);
    op.op = GRPC_OP_SEND_INITIAL_METADATA;
    op.data.send_initial_metadata.count = entry == NULL ? 0 : 1;
    op.data.send_initial_metadata.metadata = entry;
    call->is_metadata_sent = true;
    hold(call);
    if (sb_grpc_cq_batch(&call->server->cq, call->call, &op, 1, &call->greet_op) < 0) {
        drop(call);
    }
}

static void call_accept(struct sb_rpc_call *base)
{
    grpc_metadata entry = {.key = grpc_slice_from_static_string(SB_GRPC_BYTES_ACCEPTED),
                           .value = grpc_slice_from_static_string("1")};
    greet((struct sb_grpc_call *)base, &entry);
}

static void call_free(struct sb_rpc_call *base)
{
    drop((struct sb_grpc_call *)base);
}

static const struct sb_rpc_call_ops call_ops = {
    .read = call_read,
    .accept = call_accept,
    .send = call_send,
    .finish = call_finish,
    .abort = call_abort,
    .free = call_free,
};

static void on_closed_loop(struct sb_grpc_note *note)
{
    struct sb_grpc_call *call = CALL_OF(note, close_op.note);
    call->server->n_calls--;
    drop_queue(call);
    sb_rpc_call_end(&call->base, call->close_cancelled != 0 || call->is_broken);
    drop(call);
}

static void on_closed(struct sb_grpc_op *op, bool is_ok)
{
    (void)is_ok;
    post(CALL_OF(op, close_op), op, on_closed_loop);
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
    struct sb_grpc_call *call = CALL_OF(note, request_op.note);
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
            greet(call, NULL);
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
    drop(CALL_OF(op, close_op));
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
        drop(call);
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
    hold(call); /* of the close batch, taken before the loop can be done with the call */
    post(call, &call->request_op, on_begin_loop);
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
    struct sb_grpc_call *call = CALL_OF(op, request_op);
    struct sb_grpc_server *server = call->server;
    if (!is_ok) { /* the server shuts down */
        drop(call);
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
    sb_list_init(&call->queue);
    grpc_metadata_array_init(&call->metadata);
    grpc_call_details_init(&call->details);
    call->request_op.on_cq = on_request;
    call->close_op.on_cq = on_closed;
    call->recv_op.on_cq = on_received;
    call->send_op.on_cq = on_sent;
    call->greet_op.on_cq = on_greeted;

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
        drop(call);
        return sb_err_set(err, SB_INTERNAL, "request slot: %s", grpc_call_error_to_string(status));
    }
    return 0;
}
