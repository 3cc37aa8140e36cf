#include "service/worker/fileop.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/num.h"
#include "base/tar.h"
#include "base/utf8.h"
#include "service/shared/initproto.h"
#include "service/worker/fileframe.h"
#include "service/worker/limits.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/request.h"
#include "service/worker/sandbox.h"
#include "service/worker/timer.h"
#include "service/worker/worker.h"

enum {
    PACKETS_A_TURN = 32, /* of the loop, for one operation */
    PACKET_SIZE = SB_FILE_MAX_DATA + sizeof(struct sb_file_head),
    NAME_SIZE = 256,
    REQUEST_SIZE = sizeof(struct sb_file_request) + (size_t)3 * SB_FILE_MAX_PATH,
};

struct sb_fileop {
    struct sb_sandbox *sandbox; /* a reference */
    const struct sb_fileop_events *events;
    void *ctx;
    int sock;
    struct event readable;
    struct event writable;
    struct event timer; /* runs while the helper has to do something */
    bool is_paused;
    bool is_over;
    bool is_endless; /* WATCH: nothing has to come */
    bool *ret_freed; /* set to true by free while a callback runs */
    char path[SB_FILE_MAX_PATH];
};

/* ---- what went wrong, in the caller's words ---- */

static const struct {
    enum sb_code code;
    const char *text;
} whys[SB_FILE_WHYS] = {
    [SB_FILE_WHY_NOT_REGULAR] = {SB_PRECONDITION,
                                 "is not a regular file (a FIFO, a socket or a device)"},
    [SB_FILE_WHY_MAGIC] = {SB_DENIED, "leads through a link of /proc, which is not followed"},
    [SB_FILE_WHY_PROC] = {SB_DENIED, "is below /proc, where nothing is changed"},
    [SB_FILE_WHY_SHRUNK] = {SB_ABORTED, "became shorter while it was read; try again"},
    [SB_FILE_WHY_DEEP] = {SB_PRECONDITION, "has more than 256 levels below it"},
    [SB_FILE_WHY_ROOT] = {SB_INVALID, "cannot be removed: name it without . or .. at the end"},
    [SB_FILE_WHY_TIME] = {SB_DEADLINE, "was searched for 30 seconds without coming to an end; name "
                                       "a smaller directory, or a glob"},
    [SB_FILE_WHY_COUNT] = {SB_PRECONDITION, "was left as it is: the text is found in it"},
    [SB_FILE_WHY_CHANGED] = {SB_ABORTED, "was changed by somebody else meanwhile; try again"},
    [SB_FILE_WHY_WATCHES] = {SB_EXHAUSTED,
                             "has more directories below it than can be watched (2048 "
                             "by one call); name a smaller one"},
    [SB_FILE_WHY_BYTES] = {SB_EXHAUSTED, "is beyond header.max_bytes"},
    [SB_FILE_WHY_ABSOLUTE] = {SB_INVALID, "its path is absolute"},
    [SB_FILE_WHY_DOTS] = {SB_INVALID, "its path leads up by \"..\""},
    [SB_FILE_WHY_THROUGH] = {SB_DENIED, "its path leads through a symbolic link"},
    [SB_FILE_WHY_NO_DIR] = {SB_PRECONDITION,
                            "its path leads through something that is no directory"},
    [SB_FILE_WHY_LEVELS] = {SB_INVALID, "its path has more than 64 levels"},
    [SB_FILE_WHY_FIFO] = {SB_DENIED, "is a FIFO"},
    [SB_FILE_WHY_DEVICE] = {SB_DENIED, "is a device"},
    [SB_FILE_WHY_KIND] = {SB_DENIED, "is no kind of file that is known here"},
    [SB_FILE_WHY_HARDLINK] = {SB_DENIED,
                              "is a hard link to what is no regular file below the directory"},
};

const char *sb_fileop_why(const struct sb_file_failed *failed)
{
    if (failed->why == SB_FILE_WHY_ERRNO) {
        return strerror(failed->error);
    }
    if (failed->why == SB_FILE_WHY_ENTRY) {
        return sb_tar_problem_text(
            failed->error < SB_TAR_PROBLEMS ? (enum sb_tar_problem)failed->error : SB_TAR_FINE);
    }
    return whys[failed->why].text == NULL ? "was refused" : whys[failed->why].text;
}

/* Says which limit is the likely one, with its number. */
static void add_limit(const struct sb_fileop *op, struct sb_err *err)
{
    const struct sb_limits *limits = &op->sandbox->policy->limits;
    char bytes[SB_NUM_TEXT_SIZE];
    char text[SB_ERR_TEXT_SIZE];
    (void)snprintf(text, sizeof text, "%s", err->text);
    if ((err->sys == ENOSPC || err->sys == EDQUOT) && limits->disk_bytes != 0) {
        (void)sb_err_set(err, SB_EXHAUSTED,
                         "%s (limits.disk gives the sandbox's own directories %s, limits.inodes "
                         "%llu files)",
                         text, sb_num_format_bytes(bytes, limits->disk_bytes),
                         (unsigned long long)limits->inodes);
    } else if (err->sys == EFBIG) {
        (void)sb_err_set(err, SB_EXHAUSTED,
                         "%s (limits.file_size, or a part of limits.memory where there is no "
                         "control group)",
                         text);
    } else if (err->sys == EAGAIN || err->sys == ENOMEM) {
        (void)sb_err_set(err, SB_EXHAUSTED, "%s (limits.pids and limits.memory hold for it too)",
                         text);
    }
}

/* The path asked for, and of a tree the one that it is about. */
static void name_it(const struct sb_fileop *op, struct sb_str below, char *out, size_t size)
{
    char safe[NAME_SIZE];
    (void)sb_utf8_sanitize(safe, sizeof safe, sb_str_head(below, sizeof safe / 3 - 1),
                           SB_UTF8_ONE_LINE);
    (void)snprintf(out, size, "%.200s%s%s", op->path, below.len > 0 ? ": " : "",
                   below.len > 0 ? safe : "");
}

static void
explain(const struct sb_fileop *op, const struct sb_fileframe *frame, struct sb_err *ret_err)
{
    const struct sb_file_failed *failed = &frame->failed;
    char name[2 * NAME_SIZE];
    name_it(op, frame->path, name, sizeof name);
    if (failed->why == SB_FILE_WHY_TAR) {
        enum sb_tar_result result =
            failed->error < SB_TAR_RESULTS ? (enum sb_tar_result)failed->error : SB_TAR_STOPPED;
        (void)sb_err_set(ret_err, SB_INVALID, "%s: the archive %s", name, sb_tar_why(result));
    } else if (failed->why == SB_FILE_WHY_COUNT) {
        (void)sb_err_set(ret_err, SB_PRECONDITION, "%s %s %u times", name,
                         whys[SB_FILE_WHY_COUNT].text, failed->count);
    } else if (failed->why != SB_FILE_WHY_ERRNO) {
        enum sb_code code = whys[failed->why].code;
        (void)sb_err_set(ret_err, code == SB_OK ? SB_INTERNAL : code, "%s %s", name,
                         sb_fileop_why(failed));
        ret_err->sys = failed->error;
    } else {
        (void)sb_err_sys(ret_err, failed->error, "%s", name);
        ret_err->sys = failed->error;
        add_limit(op, ret_err);
    }
}

static void explain_hangup(const struct sb_fileop *op, struct sb_err *ret_err)
{
    const struct sb_sandbox *sandbox = op->sandbox;
    if (sandbox->state != SB_STATE_RUNNING && sandbox->state != SB_STATE_PAUSED) {
        (void)sb_err_set(ret_err, SB_PRECONDITION, "sandbox %s is %s", sandbox->id,
                         sb_state_name(sandbox->state));
    } else {
        (void)sb_err_set(ret_err, SB_ABORTED,
                         "%.200s: what did it inside was ended: by the memory limit, or with the "
                         "sandbox",
                         op->path);
    }
}

/* ---- reading ---- */

static void stop(struct sb_fileop *op)
{
    if (op->sock >= 0) {
        (void)event_del(&op->readable);
        (void)event_del(&op->writable);
        (void)event_del(&op->timer);
        close(op->sock);
        op->sock = -1;
    }
}

static void finish(struct sb_fileop *op, const struct sb_file_done *done, const struct sb_err *err)
{
    static const struct sb_file_done none;
    if (!op->is_over) {
        op->is_over = true;
        stop(op);
        op->events->done(op->ctx, done == NULL ? &none : done, err);
    }
}

static void act(struct sb_fileop *op, const struct sb_fileframe *frame)
{
    struct sb_err err = {.code = SB_OK};
    switch (frame->type) {
    case SB_FILE_INFO:
    case SB_FILE_DATA:
    case SB_FILE_MATCH:
    case SB_FILE_EVENT:
    case SB_FILE_REFUSED:
        op->events->frame(op->ctx, frame);
        return;
    case SB_FILE_READY:
        (void)event_del(&op->timer); /* now it waits for the caller */
        op->events->ready(op->ctx);
        return;
    case SB_FILE_DONE:
        finish(op, &frame->done, &err);
        return;
    case SB_FILE_FAILED:
        explain(op, frame, &err);
        finish(op, NULL, &err);
        return;
    case SB_FILE_COMMIT:
    default:
        return; /* none is read */
    }
}

/** Returns whether there may be more. */
static bool read_packet(struct sb_fileop *op)
{
    char packet[PACKET_SIZE + 1]; /* a longer one shows */
    struct sb_fileframe frame;
    struct sb_err err;
    ssize_t n = 0;
    do {
        n = recv(op->sock, packet, sizeof packet, MSG_DONTWAIT);
    } while (n < 0 && (errno == EINTR || errno == ECONNRESET));
    if (n < 0 && errno == EAGAIN) {
        return false;
    }
    if (n <= 0) {
        explain_hangup(op, &err);
        finish(op, NULL, &err);
        return false;
    }
    if (sb_fileframe_read(packet, (size_t)n, &frame, &err) < 0) {
        SB_LOG_WARN("a file helper said nonsense", "sandbox=%s bytes=%zd", op->sandbox->id, n);
        finish(op, NULL, &err);
        return false;
    }
    act(op, &frame);
    return true;
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_fileop *op = ctx;
    bool is_freed = false;
    op->ret_freed = &is_freed;
    for (int i = 0; i < PACKETS_A_TURN && !op->is_paused && !op->is_over; i++) {
        bool has_more = read_packet(op);
        if (is_freed) {
            return;
        }
        if (!has_more) {
            break;
        }
    }
    op->ret_freed = NULL;
    if (!op->is_over && event_pending(&op->timer, EV_TIMEOUT, NULL)) {
        sb_timer_arm(&op->timer, SB_MAX_FILE_WAIT_MS);
    }
}

static void on_writable(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_fileop *op = ctx;
    (void)event_del(&op->timer);
    op->events->ready(op->ctx);
}

static void on_timeout(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_fileop *op = ctx;
    struct sb_err err;
    if (op->sandbox->state == SB_STATE_PAUSED) { /* it goes on with the sandbox */
        sb_timer_arm(&op->timer, SB_MAX_FILE_WAIT_MS);
        return;
    }
    (void)sb_err_set(&err, SB_DEADLINE, "%.200s: nothing came from inside for %d seconds", op->path,
                     SB_MAX_FILE_WAIT_MS / 1000);
    finish(op, NULL, &err);
}

/* ---- writing ---- */

static bool send_packet(struct sb_fileop *op, uint32_t type, const void *data, size_t len)
{
    struct sb_file_head head = {type};
    struct iovec iov[2] = {{.iov_base = &head, .iov_len = sizeof head}, {.iov_len = len}};
    memcpy(&iov[1].iov_base, &data, sizeof data);
    const struct msghdr msg = {.msg_iov = iov, .msg_iovlen = len == 0 ? 1 : 2};
    ssize_t n = 0;
    if (op->is_over) {
        return false;
    }
    do {
        n = sendmsg(op->sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n >= 0) {
        return true;
    }
    if (errno == EAGAIN) {
        (void)event_add(&op->writable, NULL);
    } /* else it has ended, and what it said last is still to be read */
    sb_timer_arm(&op->timer, SB_MAX_FILE_WAIT_MS);
    return false;
}

bool sb_fileop_send(struct sb_fileop *op, const void *data, size_t len)
{
    return send_packet(op, SB_FILE_DATA, data, len);
}

bool sb_fileop_commit(struct sb_fileop *op)
{
    if (!send_packet(op, SB_FILE_COMMIT, NULL, 0)) {
        return false;
    }
    sb_timer_arm(&op->timer, SB_MAX_FILE_WAIT_MS);
    return true;
}

void sb_fileop_pause(struct sb_fileop *op, bool is_paused)
{
    if (op->is_over || op->is_paused == is_paused) {
        return;
    }
    op->is_paused = is_paused;
    if (is_paused) {
        (void)event_del(&op->readable);
        (void)event_del(&op->timer);
    } else {
        (void)event_add(&op->readable, NULL);
        if (!op->is_endless) {
            sb_timer_arm(&op->timer, SB_MAX_FILE_WAIT_MS);
        }
    }
}

/* ---- the beginning and the end ---- */

static int check(const struct sb_sandbox *sandbox, bool is_ours, struct sb_err *err)
{
    if (sandbox->is_only && !is_ours) {
        return sb_err_set(err, SB_PRECONDITION,
                          "sandbox %s was made for one program and ends with it; make one that "
                          "stays (CreateSandbox, aisbx create)",
                          sandbox->id);
    }
    if (sandbox->state != SB_STATE_RUNNING) {
        return sb_err_set(err, SB_PRECONDITION, "sandbox %s is %s%s", sandbox->id,
                          sb_state_name(sandbox->state),
                          sandbox->state == SB_STATE_PAUSED
                              ? ": its files are reached when it runs (ResumeSandbox, aisbx resume)"
                              : "");
    }
    if (sandbox->n_fileops >= SB_MAX_FILE_CALLS) {
        return sb_err_set(err, SB_EXHAUSTED, "sandbox %s: %d file operations go on already",
                          sandbox->id, SB_MAX_FILE_CALLS);
    }
    return 0;
}

static int add_text(struct sb_buf *buf, struct sb_str text)
{
    return sb_buf_append_str(buf, text) < 0 || sb_buf_append_byte(buf, '\0') < 0 ? -1 : 0;
}

static int ask(const struct sb_fileop_options *options, int *ret_sock, struct sb_err *err)
{
    struct sb_file_request request = options->request;
    SB_CLEANUP(sb_buf_done) struct sb_buf packet = SB_BUF_INIT(REQUEST_SIZE);
    int pair[2];
    request.type = SB_INIT_FILE;
    if (sb_buf_append(&packet, &request, sizeof request) < 0 ||
        add_text(&packet, options->path) < 0 || add_text(&packet, options->second) < 0 ||
        add_text(&packet, options->third) < 0) {
        return sb_err_sys(err, errno, "file operation");
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return sb_err_sys(err, errno, "socketpair");
    }
    SB_CLEANUP(sb_closep) int ours = pair[0];
    SB_CLEANUP(sb_closep) int theirs = pair[1];
    struct sb_str bytes = sb_buf_str(&packet);
    if (sb_fd_send(options->sandbox->init_fd, bytes.ptr, bytes.len, &theirs, 1, err) < 0) {
        return err->sys == EAGAIN
                   ? sb_err_set(err, SB_UNAVAILABLE, "sandbox %s is too busy; try again",
                                options->sandbox->id)
                   : sb_err_wrap(err, "ask init");
    }
    *ret_sock = SB_STEAL_FD(ours);
    return 0;
}

int sb_fileop_start(const struct sb_fileop_options *options,
                    struct sb_fileop **ret_op,
                    struct sb_err *err)
{
    struct sb_sandbox *sandbox = options->sandbox;
    if (check(sandbox, options->is_ours, err) < 0) {
        return -1;
    }
    struct sb_fileop *op = calloc(1, sizeof *op);
    if (op == NULL) {
        return sb_err_oom(err);
    }
    if (ask(options, &op->sock, err) < 0) {
        free(op);
        return -1;
    }
    op->sandbox = sandbox;
    op->events = options->events;
    op->ctx = options->ctx;
    op->is_endless = options->request.op == SB_FILE_WATCH;
    memcpy(op->path, options->path.ptr, options->path.len);
    sandbox->refs++;
    sb_sandbox_file_joined(sandbox);
    struct event_base *base = sandbox->worker->base;
    (void)event_assign(&op->readable, base, op->sock, EV_READ | EV_PERSIST, on_readable, op);
    (void)event_assign(&op->writable, base, op->sock, EV_WRITE, on_writable, op);
    (void)event_assign(&op->timer, base, -1, 0, on_timeout, op);
    (void)event_add(&op->readable, NULL);
    sb_timer_arm(&op->timer, SB_MAX_FILE_WAIT_MS);
    *ret_op = op;
    return 0;
}

void sb_fileop_free(struct sb_fileop *op)
{
    if (op == NULL) {
        return;
    }
    if (op->ret_freed != NULL) {
        *op->ret_freed = true;
    }
    stop(op);
    sb_sandbox_file_left(op->sandbox);
    sb_sandbox_unref(op->sandbox);
    free(op);
}
