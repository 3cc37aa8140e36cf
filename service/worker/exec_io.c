#include "service/worker/exec_io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "service/worker/exec.h"
#include "service/worker/exec_terminal.h"
#include "service/worker/limits.h"
#include "service/worker/worker.h"

static void close_output(struct sb_exec_output *out)
{
    if (out->fd >= 0) {
        (void)event_del(&out->event);
        close(out->fd);
        out->fd = -1;
    }
}

static void close_input(struct sb_exec_input *in)
{
    if (in->fd >= 0) {
        (void)event_del(&in->event);
        close(in->fd);
        in->fd = -1;
    }
    sb_buf_done(&in->waiting);
}

/** Reads once. Returns 1: there may be more, 0: nothing now, -1: the end (and closes). */
static int read_once(struct sb_exec_output *out)
{
    unsigned char *chunk = out->exec->worker->chunk;
    ssize_t n = 0;
    do {
        n = read(out->fd, chunk, SB_MAX_CHUNK_BYTES);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        sb_spool_append(&out->spool, chunk, (size_t)n);
        sb_spans_note(&out->exec->spans, &out->exec->spans.output_ns);
        return 1;
    }
    if (n < 0 && errno == EAGAIN) {
        return 0;
    }
    close_output(out);
    return -1;
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_exec_output *out = ctx;
    struct sb_exec *exec = out->exec;
    if (read_once(out) < 0) {
        sb_exec_on_drained(exec);
    } else if (exec->terminal.is_wanted) {
        sb_exec_terminal_retype_eof(exec);
    }
    sb_exec_notify(exec);
}

static void flush_input(struct sb_exec *exec)
{
    struct sb_exec_input *in = &exec->in;
    while (in->waiting.len > 0) {
        struct sb_str bytes = sb_buf_str(&in->waiting);
        ssize_t n = write(in->fd, bytes.ptr, bytes.len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n == 0 || (n < 0 && errno == EAGAIN)) {
            (void)event_add(&in->event, NULL);
            return;
        }
        if (n < 0) { /* EPIPE, EIO: the program does not want it */
            close_input(in);
            return;
        }
        sb_buf_consume(&in->waiting, (size_t)n);
    }
    if (in->is_eof && !exec->terminal.is_wanted) {
        close_input(in);
    }
}

static void on_writable(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_exec *exec = ctx;
    if (exec->in.fd >= 0) {
        flush_input(exec);
        sb_exec_notify(exec);
    }
}

int sb_exec_io_pipe(int *ret_ours, int *ret_theirs, bool is_output, struct sb_err *err)
{
    int ends[2];
    if (sb_fd_pipe(ends, err) < 0) {
        return -1;
    }
    *ret_ours = ends[is_output ? 0 : 1];
    *ret_theirs = ends[is_output ? 1 : 0];
    (void)fchmod(*ret_theirs, 0666); /* /dev/stdout and the like */
    return sb_fd_nonblock(*ret_ours, err);
}

static int open_null(struct sb_exec *exec, int i, struct sb_err *err)
{
    exec->stdio[i] = fcntl(exec->worker->null_fd, F_DUPFD_CLOEXEC, 3);
    return exec->stdio[i] >= 0 ? 0 : sb_err_sys(err, errno, "/dev/null");
}

void sb_exec_io_adopt(struct sb_exec *exec, int output, int input)
{
    struct event_base *base = exec->worker->base;
    struct sb_exec_output *out = &exec->out[0];
    out->fd = output;
    (void)event_assign(&out->event, base, output, EV_READ | EV_PERSIST, on_readable, out);
    exec->in.fd = input;
    (void)event_assign(&exec->in.event, base, input, EV_WRITE, on_writable, exec);
}

int sb_exec_io_open(struct sb_exec *exec, bool has_stdin, struct sb_err *err)
{
    struct event_base *base = exec->worker->base;
    if (exec->terminal.is_wanted) {
        return open_null(exec, 0, err) < 0 || open_null(exec, 1, err) < 0 ? -1
                                                                          : open_null(exec, 2, err);
    }
    for (int i = 0; i < 2; i++) {
        struct sb_exec_output *out = &exec->out[i];
        if (sb_exec_io_pipe(&out->fd, &exec->stdio[i + 1], true, err) < 0) {
            return sb_err_wrap(err, "output");
        }
        (void)event_assign(&out->event, base, out->fd, EV_READ | EV_PERSIST, on_readable, out);
    }
    if (has_stdin) {
        if (sb_exec_io_pipe(&exec->in.fd, &exec->stdio[0], false, err) < 0) {
            return sb_err_wrap(err, "input");
        }
        (void)event_assign(&exec->in.event, base, exec->in.fd, EV_WRITE, on_writable, exec);
        return 0;
    }
    return open_null(exec, 0, err);
}

void sb_exec_io_replace(struct sb_exec *exec, const int out[2], int in)
{
    struct event_base *base = exec->worker->base;
    for (int i = 0; i < 2; i++) {
        close_output(&exec->out[i]);
        exec->out[i].fd = out[i];
        (void)event_assign(&exec->out[i].event, base, out[i], EV_READ | EV_PERSIST, on_readable,
                           &exec->out[i]);
    }
    if (exec->in.fd >= 0 && in >= 0) { /* what waits for it stays */
        (void)event_del(&exec->in.event);
        close(exec->in.fd);
        exec->in.fd = in;
        (void)event_assign(&exec->in.event, base, in, EV_WRITE, on_writable, exec);
    }
}

void sb_exec_io_start(struct sb_exec *exec)
{
    for (int i = 0; i < 2; i++) {
        if (exec->out[i].fd >= 0) {
            (void)event_add(&exec->out[i].event, NULL);
        }
    }
    if (exec->in.fd >= 0) {
        flush_input(exec);
    }
}

void sb_exec_io_drain(struct sb_exec *exec)
{
    /* A pipe holds 64 KiB unless the program made it larger, and it can go on writing while others
     * of its tree live: a bound keeps one exec from holding up the loop. */
    for (int i = 0; i < 2; i++) {
        for (int turn = 0; turn < 64 && exec->out[i].fd >= 0; turn++) {
            if (read_once(&exec->out[i]) <= 0) {
                break;
            }
        }
    }
}

void sb_exec_io_close(struct sb_exec *exec)
{
    close_output(&exec->out[0]);
    close_output(&exec->out[1]);
    close_input(&exec->in);
}

bool sb_exec_io_is_drained(const struct sb_exec *exec)
{
    return exec->out[0].fd < 0 && exec->out[1].fd < 0;
}

int sb_exec_write(struct sb_exec *exec, const void *data, size_t len, struct sb_err *err)
{
    struct sb_exec_input *in = &exec->in;
    bool is_terminal = exec->terminal.is_wanted;
    if (exec->is_passed || (in->is_eof && !is_terminal) || sb_exec_has_ended(exec)) {
        return sb_err_set(err, SB_PRECONDITION, "exec %s has no open standard input%s", exec->id,
                          exec->is_passed || sb_exec_has_ended(exec) ? "" : "; set open_stdin");
    }
    if (in->fd < 0 && (!is_terminal || exec->state >= SB_EXEC_RUNNING)) {
        return 0; /* the program closed its end: like a pipe whose reader is gone */
    }
    if (sb_buf_append(&in->waiting, data, len) < 0) {
        return sb_err_set(
            err, SB_EXHAUSTED,
            "%zu bytes of input wait already and the program does not read; try again",
            in->waiting.len);
    }
    if (is_terminal && len > 0) {
        sb_exec_terminal_typed(exec, ((const unsigned char *)data)[len - 1]);
    }
    if (exec->state == SB_EXEC_RUNNING) {
        flush_input(exec);
    }
    return 0;
}

void sb_exec_write_eof(struct sb_exec *exec)
{
    if (exec->terminal.is_wanted) {
        sb_exec_terminal_type_eof(exec);
        return;
    }
    exec->in.is_eof = true;
    if (exec->in.fd >= 0 && exec->state == SB_EXEC_RUNNING) {
        flush_input(exec);
    }
}

size_t sb_exec_waiting_input(const struct sb_exec *exec)
{
    return exec->in.waiting.len;
}
