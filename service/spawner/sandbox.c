#include "service/spawner/sandbox.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "service/spawner/child.h"
#include "service/spawner/driver.h"
#include "service/spawner/launch.h"
#include "service/spawner/layers/fill.h"
#include "service/spawner/layers/layer.h"
#include "service/spawner/plan.h"

struct sb_sandbox *sb_sandbox_start(const struct sb_launch_request *request, struct sb_err *err)
{
    const char *step = "";
    struct sb_sandbox *sandbox = calloc(1, sizeof *sandbox);
    if (sandbox == NULL) {
        (void)sb_err_oom(err);
        return NULL;
    }
    sandbox->copy_pidfd = sandbox->filled[0] = sandbox->filled[1] = -1;
    sandbox->init_pidfd = sandbox->mnt_fd = sandbox->pid_fd = sandbox->ground_fd = -1;
    sandbox->pidfd = sandbox->report_fd = sandbox->sync_fd = sandbox->ctl_fd = -1;
    sandbox->state = SB_SANDBOX_STARTING;
    sandbox->tells_ready = request->plan->driver->tells_ready;
    sandbox->deadline_ms = sb_clock_mono_ms() + SB_SANDBOX_START_MS;
    sandbox->launch = sb_launch_new(request, sandbox);
    if (sandbox->launch == NULL) {
        (void)sb_err_oom(err);
        sb_sandbox_free(sandbox);
        return NULL;
    }
    if (sb_launch_begin(sandbox->launch, &step, err) < 0) {
        (void)sb_err_wrap(err, "%s", step);
        sb_sandbox_free(sandbox);
        return NULL;
    }
    return sandbox;
}

/* Reads bytes and the process that wrote them, 0: unknown. */
static ssize_t read_named(int fd, void *data, size_t size, pid_t *ret_pid)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
    } control = {.bytes = {0}};
    struct iovec iov = {.iov_base = data, .iov_len = size};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    struct ucred who = {0};
    ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    const struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&msg);
    if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS) {
        memcpy(&who, CMSG_DATA(c), sizeof who);
    }
    *ret_pid = who.pid;
    return n;
}

/* The child is another program and init is below it: that is the one to know and to kill, as the
 * program counts what init used. No limit of the sandbox is the program's. */
static int adopt_init(struct sb_sandbox *sandbox, pid_t pid, struct sb_err *err)
{
    if (pid <= 0 || pid == sandbox->pid) {
        return sb_err_set(err, SB_INTERNAL, "it is not known who says that init runs");
    }
    sandbox->init_pid = pid;
    sandbox->init_pidfd = pidfd_open(pid, 0);
    if (sandbox->init_pidfd < 0) {
        return sb_err_sys(err, errno, "open process %d", pid);
    }
    return sb_cgroup_leave(&sandbox->cgroup, sandbox->pid, err);
}

/* Reads what has been said until now. A program that stands before init says things piece by piece.
 * *ret_pid  who wrote the first byte, when that came now. Returns 0 at the end, 1: more may follow.
 */
static int read_said(struct sb_sandbox *sandbox, pid_t *ret_pid, struct sb_err *err)
{
    while (sandbox->said_len < sizeof sandbox->said) {
        pid_t pid = 0;
        ssize_t n = read_named(sandbox->report_fd, sandbox->said + sandbox->said_len,
                               sizeof sandbox->said - sandbox->said_len, &pid);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return 1;
        }
        if (n <= 0) {
            return n == 0 ? 0 : sb_err_sys(err, errno, "read what the child says");
        }
        *ret_pid = sandbox->said_len == 0 ? pid : *ret_pid;
        sandbox->said_len += (size_t)n;
    }
    return 0;
}

/* Makes the error of what was said, and the step that failed. */
static int judge(const struct sb_sandbox *sandbox, int status, char *ret_step, struct sb_err *err)
{
    struct sb_child_report report;
    if (sandbox->said_len == sizeof report) {
        memcpy(&report, sandbox->said, sizeof report);
        if (memcmp(report.magic, SB_CHILD_REPORT_MAGIC, sizeof report.magic) == 0) {
            memcpy(ret_step, report.step, SB_CHILD_STEP_SIZE);
            ret_step[SB_CHILD_STEP_SIZE - 1] = '\0';
            *err = report.err;
            return -1;
        }
    }
    if (sandbox->said_len == 0) {
        return sb_err_set(err, SB_INTERNAL, "the child died (status %d)", status);
    }
    const char *end = memchr(sandbox->said, '\n', sandbox->said_len);
    int line = (int)(end == NULL ? sandbox->said_len : (size_t)(end - sandbox->said));
    (void)snprintf(ret_step, SB_CHILD_STEP_SIZE, "start");
    return sb_err_set(err, SB_INTERNAL, "%.*s", line, sandbox->said);
}

static bool is_alive(const struct sb_sandbox *sandbox, int *ret_status)
{
    siginfo_t info = {0};
    bool is = waitid(P_PIDFD, (id_t)sandbox->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
              info.si_pid == 0;
    *ret_status = info.si_status;
    return is;
}

int sb_sandbox_started(struct sb_sandbox *sandbox, bool is_dead, char *ret_step, struct sb_err *err)
{
    int status = 0;
    pid_t who = 0;
    ret_step[0] = '\0';
    if (sandbox->pid == 0) {
        const char *step = "";
        int heard = sb_launch_hear(sandbox->launch, &step, err);
        if (heard < 0) {
            (void)snprintf(ret_step, SB_CHILD_STEP_SIZE, "%s", step);
            sb_sandbox_fail(sandbox);
            return -1;
        }
        if (!is_dead && sandbox->said_len == 0) {
            return 0;
        }
    }
    int more = read_said(sandbox, &who, err);
    bool is_said = sandbox->tells_ready && sandbox->said_len == 1 && sandbox->said[0] == '\0';
    bool is_ready = is_said || (!sandbox->tells_ready && more == 0 && sandbox->said_len == 0);
    if (more > 0 && !is_ready && !is_dead) {
        return 0;
    }
    if (is_said && more >= 0 && adopt_init(sandbox, who, err) < 0) {
        more = -1;
    }
    if (more >= 0 && is_ready && sb_fill_settle(sandbox, err) < 0) {
        (void)snprintf(ret_step, SB_CHILD_STEP_SIZE, "space");
        more = -1;
    }
    if (more >= 0 && is_ready && is_alive(sandbox, &status)) {
        sandbox->init_pid = is_said ? sandbox->init_pid : sandbox->pid;
        sandbox->state = SB_SANDBOX_RUNNING;
        sb_closep(&sandbox->report_fd);
        sb_closep(&sandbox->sync_fd);
        sandbox->report_fd = sandbox->sync_fd = -1;
        sb_launch_free(SB_STEAL_PTR(sandbox->launch)); /* it has a memory of its own by now */
        return 1;
    }
    sb_sandbox_fail(sandbox);
    sandbox->said_len = is_ready ? 0 : sandbox->said_len;
    return more < 0 ? -1 : judge(sandbox, status, ret_step, err);
}

bool sb_sandbox_is_of(const struct sb_sandbox *sandbox, pid_t pid)
{
    return pid ==
           (sandbox->pid == 0 && sandbox->launch != NULL ? sandbox->launch->pid : sandbox->pid);
}

bool sb_sandbox_has_child(const struct sb_sandbox *sandbox)
{
    return !sb_sandbox_is_of(sandbox, 0);
}

int sb_sandbox_init_status(const struct sb_sandbox *sandbox, int wait_status)
{
    bool tells_signal =
        sandbox->tells_ready && WIFEXITED(wait_status) && WEXITSTATUS(wait_status) > 128;
    return tells_signal ? WEXITSTATUS(wait_status) - 128 : wait_status;
}

void sb_sandbox_fail(struct sb_sandbox *sandbox)
{
    sb_sandbox_kill(sandbox);
    sandbox->state = SB_SANDBOX_FAILED;
    sb_closep(&sandbox->report_fd);
    sb_closep(&sandbox->sync_fd);
    sb_closep(&sandbox->ctl_fd);
    sandbox->report_fd = sandbox->sync_fd = sandbox->ctl_fd = -1;
}

void sb_sandbox_kill(const struct sb_sandbox *sandbox)
{
    int fd = sandbox->init_pidfd >= 0 ? sandbox->init_pidfd : sandbox->pidfd;
    if (sandbox->copy_pidfd >= 0) {
        (void)pidfd_send_signal(sandbox->copy_pidfd, SIGKILL, NULL, 0);
    }
    (void)pidfd_send_signal(fd, SIGKILL, NULL, 0);
    sb_cgroup_kill(&sandbox->cgroup);
}

void sb_sandbox_free(struct sb_sandbox *sandbox)
{
    if (sandbox == NULL) {
        return;
    }
    sb_list_remove(&sandbox->link);
    sb_launch_free(sandbox->launch);
    sb_cgroup_remove(&sandbox->cgroup);
    sb_ids_release(&sandbox->ids);
    sb_bound_done(&sandbox->bound);
    for (size_t i = 0; i < SB_PLACES && sandbox->layers != NULL; i++) {
        sb_keeper_drop(&sandbox->layers->keeper, sandbox->uppers[i]);
    }
    sb_layer_unref(sandbox->layers, sandbox->layer);
    sb_closep(&sandbox->pidfd);
    sb_closep(&sandbox->mnt_fd);
    sb_closep(&sandbox->pid_fd);
    sb_closep(&sandbox->ground_fd);
    sb_closep(&sandbox->init_pidfd);
    sb_closep(&sandbox->copy_pidfd);
    sb_fd_close_all(sandbox->filled, SB_PLACES);
    sb_closep(&sandbox->report_fd);
    sb_closep(&sandbox->sync_fd);
    sb_closep(&sandbox->ctl_fd);
    free(sandbox);
}
