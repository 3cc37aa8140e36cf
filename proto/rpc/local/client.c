/** Theory of operation. A channel is one connection; a lost one is opened again by the next call.
 * start() tries to send at once, so a unary call costs one sendmsg, one poll and one recvmsg.
 * Callbacks run only from process() and free(): what happens to a stream elsewhere puts it on the
 * channel's list of due streams, and prepare() then says "do not sleep".
 *
 *  A stream is over when its status is known and every message before it was taken; cancel,
 * deadline and a lost connection drop what was not taken. */
#include "proto/rpc/local/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/list.h"
#include "proto/rpc/local/envelope.h"
#include "proto/rpc/local/link.h"
#include "proto/rpc/local/ttrpc.pb-c.h"
#include "proto/rpc/metadata.h"
#include "proto/rpc/wire.h"

enum { LAST_READS = 64, MAX_TRIES = 2 };

#define SCHEME "unix:"

struct channel {
    struct sb_rpc_channel base; /* first */
    struct sockaddr_un address;
    unsigned connect_timeout_ms;
    bool is_open;
    struct sb_link link;
    struct sb_err why_closed;
    uint32_t next_id;
    struct sb_list streams; /* struct stream, in_streams */
    struct sb_list due;     /* struct stream, in_due */
};

struct stream {
    struct sb_rpc_stream base; /* first */
    struct sb_flow flow;
    struct sb_list in_streams;
    struct sb_list in_due;
    uint64_t deadline_ms; /* CLOCK_MONOTONIC; UINT64_MAX: none */
    struct sb_envelope_metadata trailers;
    struct sb_err status; /* final once is_over */
    bool is_reading;
    bool is_half_closed;
    bool is_over; /* the status is known */
};

static struct channel *channel_of(const struct sb_rpc_channel *base)
{
    union {
        const struct sb_rpc_channel *in;
        struct channel *out;
    } u = {.in = base};
    return u.out;
}

static struct stream *stream_of(struct sb_rpc_stream *base)
{
    return (struct stream *)(void *)base;
}

static struct stream *stream_of_flow(struct sb_flow *flow)
{
    return SB_LIST_ENTRY(flow, struct stream, flow);
}

static void make_due(struct stream *stream)
{
    if (!sb_list_is_linked(&stream->in_due)) {
        sb_list_append(&channel_of(stream->base.channel)->due, &stream->in_due);
    }
}

static bool is_streaming_reply(const struct stream *stream)
{
    return (stream->base.method->flags & SB_RPC_SERVER_STREAM) != 0;
}

/* ---- ending ---- */

static void set_over(struct stream *stream, const struct sb_err *status)
{
    if (!stream->is_over) {
        stream->is_over = true;
        stream->status = *status;
        stream->flow.is_credited = false; /* nobody waits for it any more */
        sb_flow_clear(&stream->flow);
    }
    make_due(stream);
}

static void drop_messages(struct stream *stream)
{
    for (struct sb_link_item *item;
         (item = sb_flow_take(&channel_of(stream->base.channel)->link, &stream->flow)) != NULL;) {
        free(item);
    }
}

/** Ends a stream whatever its state was, unless done() has run. */
static void give_up(struct stream *stream, enum sb_code code, const char *why)
{
    struct channel *channel = channel_of(stream->base.channel);
    struct sb_err status;
    (void)sb_err_set(&status, code, "%s", why);
    if (!stream->is_over && channel->is_open) {
        struct sb_frame frame = {0, stream->flow.id, SB_FRAME_CANCEL, 0};
        sb_link_put(&channel->link, &frame, NULL);
    }
    stream->is_over = false;
    set_over(stream, &status);
    drop_messages(stream);
}

static void close_link(struct channel *channel, const struct sb_err *why)
{
    if (!channel->is_open) {
        return;
    }
    channel->is_open = false;
    channel->why_closed = *why;
    SB_FOREACH (node, &channel->streams) {
        struct stream *stream = SB_LIST_ENTRY(node, struct stream, in_streams);
        set_over(stream, why);
        sb_list_remove(&stream->flow.in_table);
    }
    sb_link_done(&channel->link);
}

static void stream_free(struct stream *stream)
{
    sb_list_remove(&stream->in_streams);
    sb_list_remove(&stream->in_due);
    sb_flow_done(&stream->flow);
    sb_envelope_metadata_done(&stream->trailers);
    free(stream);
}

static void finish(struct stream *stream)
{
    /* Out of the lists first: the callback may start or cancel others. */
    sb_list_remove(&stream->in_streams);
    sb_list_remove(&stream->in_due);
    if (stream->base.callbacks.done != NULL) {
        stream->base.callbacks.done(&stream->base, &stream->status, stream->base.user);
    }
    stream_free(stream);
}

/* ---- frames ---- */

static void fail_stream(struct stream *stream, const struct sb_err *err)
{
    give_up(stream, err->code, err->text);
}

static void on_data(struct stream *stream, const struct sb_frame *frame, const uint8_t *data)
{
    struct sb_err err;
    sb_err_clear(&err);
    if ((frame->flags & SB_FRAME_NO_DATA) == 0 &&
        sb_flow_keep(&stream->flow, data, frame->len, &err) < 0) {
        fail_stream(stream, &err);
        return;
    }
    if ((frame->flags & SB_FRAME_REMOTE_CLOSED) != 0) {
        set_over(stream, &err);
    }
    make_due(stream);
}

static void on_response(struct stream *stream, const struct sb_frame *frame, const uint8_t *data)
{
    ProtobufCMessage *msg = NULL;
    struct sb_err status;
    if (sb_rpc_unpack(&aisbx__ttrpc__response__descriptor, data, frame->len, &msg, &status) < 0) {
        (void)sb_err_wrap(&status, "response envelope");
        status.code = SB_INTERNAL;
        set_over(stream, &status);
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
    set_over(stream, &status);
}

static void on_frame(struct sb_link *link, const struct sb_frame *frame, const uint8_t *data)
{
    struct sb_flow *flow = sb_link_find(link, frame->stream);
    struct stream *stream = flow == NULL ? NULL : stream_of_flow(flow);
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
    default:
        break;
    }
}

static void on_oversize(struct sb_link *link, const struct sb_frame *frame)
{
    struct sb_flow *flow = sb_link_find(link, frame->stream);
    if (flow != NULL) {
        give_up(stream_of_flow(flow), SB_EXHAUSTED, "the server sent a frame that is too large");
    }
}

static void on_moved(struct sb_link *link, struct sb_flow *flow)
{
    (void)link;
    if (flow->is_over_high && flow->out.bytes <= SB_RPC_LOW_BYTES) {
        make_due(stream_of_flow(flow));
    }
}

static const struct sb_link_ops link_ops = {
    .frame = on_frame,
    .oversize = on_oversize,
    .moved = on_moved,
};

/* ---- connection ---- */

static int wait_connected(struct channel *channel, int fd, struct sb_err *err)
{
    uint64_t deadline = sb_clock_mono_ms() + channel->connect_timeout_ms;
    for (;;) {
        if (connect(fd, (const struct sockaddr *)&channel->address, sizeof channel->address) == 0) {
            return 0;
        }
        int left = sb_clock_left_ms(deadline);
        if ((errno != EAGAIN && errno != EINTR) || left == 0) {
            (void)sb_err_sys(err, errno, "connect to %s", channel->address.sun_path);
            err->code = SB_UNAVAILABLE;
            return -1;
        }
        /* A full backlog cannot be polled for. */
        (void)poll(NULL, 0, left < 10 ? left : 10);
    }
}

static int open_link(struct channel *channel, struct sb_err *err)
{
    SB_CLEANUP(sb_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return sb_err_sys(err, errno, "socket");
    }
    if (wait_connected(channel, fd, err) < 0) {
        return -1;
    }
    sb_link_init(&channel->link, SB_STEAL_FD(fd), &link_ops, channel);
    channel->link.reads_always = true;
    channel->is_open = true;
    return 0;
}

static void flush(struct channel *channel)
{
    struct sb_err err;
    if (channel->is_open && sb_link_flush(&channel->link, &err) < 0) {
        /* What the server said before it went away is still to be read. */
        struct sb_err ignored;
        for (unsigned i = 0; i < LAST_READS && sb_link_receive(&channel->link, &ignored) == 0;
             i++) {
        }
        close_link(channel, &err);
    }
}

/* ---- stream ops ---- */

static void op_read(struct sb_rpc_stream *base)
{
    struct stream *stream = stream_of(base);
    stream->is_reading = true;
    if (stream->flow.in.head != NULL || stream->is_over) {
        make_due(stream);
    }
}

static bool op_send(struct sb_rpc_stream *base, const ProtobufCMessage *msg)
{
    struct stream *stream = stream_of(base);
    struct channel *channel = channel_of(base->channel);
    struct sb_err err;
    if (stream->is_over || stream->is_half_closed || !channel->is_open) {
        return false;
    }
    if (sb_flow_send_message(&channel->link, &stream->flow, msg, SB_RPC_MAX_MESSAGE_BYTES, &err) <
        0) {
        fail_stream(stream, &err);
        return false;
    }
    flush(channel);
    return !stream->flow.is_over_high;
}

static void op_half_close(struct sb_rpc_stream *base)
{
    struct stream *stream = stream_of(base);
    struct channel *channel = channel_of(base->channel);
    if (stream->is_over || stream->is_half_closed || !channel->is_open) {
        return;
    }
    stream->is_half_closed = true;
    struct sb_frame frame = {.type = SB_FRAME_DATA,
                             .flags = SB_FRAME_REMOTE_CLOSED | SB_FRAME_NO_DATA};
    (void)sb_flow_send(&channel->link, &stream->flow, &frame, NULL, false);
    flush(channel);
}

static void op_cancel(struct sb_rpc_stream *base)
{
    struct stream *stream = stream_of(base);
    give_up(stream, SB_CANCELLED, "cancelled by the caller");
    flush(channel_of(base->channel));
}

static const char *op_trailer(const struct sb_rpc_stream *base, const char *key, size_t *ret_len)
{
    const struct stream *stream = (const struct stream *)(const void *)base;
    return sb_metadata_find(stream->trailers.entries, stream->trailers.n, key, ret_len);
}

static const struct sb_rpc_stream_ops stream_ops = {
    .read = op_read,
    .send = op_send,
    .half_close = op_half_close,
    .cancel = op_cancel,
    .trailer = op_trailer,
};

/* ---- channel ops ---- */

static struct stream *new_stream(struct channel *channel, const struct sb_rpc_start *start)
{
    struct stream *stream = calloc(1, sizeof *stream);
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

static uint8_t request_flags(const struct sb_rpc_method *method)
{
    unsigned flags = SB_FRAME_CREDITED;
    if ((method->flags & SB_RPC_CLIENT_STREAM) != 0) {
        flags |= SB_FRAME_REMOTE_OPEN;
    } else if ((method->flags & SB_RPC_SERVER_STREAM) != 0) {
        flags |= SB_FRAME_REMOTE_CLOSED;
    }
    return (uint8_t)flags;
}

/** Puts the request frame, with its descriptors, into the output. */
static int
put_request(struct channel *channel, const struct sb_rpc_start *start, struct sb_err *err)
{
    const struct sb_rpc_stream_options *options = start->options;
    SB_CLEANUP(sb_buf_done) struct sb_buf buf = SB_BUF_INIT(SB_FRAME_MAX_BYTES);
    if (sb_envelope_put_request(&buf, start, options->timeout_ms, err) < 0) {
        return -1;
    }
    size_t size = SB_FRAME_HEADER_BYTES + buf.len;
    if (sb_link_is_clogged(&channel->link) || sb_buf_room(&channel->link.out) < size) {
        return sb_err_set(err, SB_EXHAUSTED, "too much waits to be sent on this channel");
    }
    if (options->n_fds > 0 &&
        sb_link_pass_fds(&channel->link, options->fds, options->n_fds, err) < 0) {
        return -1;
    }
    struct sb_frame frame = {(uint32_t)buf.len, channel->next_id, SB_FRAME_REQUEST,
                             request_flags(start->method)};
    sb_link_put(&channel->link, &frame, sb_buf_cstr(&buf));
    return 0;
}

/** Sends what put_request left. False: the server was gone before it got a byte of it, so that
 * another may have it; the stream is as before. */
static bool send_request(struct channel *channel, struct stream *stream, uint64_t request_at)
{
    stream->flow.id = channel->next_id;
    channel->next_id += 2;
    sb_link_add(&channel->link, &stream->flow);
    sb_list_append(&channel->streams, &stream->in_streams);
    flush(channel);
    if (channel->is_open || channel->link.sent_total > request_at) {
        return true;
    }
    sb_list_remove(&stream->in_streams);
    sb_list_remove(&stream->in_due);
    stream->is_over = false;
    stream->flow.is_credited = true;
    return false;
}

static int channel_start(struct sb_rpc_channel *base,
                         const struct sb_rpc_start *start,
                         struct sb_rpc_stream **ret_stream,
                         struct sb_err *err)
{
    struct channel *channel = channel_of(base);
    if (channel->is_open && channel->next_id > INT32_MAX) {
        (void)sb_err_set(err, SB_UNAVAILABLE, "stream ids are used up");
        close_link(channel, err);
        channel->next_id = 1;
    }
    struct stream *stream = new_stream(channel, start);
    if (stream == NULL) {
        return sb_err_oom(err);
    }
    bool is_sent = false;
    for (unsigned tries = 0; tries < MAX_TRIES && !is_sent; tries++) {
        if (!channel->is_open && open_link(channel, err) < 0) {
            stream_free(stream);
            return -1;
        }
        uint64_t request_at = channel->link.out_total;
        if (put_request(channel, start, err) < 0) {
            stream_free(stream);
            return -1;
        }
        is_sent = send_request(channel, stream, request_at);
    }
    if (!is_sent) {
        stream_free(stream);
        return sb_err_set(err, SB_UNAVAILABLE, "the server closes every connection");
    }
    *ret_stream = &stream->base;
    return 0;
}

static int channel_prepare(struct sb_rpc_channel *base, struct pollfd *ret_pfd)
{
    struct channel *channel = channel_of(base);
    *ret_pfd = (struct pollfd){.fd = -1};
    if (channel->is_open) {
        ret_pfd->fd = channel->link.fd;
        ret_pfd->events = (short)(POLLIN | (channel->link.wants_write ? POLLOUT : 0));
    }
    bool has_output = channel->is_open && !channel->link.wants_write &&
                      (channel->link.out.len > 0 || !sb_list_is_empty(&channel->link.ready));
    if (!sb_list_is_empty(&channel->due) || has_output) {
        return 0;
    }
    uint64_t deadline = UINT64_MAX;
    SB_FOREACH (node, &channel->streams) {
        const struct stream *stream = SB_LIST_ENTRY(node, struct stream, in_streams);
        if (!stream->is_over && stream->deadline_ms < deadline) {
            deadline = stream->deadline_ms;
        }
    }
    return deadline == UINT64_MAX ? -1 : sb_clock_left_ms(deadline);
}

static void expire(struct channel *channel)
{
    uint64_t now = UINT64_MAX;
    SB_FOREACH (node, &channel->streams) {
        struct stream *stream = SB_LIST_ENTRY(node, struct stream, in_streams);
        if (stream->is_over || stream->deadline_ms == UINT64_MAX) {
            continue;
        }
        now = now == UINT64_MAX ? sb_clock_mono_ms() : now;
        if (stream->deadline_ms <= now) {
            give_up(stream, SB_DEADLINE, "deadline exceeded");
        }
    }
}

/** Hands out one message; false when there is none, or nobody asked. */
static bool deliver(struct stream *stream)
{
    struct channel *channel = channel_of(stream->base.channel);
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

static void stream_turn(struct stream *stream)
{
    while (deliver(stream)) {
    }
    if (stream->is_over) {
        /* An error makes unread messages of no interest to who does not ask for them. */
        if (stream->flow.in.head == NULL || stream->status.code != SB_OK) {
            finish(stream);
        }
        return;
    }
    if (sb_flow_take_drained(&stream->flow) && stream->base.callbacks.drained != NULL) {
        stream->base.callbacks.drained(&stream->base, stream->base.user);
    }
}

static void channel_process(struct sb_rpc_channel *base)
{
    struct channel *channel = channel_of(base);
    struct sb_err err;
    if (channel->is_open && sb_link_receive(&channel->link, &err) < 0) {
        close_link(channel, &err);
    }
    expire(channel);
    struct sb_list due;
    sb_list_init(&due);
    for (struct sb_list *node; (node = sb_list_pop(&channel->due)) != NULL;) {
        sb_list_append(&due, node);
    }
    for (struct sb_list *node; (node = sb_list_pop(&due)) != NULL;) {
        stream_turn(SB_LIST_ENTRY(node, struct stream, in_due));
    }
    flush(channel);
}

static void channel_free(struct sb_rpc_channel *base)
{
    struct channel *channel = channel_of(base);
    for (struct sb_list *node; (node = sb_list_pop(&channel->streams)) != NULL;) {
        struct stream *stream = SB_LIST_ENTRY(node, struct stream, in_streams);
        give_up(stream, SB_CANCELLED, "the channel was closed");
        finish(stream);
    }
    if (channel->is_open) {
        struct sb_err ignored;
        (void)sb_link_flush(&channel->link, &ignored);
        sb_link_done(&channel->link);
    }
    free(channel);
}

static const struct sb_rpc_channel_ops channel_ops = {
    .start = channel_start,
    .prepare = channel_prepare,
    .process = channel_process,
    .free = channel_free,
};

static int local_open(const char *address,
                      const struct sb_rpc_channel_options *options,
                      struct sb_rpc_channel **ret_channel,
                      struct sb_err *err)
{
    const char *path = address + strlen(SCHEME);
    size_t len = strlen(path);
    struct channel *channel = calloc(1, sizeof *channel);
    if (channel == NULL) {
        return sb_err_oom(err);
    }
    if (path[0] != '/' || len >= sizeof channel->address.sun_path) {
        free(channel);
        return sb_err_set(err, SB_INVALID, "%s: a socket path is absolute and short", address);
    }
    channel->base.ops = &channel_ops;
    channel->address.sun_family = AF_UNIX;
    memcpy(channel->address.sun_path, path, len + 1);
    channel->next_id = 1;
    channel->connect_timeout_ms = options->connect_timeout_ms;
    sb_list_init(&channel->streams);
    sb_list_init(&channel->due);
    if (open_link(channel, err) < 0) {
        free(channel);
        return -1;
    }
    *ret_channel = &channel->base;
    return 0;
}

const struct sb_rpc_client_transport sb_local_client_transport = {
    .abi = SB_RPC_CLIENT_ABI,
    .open = local_open,
};
