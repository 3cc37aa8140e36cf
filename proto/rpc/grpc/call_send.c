/* What goes out of a call: a queue of messages of which one is being sent, and the status. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "proto/rpc/grpc/bytes.h"
#include "proto/rpc/grpc/call_internal.h"
#include "proto/rpc/grpc/server.h"

/** One packed message in the queue. */
struct sb_grpc_outgoing {
    struct sb_list node;
    grpc_byte_buffer *buffer;
    size_t bytes;
};

static void outgoing_free(struct sb_grpc_outgoing *out)
{
    grpc_byte_buffer_destroy(out->buffer);
    free(out);
}

/* ---- sending ---- */

static void on_sent_loop(struct sb_grpc_note *note);

static void on_sent(struct sb_grpc_op *op, bool is_ok)
{
    (void)is_ok; /* a failed send means a call that ends: the close batch tells */
    sb_grpc_call_post(SB_GRPC_CALL_OF(op, send_op), op, on_sent_loop);
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
        call->in_flight = SB_LIST_ENTRY(node, struct sb_grpc_outgoing, node);
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
    sb_grpc_call_hold(call);
    if (sb_grpc_cq_batch(&call->server->cq, call->call, ops, n, &call->send_op) < 0) {
        grpc_call_cancel_with_status(call->call, GRPC_STATUS_INTERNAL, "send refused", NULL);
        call->is_broken = true;
        sb_grpc_call_drop(call);
    }
    for (size_t i = 0; i < n_trailers; i++) {
        grpc_slice_unref(trailers[i].key);
        grpc_slice_unref(trailers[i].value);
    }
    grpc_slice_unref(text);
}

static void on_sent_loop(struct sb_grpc_note *note)
{
    struct sb_grpc_call *call = SB_GRPC_CALL_OF(note, send_op.note);
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
    sb_grpc_call_drop(call);
}

void sb_grpc_call_drop_queue(struct sb_grpc_call *call)
{
    for (struct sb_list *node; (node = sb_list_pop(&call->queue)) != NULL;) {
        struct sb_grpc_outgoing *out = SB_LIST_ENTRY(node, struct sb_grpc_outgoing, node);
        call->queued_bytes -= out->bytes;
        outgoing_free(out);
    }
}

void sb_grpc_call_abort(struct sb_rpc_call *base, const struct sb_err *status)
{
    struct sb_grpc_call *call = (struct sb_grpc_call *)base;
    sb_grpc_call_drop_queue(call);
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
    struct sb_grpc_outgoing *out = calloc(1, sizeof *out);
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
    sb_grpc_call_abort(&call->base, &err);
    return -1;
}

bool sb_grpc_call_send(struct sb_rpc_call *base, const ProtobufCMessage *msg)
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

void sb_grpc_call_finish(struct sb_rpc_call *base,
                         const ProtobufCMessage *reply,
                         const struct sb_err *status)
{
    struct sb_grpc_call *call = (struct sb_grpc_call *)base;
    if (call->is_broken || (reply != NULL && enqueue(call, reply) < 0)) {
        return;
    }
    call->status = sb_grpc_call_copy_err(status);
    if (call->status == NULL) {
        struct sb_err err;
        (void)sb_err_oom(&err);
        sb_grpc_call_abort(base, &err);
        return;
    }
    pump(call);
}

/* ---- initial metadata ---- */

static void on_greeted(struct sb_grpc_op *op, bool is_ok)
{
    (void)is_ok;
    sb_grpc_call_drop(SB_GRPC_CALL_OF(op, greet_op));
}

void sb_grpc_call_greet(struct sb_grpc_call *call, grpc_metadata *entry)
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
    sb_grpc_call_hold(call);
    if (sb_grpc_cq_batch(&call->server->cq, call->call, &op, 1, &call->greet_op) < 0) {
        sb_grpc_call_drop(call);
    }
}

void sb_grpc_call_accept(struct sb_rpc_call *base)
{
    grpc_metadata entry = {.key = grpc_slice_from_static_string(SB_GRPC_BYTES_ACCEPTED),
                           .value = grpc_slice_from_static_string("1")};
    sb_grpc_call_greet((struct sb_grpc_call *)base, &entry);
}

void sb_grpc_call_send_init(struct sb_grpc_call *call)
{
    sb_list_init(&call->queue);
    call->send_op.on_cq = on_sent;
    call->greet_op.on_cq = on_greeted;
}
