#include <stdlib.h>

#include "base/clock.h"
#include "proto/rpc/local/client_impl.h"
#include "proto/rpc/local/ttrpc.pb-c.h"
#include "proto/rpc/metadata.h"
#include "proto/rpc/wire.h"

static struct sb_local_stream *stream_of(struct sb_rpc_stream *base)
{
    return (struct sb_local_stream *)(void *)base;
}

static struct sb_local_stream *stream_of_flow(struct sb_flow *flow)
{
    return SB_LIST_ENTRY(flow, struct sb_local_stream, flow);
}

static void make_due(struct sb_local_stream *stream)
{
    if (!sb_list_is_linked(&stream->in_due)) {
        sb_list_append(&sb_local_channel_of(stream->base.channel)->due, &stream->in_due);
    }
}

static bool is_streaming_reply(const struct sb_local_stream *stream)
{
    return (stream->base.method->flags & SB_RPC_SERVER_STREAM) != 0;
}

/* ---- ending ---- */

void sb_local_stream_set_over(struct sb_local_stream *stream, const struct sb_err *status)
{
    if (!stream->is_over) {
        stream->is_over = true;
        stream->status = *status;
        stream->flow.is_credited = false; /* nobody waits for it any more */
        sb_flow_clear(&stream->flow);
    }
    make_due(stream);
}

static void drop_messages(struct sb_local_stream *stream)
{
    for (struct sb_link_item *item;
         (item = sb_flow_take(&sb_local_channel_of(stream->base.channel)->link, &stream->flow)) !=
         NULL;) {
        free(item);
    }
}

void sb_local_stream_give_up(struct sb_local_stream *stream, enum sb_code code, const char *why)
{
    struct sb_local_channel *channel = sb_local_channel_of(stream->base.channel);
    struct sb_err status;
    (void)sb_err_set(&status, code, "%s", why);
    if (!stream->is_over && channel->is_open) {
        struct sb_frame frame = {0, stream->flow.id, SB_FRAME_CANCEL, 0};
        sb_link_put(&channel->link, &frame, NULL);
    }
    stream->is_over = false;
    sb_local_stream_set_over(stream, &status);
    drop_messages(stream);
}

void sb_local_stream_free(struct sb_local_stream *stream)
{
    sb_list_remove(&stream->in_streams);
    sb_list_remove(&stream->in_due);
    sb_flow_done(&stream->flow);
    sb_envelope_metadata_done(&stream->trailers);
    free(stream);
}

void sb_local_stream_finish(struct sb_local_stream *stream)
{
    /* Out of the lists first: the callback may start or cancel others. */
    sb_list_remove(&stream->in_streams);
    sb_list_remove(&stream->in_due);
    if (stream->base.callbacks.done != NULL) {
        stream->base.callbacks.done(&stream->base, &stream->status, stream->base.user);
    }
    sb_local_stream_free(stream);
}

/* ---- frames ---- */

static void fail_stream(struct sb_local_stream *stream, const struct sb_err *err)
{
    sb_local_stream_give_up(stream, err->code, err->text);
}

static void
on_data(struct sb_local_stream *stream, const struct sb_frame *frame, const uint8_t *data)
{
    struct sb_err err;
    sb_err_clear(&err);
    if ((frame->flags & SB_FRAME_NO_DATA) == 0 &&
        sb_flow_keep(&stream->flow, data, frame->len, &err) < 0) {
        fail_stream(stream, &err);
        return;
    }
    if ((frame->flags & SB_FRAME_REMOTE_CLOSED) != 0) {
        sb_local_stream_set_over(stream, &err);
    }
    make_due(stream);
}

static void
on_response(struct sb_local_stream *stream, const struct sb_frame *frame, const uint8_t *data)
{
    ProtobufCMessage *msg = NULL;
    struct sb_err status;
    if (sb_rpc_unpack(&aisbx__ttrpc__response__descriptor, data, frame->len, &msg, &status) < 0) {
        (void)sb_err_wrap(&status, "response envelope");
        status.code = SB_INTERNAL;
        sb_local_stream_set_over(stream, &status);
        return;
    }
    const Aisbx__Ttrpc__Response *response = (const Aisbx__Ttrpc__Response *)(const void *)msg;
    sb_envelope_get_status(response, &status);
    struct sb_err err;
    if (sb_envelope_get_metadata(response->trailers, response->n_trailers, &stream->trailers,
                                 &err) < 0 ||
        (status.code == SB_OK && !is_streaming_reply(stream) &&
         sb_flow_keep(&stream->flow, response->payload.data, (uint32_t)response->payload.len,
                      &err) < 0)) {
        status = err;
    }
    protobuf_c_message_free_unpacked(msg, NULL);
    sb_local_stream_set_over(stream, &status);
}

static void on_frame(struct sb_link *link, const struct sb_frame *frame, const uint8_t *data)
{
    struct sb_flow *flow = sb_link_find(link, frame->stream);
    struct sb_local_stream *stream = flow == NULL ? NULL : stream_of_flow(flow);
    if (stream == NULL || stream->is_over) {
        return; /* cancelled a moment ago */
    }
    switch (frame->type) {
    case SB_FRAME_DATA:
        on_data(stream, frame, data);
        break;
    case SB_FRAME_RESPONSE:
        on_response(stream, frame, data);
        break;
    case SB_FRAME_CREDIT:
        if (frame->len == 4) {
            sb_flow_credit(link, flow, sb_frame_get_u32(data));
        }
        break;
    case SB_FRAME_ACCEPT:
        stream->is_accepted = true;
        make_due(stream);
        break;
    default:
        break;
    }
}

static void on_oversize(struct sb_link *link, const struct sb_frame *frame)
{
    struct sb_flow *flow = sb_link_find(link, frame->stream);
    if (flow != NULL) {
        sb_local_stream_give_up(stream_of_flow(flow), SB_EXHAUSTED,
                                "the server sent a frame that is too large");
    }
}

static void on_moved(struct sb_link *link, struct sb_flow *flow)
{
    (void)link;
    if (flow->is_over_high && flow->out.bytes <= SB_RPC_LOW_BYTES) {
        make_due(stream_of_flow(flow));
    }
}

const struct sb_link_ops sb_local_stream_link_ops = {
    .frame = on_frame,
    .oversize = on_oversize,
    .moved = on_moved,
};

/* ---- stream ops ---- */

static void op_read(struct sb_rpc_stream *base)
{
    struct sb_local_stream *stream = stream_of(base);
    stream->is_reading = true;
    if (stream->flow.in.head != NULL || stream->is_over) {
        make_due(stream);
    }
}

static bool op_send(struct sb_rpc_stream *base, const ProtobufCMessage *msg)
{
    struct sb_local_stream *stream = stream_of(base);
    struct sb_local_channel *channel = sb_local_channel_of(base->channel);
    struct sb_err err;
    if (stream->is_over || stream->is_half_closed || !channel->is_open) {
        return false;
    }
    if (sb_flow_send_message(&channel->link, &stream->flow, msg, SB_RPC_MAX_MESSAGE_BYTES, &err) <
        0) {
        fail_stream(stream, &err);
        return false;
    }
    sb_local_channel_flush(channel);
    return !stream->flow.is_over_high;
}

static void op_half_close(struct sb_rpc_stream *base)
{
    struct sb_local_stream *stream = stream_of(base);
    struct sb_local_channel *channel = sb_local_channel_of(base->channel);
    if (stream->is_over || stream->is_half_closed || !channel->is_open) {
        return;
    }
    stream->is_half_closed = true;
    struct sb_frame frame = {.type = SB_FRAME_DATA,
                             .flags = SB_FRAME_REMOTE_CLOSED | SB_FRAME_NO_DATA};
    (void)sb_flow_send(&channel->link, &stream->flow, &frame, NULL, false);
    sb_local_channel_flush(channel);
}

static void op_cancel(struct sb_rpc_stream *base)
{
    struct sb_local_stream *stream = stream_of(base);
    sb_local_stream_give_up(stream, SB_CANCELLED, "cancelled by the caller");
    sb_local_channel_flush(sb_local_channel_of(base->channel));
}

static const char *op_trailer(const struct sb_rpc_stream *base, const char *key, size_t *ret_len)
{
    const struct sb_local_stream *stream = (const struct sb_local_stream *)(const void *)base;
    return sb_metadata_find(stream->trailers.entries, stream->trailers.n, key, ret_len);
}

static const struct sb_rpc_stream_ops stream_ops = {
    .read = op_read,
    .send = op_send,
    .half_close = op_half_close,
    .cancel = op_cancel,
    .trailer = op_trailer,
};

struct sb_local_stream *sb_local_stream_new(struct sb_local_channel *channel,
                                            const struct sb_rpc_start *start)
{
    struct sb_local_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        return NULL;
    }
    stream->base.ops = &stream_ops;
    stream->base.channel = &channel->base;
    stream->base.method = start->method;
    stream->base.callbacks = *start->callbacks;
    stream->base.user = start->user;
    stream->is_reading = (start->method->flags & SB_RPC_SERVER_STREAM) == 0;
    stream->is_half_closed = (start->method->flags & SB_RPC_CLIENT_STREAM) == 0;
    uint64_t timeout_ms = start->options->timeout_ms;
    uint64_t now = sb_clock_mono_ms();
    stream->deadline_ms =
        timeout_ms == 0 || timeout_ms >= UINT64_MAX - now ? UINT64_MAX : now + timeout_ms;
    sb_flow_init(&stream->flow, 0, true);
    return stream;
}

/* ---- callbacks ---- */

/** Hands out one message; false when there is none, or nobody asked. */
static bool deliver(struct sb_local_stream *stream)
{
    struct sb_local_channel *channel = sb_local_channel_of(stream->base.channel);
    struct sb_link_item *item =
        stream->is_reading ? sb_flow_take(&channel->link, &stream->flow) : NULL;
    if (item == NULL) {
        return false;
    }
    stream->is_reading = false;
    ProtobufCMessage *msg = NULL;
    struct sb_err err;
    if (sb_rpc_unpack(stream->base.method->out, item->data, item->len, &msg, &err) < 0) {
        (void)sb_err_wrap(&err, "reply");
        err.code = SB_INTERNAL;
        fail_stream(stream, &err);
    } else {
        stream->base.is_message_taken = false;
        if (stream->base.callbacks.message != NULL) {
            stream->base.callbacks.message(&stream->base, msg, stream->base.user);
        }
        if (!stream->base.is_message_taken) {
            protobuf_c_message_free_unpacked(msg, NULL);
        }
    }
    free(item);
    return true;
}

void sb_local_stream_turn(struct sb_local_stream *stream)
{
    while (deliver(stream)) {
    }
    if (stream->is_over) {
        /* An error makes unread messages of no interest to who does not ask for them. */
        if (stream->flow.in.head == NULL || stream->status.code != SB_OK) {
            sb_local_stream_finish(stream);
        }
        return;
    }
    if (stream->is_accepted) {
        stream->is_accepted = false;
        if (stream->base.callbacks.accepted != NULL) {
            stream->base.callbacks.accepted(&stream->base, stream->base.user);
        }
    }
    if (sb_flow_take_drained(&stream->flow) && stream->base.callbacks.drained != NULL) {
        stream->base.callbacks.drained(&stream->base, stream->base.user);
    }
}
