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

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "proto/rpc/local/client_impl.h"
#include "proto/rpc/local/origin.h"

enum { LAST_READS = 64, MAX_TRIES = 2 };

#define SCHEME "unix:"

/* ---- connection ---- */

static void close_link(struct sb_local_channel *channel, const struct sb_err *why)
{
    if (!channel->is_open) {
        return;
    }
    channel->is_open = false;
    SB_FOREACH (node, &channel->streams) {
        struct sb_local_stream *stream = SB_LIST_ENTRY(node, struct sb_local_stream, in_streams);
        sb_local_stream_set_over(stream, why);
        sb_list_remove(&stream->flow.in_table);
    }
    sb_link_done(&channel->link);
}

static int wait_connected(struct sb_local_channel *channel, int fd, struct sb_err *err)
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

static int open_link(struct sb_local_channel *channel, struct sb_err *err)
{
    SB_CLEANUP(sb_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return sb_err_sys(err, errno, "socket");
    }
    const struct sockaddr any_name = {.sa_family = AF_UNIX};
    if (channel->lends_nothing && bind(fd, &any_name, sizeof any_name.sa_family) < 0) {
        return sb_err_sys(err, errno, "name our end of the connection");
    }
    if (wait_connected(channel, fd, err) < 0) {
        return -1;
    }
    if (sb_origin_check(fd, err) < 0) {
        return sb_err_wrap(err, "%s", channel->address.sun_path);
    }
    sb_link_init(&channel->link, SB_STEAL_FD(fd), &sb_local_stream_link_ops, channel);
    channel->link.reads_always = true;
    channel->is_open = true;
    return 0;
}

void sb_local_channel_flush(struct sb_local_channel *channel)
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

/* ---- channel ops ---- */

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
put_request(struct sb_local_channel *channel, const struct sb_rpc_start *start, struct sb_err *err)
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
static bool
send_request(struct sb_local_channel *channel, struct sb_local_stream *stream, uint64_t request_at)
{
    stream->flow.id = channel->next_id;
    channel->next_id += 2;
    sb_link_add(&channel->link, &stream->flow);
    sb_list_append(&channel->streams, &stream->in_streams);
    sb_local_channel_flush(channel);
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
    struct sb_local_channel *channel = sb_local_channel_of(base);
    if (channel->is_open && channel->next_id > INT32_MAX) {
        (void)sb_err_set(err, SB_UNAVAILABLE, "stream ids are used up");
        close_link(channel, err);
        channel->next_id = 1;
    }
    struct sb_local_stream *stream = sb_local_stream_new(channel, start);
    if (stream == NULL) {
        return sb_err_oom(err);
    }
    bool is_sent = false;
    for (unsigned tries = 0; tries < MAX_TRIES && !is_sent; tries++) {
        if (!channel->is_open && open_link(channel, err) < 0) {
            sb_local_stream_free(stream);
            return -1;
        }
        uint64_t request_at = channel->link.out_total;
        if (put_request(channel, start, err) < 0) {
            sb_local_stream_free(stream);
            return -1;
        }
        is_sent = send_request(channel, stream, request_at);
    }
    if (!is_sent) {
        sb_local_stream_free(stream);
        return sb_err_set(err, SB_UNAVAILABLE, "the server closes every connection");
    }
    *ret_stream = &stream->base;
    return 0;
}

static int channel_prepare(struct sb_rpc_channel *base, struct pollfd *ret_pfd)
{
    struct sb_local_channel *channel = sb_local_channel_of(base);
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
        const struct sb_local_stream *stream =
            SB_LIST_ENTRY(node, struct sb_local_stream, in_streams);
        if (!stream->is_over && stream->deadline_ms < deadline) {
            deadline = stream->deadline_ms;
        }
    }
    return deadline == UINT64_MAX ? -1 : sb_clock_left_ms(deadline);
}

static void expire(struct sb_local_channel *channel)
{
    uint64_t now = UINT64_MAX;
    SB_FOREACH (node, &channel->streams) {
        struct sb_local_stream *stream = SB_LIST_ENTRY(node, struct sb_local_stream, in_streams);
        if (stream->is_over || stream->deadline_ms == UINT64_MAX) {
            continue;
        }
        now = now == UINT64_MAX ? sb_clock_mono_ms() : now;
        if (stream->deadline_ms <= now) {
            sb_local_stream_give_up(stream, SB_DEADLINE, "deadline exceeded");
        }
    }
}

static void channel_process(struct sb_rpc_channel *base)
{
    struct sb_local_channel *channel = sb_local_channel_of(base);
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
        sb_local_stream_turn(SB_LIST_ENTRY(node, struct sb_local_stream, in_due));
    }
    sb_local_channel_flush(channel);
}

static void channel_free(struct sb_rpc_channel *base)
{
    struct sb_local_channel *channel = sb_local_channel_of(base);
    for (struct sb_list *node; (node = sb_list_pop(&channel->streams)) != NULL;) {
        struct sb_local_stream *stream = SB_LIST_ENTRY(node, struct sb_local_stream, in_streams);
        sb_local_stream_give_up(stream, SB_CANCELLED, "the channel was closed");
        sb_local_stream_finish(stream);
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
    struct sb_local_channel *channel = calloc(1, sizeof *channel);
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
    channel->lends_nothing = options->lends_nothing;
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
