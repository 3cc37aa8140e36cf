#include "service/init/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>

#include "base/mutate.h"
#include "service/init/exec.h"
#include "service/init/sys.h"
#include "service/init/terminal.h"
#include "service/init/tree.h"
#include "service/init/watch.h"

enum { KILL_ROUND_MS = 5, LOOK_MS = 250, MAX_SIGNAL = 64 };

/* What this process serves; one per process, on the stack of sb_serve_exec. */
struct serve {
    int sock;      /* the exec's own */
    int ctl_fd;    /* -1: this is a stub */
    int signal_fd; /* SIGCHLD */
    int main_pid;  /* 0: ended */
    struct sb_terminal terminal;
    int is_killing;
    struct sb_init_seen seen;
    uint32_t killed;
    uint64_t user_us; /* of all that was reaped */
    uint64_t system_us;
    uint64_t max_rss_bytes;
};

static uint64_t micros(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

static void on_main_exit(struct serve *serve, int status, const struct rusage *usage)
{
    struct sb_init_exited exited = {
        .type = SB_INIT_EXITED,
        .wait_status = status,
        .user_us = micros(usage->ru_utime),
        .system_us = micros(usage->ru_stime),
        .max_rss_bytes = (uint64_t)usage->ru_maxrss * 1024,
    };
    /* Whether space was left is the kernel's to say, and only now: with the sandbox it is gone. */
    if (status != 0) {
        sb_watch_spaces(exited.spaces);
    }
    exited.seen = serve->seen;
    serve->main_pid = 0;
    sb_terminal_close(&serve->terminal);
    sb_exec_send(serve->sock, &exited, sizeof exited);
}

static _Noreturn void finish(const struct serve *serve)
{
    struct sb_init_empty empty = {
        .type = SB_INIT_EMPTY,
        .killed = serve->killed,
        .user_us = serve->user_us,
        .system_us = serve->system_us,
        .max_rss_bytes = serve->max_rss_bytes,
    };
    sb_exec_send(serve->sock, &empty, sizeof empty);
    sb_sys_exit(0);
}

/* Reaps all that has ended; does not return when nothing is left. */
static void reap(struct serve *serve)
{
    struct rusage usage = {0};
    int status = 0;
    long pid = 0;
    while ((pid = sb_sys_wait(-1, &status, WNOHANG, &usage)) > 0) {
        uint64_t rss = (uint64_t)usage.ru_maxrss * 1024;
        serve->user_us += micros(usage.ru_utime);
        serve->system_us += micros(usage.ru_stime);
        serve->max_rss_bytes = rss > serve->max_rss_bytes ? rss : serve->max_rss_bytes;
        if (serve->is_killing && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
            serve->killed++;
        }
        if (pid == serve->main_pid) {
            on_main_exit(serve, status, &usage);
        }
    }
    if (pid == -ECHILD) {
        finish(serve);
    }
}

static void kill_all(struct serve *serve)
{
    serve->is_killing = 1;
    if (sb_mutated("init.tree")) {
        if (serve->main_pid != 0) {
            (void)sb_sys_kill(serve->main_pid, SIGKILL);
        }
    } else if (serve->ctl_fd >= 0) {
        (void)sb_sys_kill(-1, SIGKILL); /* PID 1: all of the namespace at once */
    } else {
        sb_tree_kill(NULL);
    }
}

static void on_signal_request(const struct serve *serve, const struct sb_init_signal *request)
{
    if (request->signal <= 0 || request->signal > MAX_SIGNAL) {
        return;
    }
    if (request->whom == SB_INIT_TREE) {
        sb_tree_signal(request->signal);
    } else if (request->whom == SB_INIT_GROUP) {
        struct sb_init_signaled signaled = {SB_INIT_SIGNALED};
        if (serve->main_pid != 0) {
            (void)sb_sys_kill(-serve->main_pid, request->signal);
        }
        sb_exec_send(serve->sock, &signaled, sizeof signaled);
    } else if (serve->main_pid != 0) {
        (void)sb_sys_kill(serve->main_pid, request->signal);
    }
}

static void on_request(struct serve *serve)
{
    union {
        uint32_t type;
        struct sb_init_signal signal;
        struct sb_init_kill kill;
    } request = {0};
    struct iovec iov = {.iov_base = &request, .iov_len = sizeof request};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    long len = sb_sys_recvmsg(serve->sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (len == -EAGAIN || len == -EINTR) {
        return;
    }
    if (len >= (long)sizeof request.signal && request.type == SB_INIT_SIGNAL) {
        on_signal_request(serve, &request.signal);
    } else {
        kill_all(serve); /* KILL, end of file, or nonsense */
    }
}

/* PID 1: nothing more is expected there but the end. */
static void on_control(const struct serve *serve)
{
    char byte;
    struct iovec iov = {.iov_base = &byte, .iov_len = sizeof byte};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    long len = sb_sys_recvmsg(serve->ctl_fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (len != -EAGAIN && len != -EINTR) {
        sb_sys_exit(0);
    }
}

static void clear_signals(int signal_fd)
{
    char data[1024];
    while (sb_sys_read(signal_fd, data, sizeof data) > 0) {
    }
}

static _Noreturn void fail(const struct serve *serve, int error, enum sb_init_stage stage)
{
    struct sb_init_failed failed = {SB_INIT_FAILED, -error, stage};
    sb_exec_send(serve->sock, &failed, sizeof failed);
    sb_sys_exit(0);
}

/* The program's streams become copies of the slave side; sb_exec_start closes them. */
static void give_terminal(struct serve *serve, struct sb_exec *exec)
{
    int error = sb_terminal_open(exec->rows, exec->columns, &serve->terminal);
    for (int i = 0; i < 3 && error >= 0; i++) {
        sb_sys_close(exec->fds[i]);
        error = (int)sb_sys_fcntl(serve->terminal.slave, F_DUPFD_CLOEXEC, 3);
        exec->fds[i] = error;
    }
    if (error < 0) {
        fail(serve, error, SB_INIT_STAGE_TERMINAL);
    }
}

static void start(struct serve *serve, struct sb_exec *exec)
{
    enum sb_init_stage stage = SB_INIT_STAGE_FORK;
    bool has_terminal = (exec->flags & SB_INIT_TERMINAL) != 0;
    if (has_terminal) {
        give_terminal(serve, exec);
    }
    int pid = sb_exec_start(exec, &stage);
    if (pid < 0) {
        fail(serve, pid, stage);
    }
    struct sb_init_started started = {SB_INIT_STARTED, pid};
    serve->main_pid = pid;
    if (!has_terminal) {
        sb_exec_send(serve->sock, &started, sizeof started);
        return;
    }
    sb_exec_send_fd(serve->sock, &started, sizeof started, serve->terminal.master);
    sb_sys_close(serve->terminal.master);
    serve->terminal.master = -1;
}

_Noreturn void sb_serve_exec(struct sb_exec *exec, int ctl_fd, int signal_fd)
{
    struct serve serve = {
        .sock = exec->fds[SB_INIT_FDS - 1],
        .ctl_fd = ctl_fd,
        .signal_fd = signal_fd,
        .terminal = SB_TERMINAL_NONE,
    };
    start(&serve, exec);
    struct timespec to_look = {.tv_nsec = LOOK_MS * 1000000L};
    for (;;) {
        struct timespec round = {.tv_nsec = KILL_ROUND_MS * 1000000L};
        struct timespec *left = serve.is_killing ? &round : serve.main_pid != 0 ? &to_look : NULL;
        struct pollfd fds[] = {
            {.fd = signal_fd, .events = POLLIN},
            {.fd = serve.is_killing ? -1 : serve.sock, .events = POLLIN},
            {.fd = ctl_fd, .events = POLLIN},
        };
        (void)sb_sys_poll(fds, 3, left);
        if (left == &to_look && to_look.tv_sec == 0 && to_look.tv_nsec == 0) {
            sb_watch_look(&serve.seen, serve.main_pid);
            to_look.tv_nsec = LOOK_MS * 1000000L;
        }
        clear_signals(signal_fd);
        reap(&serve);
        if (fds[2].revents != 0) {
            on_control(&serve);
        }
        if (serve.is_killing) {
            kill_all(&serve); /* what forked away from the last round */
        } else if (fds[1].revents != 0) {
            on_request(&serve);
        }
    }
}
