/** Theory of operation. One batch covers a call from its first byte to its status: it sends
 * metadata (and the request, where there is one) and receives metadata and status (and the reply,
 * where there is one). Its completion is the end of the call. Beside it run at most one send and
 * one read, each in a batch of its own, and the server's metadata for who waits to be accepted.
 * done() follows once the main batch and the read have completed, so that messages come before it.
 * The struct lives until the last batch completed, which may be later than done(): a cancelled send
 * still owns its buffer until core says otherwise.
 */
#include <stdlib.h>
#include <string.h>

#include <grpc/support/time.h>

#include "base/err.h"
#include "base/list.h"
#include "proto/rpc/grpc/bytes.h"
#include "proto/rpc/grpc/channel.h"

struct outgoing {
    struct sb_list node;
    grpc_byte_buffer *buffer;
    size_t bytes;
};

struct sb_grpc_stream {
    struct sb_rpc_stream base;
    struct sb_list node; /* in channel->streams */
    grpc_call *call;

    /* filled by core */
    grpc_metadata_array initial;
    grpc_metadata_array trailing;
    grpc_status_code code;
    grpc_slice details;
    grpc_byte_buffer *reply; /* of the main batch */
    grpc_byte_buffer *in;    /* of a read */

    struct sb_grpc_op main_op;
    struct sb_grpc_op recv_op;
    struct sb_grpc_op send_op;
    struct sb_grpc_op initial_op;
    unsigned n_batches; /* under way */

    struct sb_rpc_metadata *trailers;
    size_t n_trailers;
    grpc_byte_buffer *request;
    struct sb_list queue;
    size_t queued_bytes; /* in queue, and in flight */
    struct outgoing *in_flight;
    bool is_sending;
    bool is_over_high;
    bool is_half_closed; /* by the caller */
    bool is_close_sent;
    bool is_reading;
    bool has_initial_op;
    bool is_over;        /* the main batch completed */
    bool is_done;        /* done() ran */
    struct sb_err *fail; /* why we ended the call ourselves */
};

#define STREAM_OF(ptr, member) SB_LIST_ENTRY(ptr, struct sb_grpc_stream, member)

static struct sb_grpc_cq *queue_of(const struct sb_grpc_stream *stream)
{
    return &((struct sb_grpc_channel *)stream->base.channel)->cq;
}

/* ---- life ---- */

static void outgoing_free(struct outgoing *out)
{
    grpc_byte_buffer_destroy(out->buffer);
    free(out);
}

static void destroy_buffer(grpc_byte_buffer *buffer)
{
    if (buffer != NULL) {
        grpc_byte_buffer_destroy(buffer);
    }
}

static void stream_free(struct sb_grpc_stream *stream)
{
    for (struct sb_list *node; (node = sb_list_pop(&stream->queue)) != NULL;) {
        outgoing_free(SB_LIST_ENTRY(node, struct outgoing, node));
    }
    destroy_buffer(stream->request);
    destroy_buffer(stream->reply);
    destroy_buffer(stream->in);
    grpc_metadata_array_destroy(&stream->initial);
    grpc_metadata_array_destroy(&stream->trailing);
    grpc_slice_unref(stream->details);
    if (stream->call != NULL) {
        grpc_call_unref(stream->call);
    }
    free(stream->trailers);
    free(stream->fail);
    free(stream);
}

static void release(struct sb_grpc_stream *stream)
{
    if (stream->is_done && stream->n_batches == 0) {
        stream_free(stream);
    }
}

static void run_done(struct sb_grpc_stream *stream, const struct sb_err *err)
{
    stream->is_done = true;
    sb_list_remove(&stream->node);
    if (stream->base.callbacks.done != NULL) {
        stream->base.callbacks.done(&stream->base, err, stream->base.user);
    }
}

static void final_status(const struct sb_grpc_stream *stream, struct sb_err *ret_err)
{
    char text[SB_ERR_TEXT_SIZE];
    bool is_ok = stream->code == GRPC_STATUS_OK;
    /* A cancellation can come too late, but what we found wrong holds whatever the server says. */
    if (stream->fail != NULL && !(is_ok && stream->fail->code == SB_CANCELLED)) {
        *ret_err = *stream->fail;
        return;
    }
    if (is_ok) {
        sb_err_clear(ret_err);
        return;
    }
    bool is_known = (int)stream->code > 0 && (int)stream->code <= (int)SB_UNAUTHENTICATED;
    sb_grpc_bytes_text(stream->details, text, sizeof text);
    (void)sb_err_set(ret_err, is_known ? (enum sb_code)stream->code : SB_UNKNOWN, "%s", text);
}

static void end_if_over(struct sb_grpc_stream *stream)
{
    if (!stream->is_over || stream->is_reading || stream->is_done) {
        return;
    }
    struct sb_err err;
    final_status(stream, &err);
    (void)sb_grpc_bytes_metadata(&stream->trailing, &stream->trailers, &stream->n_trailers);
    run_done(stream, &err);
}

/** Cancels because of something found here; the reason becomes the status. */
static void give_up(struct sb_grpc_stream *stream, const struct sb_err *err)
{
    if (stream->fail == NULL) {
        stream->fail = malloc(sizeof *stream->fail);
        if (stream->fail != NULL) {
            *stream->fail = *err;
        }
    }
    (void)grpc_call_cancel_with_status(stream->call, (grpc_status_code)err->code, err->text, NULL);
}

/* ---- receiving ---- */

/** Unpacks and delivers; false when the message is malformed (the reason is in *err). */
static bool deliver(struct sb_grpc_stream *stream, grpc_byte_buffer *buffer, struct sb_err *err)
{
    ProtobufCMessage *msg = NULL;
    if (sb_grpc_bytes_unpack(stream->base.method->out, buffer, &msg, err) < 0) {
        err->code = SB_INTERNAL; /* not the caller's fault */
        (void)sb_err_wrap(err, "reply");
        return false;
    }
    stream->base.is_message_taken = false;
    if (stream->base.callbacks.message != NULL) {
        stream->base.callbacks.message(&stream->base, msg, stream->base.user);
    }
    if (!stream->base.is_message_taken) {
        protobuf_c_message_free_unpacked(msg, NULL);
    }
    return true;
}

static void on_received(struct sb_grpc_note *note)
{
    struct sb_grpc_stream *stream = STREAM_OF(note, recv_op.note);
    stream->n_batches--;
    stream->is_reading = false;
    grpc_byte_buffer *buffer = stream->in;
    stream->in = NULL;
    struct sb_err err;
    if (buffer != NULL && !stream->is_done && !deliver(stream, buffer, &err)) {
        give_up(stream, &err);
    }
    destroy_buffer(buffer);
    end_if_over(stream);
    release(stream);
}

static void on_initial(struct sb_grpc_note *note)
{
    struct sb_grpc_stream *stream = STREAM_OF(note, initial_op.note);
    bool is_accepted = false;
    stream->n_batches--;
    for (size_t i = 0; i < stream->initial.count; i++) {
        is_accepted = is_accepted || grpc_slice_str_cmp(stream->initial.metadata[i].key,
                                                        SB_GRPC_BYTES_ACCEPTED) == 0;
    }
    if (is_accepted && !stream->is_over && !stream->is_done) {
        stream->base.callbacks.accepted(&stream->base, stream->base.user);
    }
    release(stream);
}

static void on_main(struct sb_grpc_note *note)
{
    struct sb_grpc_stream *stream = STREAM_OF(note, main_op.note);
    stream->n_batches--;
    stream->is_over = true;
    struct sb_err err;
    grpc_byte_buffer *reply = stream->reply;
    stream->reply = NULL;
    bool is_single_reply = (stream->base.method->flags & SB_RPC_SERVER_STREAM) == 0;
    if (!stream->is_done && is_single_reply && stream->code == GRPC_STATUS_OK) {
        bool is_good = reply != NULL;
        if (!is_good) {
            (void)sb_err_set(&err, SB_INTERNAL, "reply: the message is missing");
        } else {
            is_good = deliver(stream, reply, &err);
        }
        if (!is_good) {
            run_done(stream, &err);
        }
    }
    destroy_buffer(reply);
    end_if_over(stream);
    release(stream);
}

static void post_to_owner(struct sb_grpc_stream *stream, struct sb_grpc_op *op)
{
    struct sb_grpc_channel *channel = (struct sb_grpc_channel *)stream->base.channel;
    sb_grpc_inbox_post(&channel->inbox, &op->note);
}

static void on_main_cq(struct sb_grpc_op *op, bool is_ok)
{
    (void)is_ok;
    post_to_owner(STREAM_OF(op, main_op), op);
}

static void on_initial_cq(struct sb_grpc_op *op, bool is_ok)
{
    (void)is_ok; /* no metadata then */
    post_to_owner(STREAM_OF(op, initial_op), op);
}

static void on_recv_cq(struct sb_grpc_op *op, bool is_ok)
{
    (void)is_ok; /* no buffer then */
    post_to_owner(STREAM_OF(op, recv_op), op);
}

static void on_send_cq(struct sb_grpc_op *op, bool is_ok)
{
    (void)is_ok; /* the main batch tells */
    post_to_owner(STREAM_OF(op, send_op), op);
}

static void stream_read(struct sb_rpc_stream *base)
{
    struct sb_grpc_stream *stream = (struct sb_grpc_stream *)base;
    bool is_streaming = (base->method->flags & SB_RPC_SERVER_STREAM) != 0;
    if (!is_streaming || stream->is_reading || stream->is_over) {
        return; /* a single reply comes by itself */
    }
    grpc_op ops[1];
    memset(ops, 0, sizeof ops);
    ops[0].op = GRPC_OP_RECV_MESSAGE;
    ops[0].data.recv_message.recv_message = &stream->in;
    if (sb_grpc_cq_batch(queue_of(stream), stream->call, ops, 1, &stream->recv_op) == 0) {
        stream->is_reading = true;
        stream->n_batches++;
    }
}

/* ---- sending ---- */

static void pump(struct sb_grpc_stream *stream)
{
    if (stream->is_sending || stream->is_over || stream->is_close_sent || stream->fail != NULL ||
        (sb_list_is_empty(&stream->queue) && !stream->is_half_closed)) {
        return;
    }
    grpc_op ops[2];
    memset(ops, 0, sizeof ops);
    size_t n = 0;
    struct sb_list *node = sb_list_pop(&stream->queue);
    if (node != NULL) {
        stream->in_flight = SB_LIST_ENTRY(node, struct outgoing, node);
        ops[n].op = GRPC_OP_SEND_MESSAGE;
        ops[n++].data.send_message.send_message = stream->in_flight->buffer;
    }
    if (sb_list_is_empty(&stream->queue) && stream->is_half_closed) {
        ops[n++].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
        stream->is_close_sent = true;
    }
    if (sb_grpc_cq_batch(queue_of(stream), stream->call, ops, n, &stream->send_op) == 0) {
        stream->is_sending = true;
        stream->n_batches++;
    } else {
        struct sb_err err;
        (void)sb_err_set(&err, SB_INTERNAL, "send refused");
        give_up(stream, &err);
    }
}

static void on_sent(struct sb_grpc_note *note)
{
    struct sb_grpc_stream *stream = STREAM_OF(note, send_op.note);
    stream->n_batches--;
    stream->is_sending = false;
    if (stream->in_flight != NULL) {
        stream->queued_bytes -= stream->in_flight->bytes;
        outgoing_free(stream->in_flight);
        stream->in_flight = NULL;
    }
    if (!stream->is_done) {
        pump(stream);
        if (stream->is_over_high && stream->queued_bytes <= SB_RPC_LOW_BYTES) {
            stream->is_over_high = false;
            if (stream->base.callbacks.drained != NULL && !stream->is_over) {
                stream->base.callbacks.drained(&stream->base, stream->base.user);
            }
        }
    }
    release(stream);
}

static bool stream_send(struct sb_rpc_stream *base, const ProtobufCMessage *msg)
{
    struct sb_grpc_stream *stream = (struct sb_grpc_stream *)base;
    if (stream->is_over || stream->is_half_closed || stream->fail != NULL) {
        return true; /* nothing will drain: done() follows */
    }
    struct sb_err err;
    struct outgoing *out = calloc(1, sizeof *out);
    if (out == NULL) {
        (void)sb_err_oom(&err);
        give_up(stream, &err);
        return true;
    }
    if (sb_grpc_bytes_pack(msg, SB_RPC_MAX_MESSAGE_BYTES, &out->buffer, &err) < 0) {
        free(out);
        give_up(stream, &err);
        return true;
    }
    out->bytes = grpc_byte_buffer_length(out->buffer);
    stream->queued_bytes += out->bytes;
    sb_list_append(&stream->queue, &out->node);
    if (stream->queued_bytes > SB_RPC_HIGH_BYTES) {
        stream->is_over_high = true;
    }
    pump(stream);
    return !stream->is_over_high;
}

static void stream_half_close(struct sb_rpc_stream *base)
{
    struct sb_grpc_stream *stream = (struct sb_grpc_stream *)base;
    stream->is_half_closed = true;
    pump(stream);
}

static void stream_cancel(struct sb_rpc_stream *base)
{
    struct sb_grpc_stream *stream = (struct sb_grpc_stream *)base;
    struct sb_err err;
    (void)sb_err_set(&err, SB_CANCELLED, "cancelled by the caller");
    if (!stream->is_over) {
        give_up(stream, &err);
    }
}

static const char *
stream_trailer(const struct sb_rpc_stream *base, const char *key, size_t *ret_len)
{
    const struct sb_grpc_stream *stream = (const struct sb_grpc_stream *)base;
    return sb_grpc_bytes_find(stream->trailers, stream->n_trailers, key, ret_len);
}

void sb_grpc_stream_cancel_all(struct sb_grpc_channel *channel)
{
    struct sb_err err;
    (void)sb_err_set(&err, SB_CANCELLED, "the channel is closed");
    for (struct sb_list *node; (node = sb_list_pop(&channel->streams)) != NULL;) {
        struct sb_grpc_stream *stream = SB_LIST_ENTRY(node, struct sb_grpc_stream, node);
        (void)grpc_call_cancel(stream->call, NULL);
        run_done(stream, &err);
        release(stream);
    }
}

/* ---- starting ---- */

static const struct sb_rpc_stream_ops stream_ops = {
    .read = stream_read,
    .send = stream_send,
    .half_close = stream_half_close,
    .cancel = stream_cancel,
    .trailer = stream_trailer,
};

static struct sb_grpc_stream *stream_new(struct sb_grpc_channel *channel,
                                         const struct sb_rpc_start *start)
{
    struct sb_grpc_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        return NULL;
    }
    stream->base = (struct sb_rpc_stream){
        .ops = &stream_ops,
        .channel = &channel->base,
        .method = start->method,
        .callbacks = *start->callbacks,
        .user = start->user,
    };
    sb_list_init(&stream->queue);
    grpc_metadata_array_init(&stream->initial);
    grpc_metadata_array_init(&stream->trailing);
    stream->details = grpc_empty_slice();
    stream->main_op = (struct sb_grpc_op){.on_cq = on_main_cq, .note.run = on_main};
    stream->recv_op = (struct sb_grpc_op){.on_cq = on_recv_cq, .note.run = on_received};
    stream->send_op = (struct sb_grpc_op){.on_cq = on_send_cq, .note.run = on_sent};
    stream->initial_op = (struct sb_grpc_op){.on_cq = on_initial_cq, .note.run = on_initial};
    stream->has_initial_op =
        start->callbacks->accepted != NULL && start->method->flags == SB_RPC_CLIENT_STREAM;
    return stream;
}

static gpr_timespec deadline_of(uint64_t timeout_ms)
{
    if (timeout_ms == 0) {
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    }
    int64_t ms = timeout_ms > INT64_MAX / 1000000 ? INT64_MAX / 1000000 : (int64_t)timeout_ms;
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(ms, GPR_TIMESPAN));
}

/** Slices of our metadata; core takes its own references when the batch starts. */
static int
fill_metadata(const struct sb_rpc_stream_options *options, grpc_metadata *list, struct sb_err *err)
{
    for (size_t i = 0; i < options->n_metadata; i++) {
        const struct sb_rpc_metadata *entry = &options->metadata[i];
        grpc_slice key = grpc_slice_from_copied_string(entry->key);
        grpc_slice value = grpc_slice_from_copied_buffer(entry->value, entry->len);
        list[i] = (grpc_metadata){.key = key, .value = value};
        if (grpc_header_key_is_legal(key) == 0 ||
            (grpc_is_binary_header(key) == 0 && grpc_header_nonbin_value_is_legal(value) == 0)) {
            for (size_t k = 0; k <= i; k++) {
                grpc_slice_unref(list[k].key);
                grpc_slice_unref(list[k].value);
            }
            return sb_err_set(err, SB_INVALID, "metadata %s: not a legal header", entry->key);
        }
    }
    return 0;
}

static grpc_op initial_op(struct sb_grpc_stream *stream)
{
    grpc_op op;
    memset(&op, 0, sizeof op);
    op.op = GRPC_OP_RECV_INITIAL_METADATA;
    op.data.recv_initial_metadata.recv_initial_metadata = &stream->initial;
    return op;
}

static size_t fill_main_ops(struct sb_grpc_stream *stream,
                            grpc_metadata *metadata,
                            size_t n_metadata,
                            grpc_op ops[6])
{
    size_t n = 0;
    memset(ops, 0, 6 * sizeof *ops);
    ops[n].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[n].data.send_initial_metadata.count = n_metadata;
    ops[n++].data.send_initial_metadata.metadata = metadata;
    if (stream->request != NULL) {
        ops[n].op = GRPC_OP_SEND_MESSAGE;
        ops[n++].data.send_message.send_message = stream->request;
        ops[n++].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
        stream->is_half_closed = true;
        stream->is_close_sent = true;
    }
    if (!stream->has_initial_op) {
        ops[n++] = initial_op(stream);
    }
    if ((stream->base.method->flags & SB_RPC_SERVER_STREAM) == 0) {
        ops[n].op = GRPC_OP_RECV_MESSAGE;
        ops[n++].data.recv_message.recv_message = &stream->reply;
    }
    ops[n].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[n].data.recv_status_on_client.status = &stream->code;
    ops[n].data.recv_status_on_client.status_details = &stream->details;
    ops[n++].data.recv_status_on_client.trailing_metadata = &stream->trailing;
    return n;
}

static int start_main(struct sb_grpc_channel *channel,
                      struct sb_grpc_stream *stream,
                      const struct sb_rpc_stream_options *options,
                      struct sb_err *err)
{
    grpc_metadata metadata[SB_RPC_MAX_METADATA];
    if (fill_metadata(options, metadata, err) < 0) {
        return -1;
    }
    stream->call =
        grpc_channel_create_call(channel->channel, NULL, GRPC_PROPAGATE_DEFAULTS, channel->cq.queue,
                                 grpc_slice_from_static_string(stream->base.method->path), NULL,
                                 deadline_of(options->timeout_ms), NULL);
    grpc_op ops[6];
    size_t n = fill_main_ops(stream, metadata, options->n_metadata, ops);
    int result = sb_grpc_cq_batch(queue_of(stream), stream->call, ops, n, &stream->main_op);
    for (size_t i = 0; i < options->n_metadata; i++) {
        grpc_slice_unref(metadata[i].key);
        grpc_slice_unref(metadata[i].value);
    }
    if (result < 0) {
        return sb_err_set(err, SB_INTERNAL, "gRPC refuses the call");
    }
    stream->n_batches++;
    ops[0] = initial_op(stream);
    if (stream->has_initial_op &&
        sb_grpc_cq_batch(queue_of(stream), stream->call, ops, 1, &stream->initial_op) == 0) {
        stream->n_batches++;
    }
    return 0;
}

int sb_grpc_stream_start(struct sb_rpc_channel *base,
                         const struct sb_rpc_start *start,
                         struct sb_rpc_stream **ret_stream,
                         struct sb_err *err)
{
    struct sb_grpc_channel *channel = (struct sb_grpc_channel *)base;
    if (start->options->n_fds > 0) {
        return sb_err_set(err, SB_UNIMPLEMENTED, "gRPC carries no descriptors");
    }
    struct sb_grpc_stream *stream = stream_new(channel, start);
    if (stream == NULL) {
        return sb_err_oom(err);
    }
    if ((start->req != NULL &&
         sb_grpc_bytes_pack(start->req, SB_RPC_MAX_MESSAGE_BYTES, &stream->request, err) < 0) ||
        start_main(channel, stream, start->options, err) < 0) {
        stream_free(stream);
        return -1;
    }
    sb_list_append(&channel->streams, &stream->node);
    *ret_stream = &stream->base;
    return 0;
}
