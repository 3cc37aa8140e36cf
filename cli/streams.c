#include "cli/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mutate.h"

enum { CHUNK_BYTES = 64 << 10, TURNS_MAX = 16 };

static const char *const names[] = {"standard input", "standard output", "standard error"};

/* ---- deciding ---- */

static bool is_null(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3);
}

static int pass_null(struct sb_streams *streams, int i, struct sb_err *err)
{
    int fd = open("/dev/null", (i == 0 ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
    if (fd < 0) {
        return sb_err_sys(err, errno, "/dev/null");
    }
    streams->passed[i] = fd;
    streams->is_own[i] = true;
    return 0;
}

/* Our pipe, opened anew: what the program does to the flags of its descriptor stays its own, and
 * what it leaves unread stays ours. Only as root, whose id no program has: another's program may
 * share that one's id, and could open the other end. False: not done. */
static bool pass_reopened(struct sb_streams *streams, int i)
{
    char path[32];
    if (geteuid() != 0) {
        return false;
    }
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", i);
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && fcntl(fd, F_SETFL, 0) == 0) {
        streams->passed[i] = fd;
        streams->is_own[i] = true;
        return true;
    }
    sb_closep(&fd);
    return false;
}

static enum sb_sink sink_of(const struct stat *st)
{
    return S_ISFIFO(st->st_mode) ? SB_SINK_PIPE
                                 : (S_ISSOCK(st->st_mode) ? SB_SINK_SOCKET : SB_SINK_FILE);
}

static int pass_pipe(struct sb_streams *streams, int i, const struct stat *st, struct sb_err *err)
{
    int ends[2];
    if (sb_fd_pipe(ends, err) < 0) {
        return -1;
    }
    bool is_input = i == STDIN_FILENO;
    int ours = is_input ? ends[1] : ends[0];
    streams->passed[i] = is_input ? ends[0] : ends[1];
    streams->is_own[i] = true;
    /* /dev/stdout can be opened whatever id the program has, and not for the other direction. */
    (void)fchmod(streams->passed[i], is_input ? 0444 : 0222);
    streams->pumps[i] = (struct sb_pump){
        .from = is_input ? i : ours,
        .to = is_input ? ours : i,
        .is_input = is_input,
        .can_splice = S_ISREG(st->st_mode) || (!is_input && S_ISFIFO(st->st_mode)),
        .sink = is_input ? SB_SINK_PIPE : sink_of(st),
        .left = UINT64_MAX,
    };
    return sb_fd_nonblock(ours, err);
}

/* Both outputs go to one place, as after 2>&1: one pipe keeps the order of what is written. */
static bool are_one(const struct stat *out, const struct stat *error)
{
    if (out->st_dev != error->st_dev || out->st_ino != error->st_ino) {
        return false;
    }
    return !S_ISREG(out->st_mode) ||
           syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, STDOUT_FILENO, STDERR_FILENO) == 0;
}

static int plan_one(struct sb_streams *streams, int i, bool is_empty, struct sb_err *err)
{
    struct stat st;
    struct stat out;
    if (sb_mutated("stdio.copy")) {
        streams->passed[i] = i;
        return 0;
    }
    if (is_empty || fstat(i, &st) < 0 || is_null(&st)) {
        return pass_null(streams, i, err);
    }
    if (i == STDIN_FILENO && S_ISFIFO(st.st_mode) && pass_reopened(streams, i)) {
        return 0;
    }
    if (i == STDERR_FILENO && streams->pumps[STDOUT_FILENO].from >= 0 &&
        fstat(STDOUT_FILENO, &out) == 0 && are_one(&out, &st)) {
        streams->passed[i] = streams->passed[STDOUT_FILENO];
        return 0;
    }
    return pass_pipe(streams, i, &st, err);
}

void sb_streams_init(struct sb_streams *streams)
{
    *streams = (struct sb_streams){.passed = {-1, -1, -1}, .null_fd = -1};
    for (int i = 0; i < 3; i++) {
        streams->pumps[i] = (struct sb_pump){.from = -1, .to = -1};
    }
}

int sb_streams_plan(struct sb_streams *streams, bool no_stdin, struct sb_err *err)
{
    sb_streams_init(streams);
    for (int i = 0; i < 3; i++) {
        if (plan_one(streams, i, no_stdin && i == STDIN_FILENO, err) < 0) {
            return sb_err_wrap(err, "%s", names[i]);
        }
    }
    return 0;
}

void sb_streams_limit(struct sb_streams *streams, uint64_t bytes)
{
    if (sb_mutated("output.client")) {
        return;
    }
    streams->pumps[STDOUT_FILENO].left = bytes;
    streams->pumps[STDERR_FILENO].left = bytes;
}

void sb_streams_release(struct sb_streams *streams)
{
    for (int i = 0; i < 3; i++) {
        if (streams->is_own[i]) {
            sb_closep(&streams->passed[i]);
            streams->is_own[i] = false;
        }
        streams->passed[i] = -1;
    }
    streams->is_released = true;
}

/* Closes our end of the pipe, never 0, 1 or 2. */
static void end_pump(struct sb_pump *pump)
{
    if (pump->from >= 0) {
        sb_closep(pump->is_input ? &pump->to : &pump->from);
        pump->from = -1;
        pump->to = -1;
        pump->held_len = 0;
    }
}

void sb_streams_done(struct sb_streams *streams)
{
    for (int i = 0; i < 3; i++) {
        end_pump(&streams->pumps[i]);
        free(streams->pumps[i].held);
        streams->pumps[i].held = NULL;
    }
    sb_closep(&streams->null_fd);
    streams->null_fd = -1;
    sb_streams_release(streams);
}

/* ---- copying ---- */

enum turn {
    TURN_MORE, /* copied something */
    TURN_WAIT, /* would block */
    TURN_OVER, /* end of file, or the other side is gone */
    TURN_COPY, /* cannot be spliced */
};

static bool is_ready(int fd, short events)
{
    struct pollfd pfd = {.fd = fd, .events = events};
    return poll(&pfd, 1, 0) > 0;
}

static enum turn splice_turn(struct sb_pump *pump)
{
    size_t want = pump->left < CHUNK_BYTES ? (size_t)pump->left : CHUNK_BYTES;
    ssize_t n = splice(pump->from, NULL, pump->to, NULL, want, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n > 0) {
        pump->left -= pump->is_input ? 0 : (uint64_t)n;
        return TURN_MORE;
    }
    if (n == 0) {
        return TURN_OVER;
    }
    switch (errno) {
    case EAGAIN:
        /* A file can always be read; of two pipes either may be the reason. */
        pump->waits_for_to =
            pump->is_input || (pump->sink == SB_SINK_PIPE && is_ready(pump->from, POLLIN));
        return TURN_WAIT;
    case EINTR:
        return TURN_MORE;
    case EINVAL: /* append mode, or a file system that cannot */
        pump->can_splice = false;
        return TURN_COPY;
    default:
        pump->failed = pump->is_input ? 0 : errno;
        return TURN_OVER;
    }
}

/* Past its limit: counted and forgotten. */
static enum turn drop_turn(struct sb_streams *streams, struct sb_pump *pump)
{
    if (streams->null_fd < 0) {
        streams->null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    }
    ssize_t n = splice(pump->from, NULL, streams->null_fd, NULL, CHUNK_BYTES, SPLICE_F_NONBLOCK);
    if (n > 0) {
        pump->dropped += (uint64_t)n;
        return TURN_MORE;
    }
    return n < 0 && errno == EAGAIN ? TURN_WAIT : n < 0 && errno == EINTR ? TURN_MORE : TURN_OVER;
}

static enum turn write_held(struct sb_pump *pump)
{
    struct sb_err err = {0};
    if (pump->sink == SB_SINK_FILE) { /* our own terminal or file: waiting is right */
        int rc = sb_fd_write_full(pump->to, pump->held + pump->held_at, pump->held_len, &err);
        pump->held_len = 0;
        pump->failed = rc < 0 ? err.sys : 0;
        return rc < 0 ? TURN_OVER : TURN_MORE;
    }
    const char *bytes = pump->held + pump->held_at;
    ssize_t n = pump->sink == SB_SINK_SOCKET
                    ? send(pump->to, bytes, pump->held_len, MSG_DONTWAIT | MSG_NOSIGNAL)
                    : write(pump->to, bytes, pump->held_len);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        pump->waits_for_to = errno == EAGAIN;
        return errno == EAGAIN ? TURN_WAIT : TURN_MORE;
    }
    if (n < 0) {
        pump->failed = pump->is_input ? 0 : errno;
        return TURN_OVER;
    }
    pump->held_at += (size_t)n;
    pump->held_len -= (size_t)n;
    return TURN_MORE;
}

static enum turn copy_turn(struct sb_pump *pump)
{
    if (pump->held == NULL && (pump->held = malloc(CHUNK_BYTES)) == NULL) {
        pump->failed = ENOMEM;
        return TURN_OVER;
    }
    if (pump->held_len > 0) {
        return write_held(pump);
    }
    size_t want = pump->left < CHUNK_BYTES ? (size_t)pump->left : CHUNK_BYTES;
    ssize_t n = read(pump->from, pump->held, want);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        return TURN_OVER; /* EIO: the terminal is gone */
    }
    if (n < 0) {
        return errno == EINTR ? TURN_MORE : TURN_WAIT;
    }
    pump->left -= pump->is_input ? 0 : (uint64_t)n;
    pump->held_at = 0;
    pump->held_len = (size_t)n;
    return write_held(pump);
}

static enum turn take_turn(struct sb_streams *streams, struct sb_pump *pump)
{
    if (pump->left == 0 && pump->held_len == 0) {
        return drop_turn(streams, pump);
    }
    enum turn turn = pump->can_splice ? splice_turn(pump) : copy_turn(pump);
    return turn == TURN_COPY ? copy_turn(pump) : turn;
}

/* One turn, or more for our own files: reading a terminal again could block. */
static void run_pump(struct sb_streams *streams, struct sb_pump *pump)
{
    pump->waits_for_to = false;
    enum turn turn = TURN_MORE;
    for (int i = 0; turn == TURN_MORE && i < TURNS_MAX; i++) {
        bool would_block = pump->is_input && !pump->can_splice && pump->held_len == 0 && i > 0;
        if (would_block) {
            return;
        }
        turn = take_turn(streams, pump);
    }
    if (turn == TURN_OVER) {
        end_pump(pump);
    }
}

bool sb_streams_may_read(int fd)
{
    pid_t foreground = tcgetpgrp(fd);
    return foreground < 0 || foreground == getpgrp();
}

size_t sb_streams_prepare(const struct sb_streams *streams, struct pollfd *ret_fds, int *timeout_ms)
{
    size_t n = 0;
    for (int i = 0; i < 3 && streams->is_released; i++) {
        const struct sb_pump *pump = &streams->pumps[i];
        if (pump->from < 0) {
            continue;
        }
        bool waits_for_to = pump->waits_for_to || pump->held_len > 0;
        if (pump->is_input && !waits_for_to && !sb_streams_may_read(pump->from)) {
            if (*timeout_ms < 0 || *timeout_ms > SB_STREAMS_RECHECK_MS) {
                *timeout_ms = SB_STREAMS_RECHECK_MS;
            }
            continue;
        }
        ret_fds[n++] = (struct pollfd){.fd = waits_for_to ? pump->to : pump->from,
                                       .events = waits_for_to ? POLLOUT : POLLIN};
        if (!waits_for_to && !pump->is_input && pump->sink != SB_SINK_FILE) {
            ret_fds[n++] = (struct pollfd){.fd = pump->to}; /* a reader that leaves */
        }
    }
    return n;
}

void sb_streams_step(struct sb_streams *streams, const struct pollfd *fds, size_t n)
{
    for (int i = 0; i < 3; i++) {
        struct sb_pump *pump = &streams->pumps[i];
        bool is_due = false;
        bool is_unread = false;
        for (size_t k = 0; pump->from >= 0 && k < n; k++) {
            is_due |= (fds[k].fd == pump->from || fds[k].fd == pump->to) && fds[k].revents != 0;
            is_unread |= fds[k].fd == pump->to && fds[k].events == 0 && fds[k].revents != 0;
        }
        if (is_unread) {
            end_pump(pump); /* the program meets SIGPIPE, as it would without us */
        } else if (is_due) {
            run_pump(streams, pump);
        }
    }
}

/* False: whoever reads our output does not, and stop_fd says not to wait. */
static bool wait_for_reader(const struct sb_pump *pump, int stop_fd)
{
    struct pollfd fds[] = {{.fd = pump->to, .events = POLLOUT}, {.fd = stop_fd, .events = POLLIN}};
    int ready = 0;
    do {
        ready = poll(fds, 2, -1);
    } while (ready < 0 && errno == EINTR);
    return ready > 0 && fds[1].revents == 0;
}

void sb_streams_drain(struct sb_streams *streams, bool may_wait, int stop_fd)
{
    end_pump(&streams->pumps[STDIN_FILENO]);
    for (int i = STDOUT_FILENO; i <= STDERR_FILENO; i++) {
        struct sb_pump *pump = &streams->pumps[i];
        while (pump->from >= 0 && (pump->held_len > 0 || is_ready(pump->from, POLLIN))) {
            run_pump(streams, pump);
            if (pump->from >= 0 && pump->waits_for_to &&
                (!may_wait || !wait_for_reader(pump, stop_fd))) {
                break;
            }
        }
        end_pump(pump);
    }
}

int sb_streams_check(const struct sb_streams *streams, struct sb_err *err)
{
    for (int i = 0; i < 3; i++) {
        int failed = streams->pumps[i].failed;
        if (failed != 0 && failed != EPIPE) {
            return sb_err_sys(err, failed, "write %s", names[i]);
        }
    }
    return 0;
}
