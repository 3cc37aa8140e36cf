/* The socket between the worker and an interpreter. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "service/worker/context/answer.h"
#include "service/worker/context/context.h"
#include "service/worker/limits.h"
#include "service/worker/worker.h"

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_context *context = ctx;
    sb_context_enter(context);
    sb_channel_fill(context);
    sb_context_pump(context);
    sb_context_leave(context);
}

static void flush(struct sb_context *context)
{
    while (context->out.len > 0 && context->channel >= 0) {
        struct sb_str bytes = sb_buf_str(&context->out);
        ssize_t n = send(context->channel, bytes.ptr, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            (void)event_add(&context->writable, NULL);
            return;
        }
        if (n < 0) { /* closed: reading says so, or the exec's end */
            sb_buf_done(&context->out);
            return;
        }
        sb_buf_consume(&context->out, (size_t)n);
    }
    sb_buf_done(&context->out); /* code is large, and rare */
}

static void on_writable(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    flush(ctx);
}

int sb_channel_open(struct sb_context *context, int *ret_theirs, struct sb_err *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return sb_err_sys(err, errno, "socketpair");
    }
    context->channel = pair[0];
    *ret_theirs = pair[1];
    sb_buf_clear(&context->in);
    sb_buf_clear(&context->out);
    (void)event_assign(&context->readable, context->worker->base, context->channel,
                       EV_READ | EV_PERSIST, on_readable, context);
    (void)event_assign(&context->writable, context->worker->base, context->channel, EV_WRITE,
                       on_writable, context);
    (void)event_add(&context->readable, NULL);
    return 0;
}

void sb_channel_close(struct sb_context *context)
{
    if (context->channel >= 0) {
        (void)event_del(&context->readable);
        (void)event_del(&context->writable);
        close(context->channel);
        context->channel = -1;
    }
}

int sb_channel_send(struct sb_context *context, struct sb_str code, struct sb_err *err)
{
    if (sb_buf_append_str(&context->out, code) < 0 || sb_buf_append_byte(&context->out, '\0') < 0) {
        return sb_err_sys(err, errno, "code");
    }
    flush(context);
    return 0;
}

void sb_channel_fill(struct sb_context *context)
{
    while (context->channel >= 0) {
        size_t room = sb_buf_room(&context->in);
        if (room == 0) {
            (void)event_del(&context->readable); /* until somebody takes what is here */
            return;
        }
        unsigned char *chunk = context->worker->chunk;
        ssize_t n = recv(context->channel, chunk,
                         room < SB_MAX_CHUNK_BYTES ? room : SB_MAX_CHUNK_BYTES, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            (void)event_add(&context->readable, NULL);
            return;
        }
        if (n <= 0 || sb_buf_append(&context->in, chunk, (size_t)n) < 0) {
            sb_channel_close(context);
        }
    }
}
