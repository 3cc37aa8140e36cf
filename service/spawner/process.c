#include "service/spawner/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mutate.h"
#include "service/spawner/child.h"

static int close_others(int keep_fd, struct sb_err *err)
{
    if (keep_fd > STDERR_FILENO + 1 &&
        close_range(STDERR_FILENO + 1, (unsigned)keep_fd - 1, 0) < 0) {
        return sb_err_sys(err, errno, "close descriptors");
    }
    if (close_range((unsigned)keep_fd + 1, ~0U, 0) < 0) {
        return sb_err_sys(err, errno, "close descriptors");
    }
    if (fcntl(keep_fd, F_SETFD, FD_CLOEXEC) < 0) {
        return sb_err_sys(err, errno, "descriptor %d", keep_fd);
    }
    return 0;
}

/* Also those that libc keeps for itself and does not let anybody set: init and the job count on it.
 */
static void default_signals(void)
{
    const unsigned long action[8] = {0}; /* the kernel's struct, longer: SIG_DFL and no flags */
    sigset_t none;
    for (int signal_number = 1; signal_number < NSIG; signal_number++) {
        (void)syscall(SYS_rt_sigaction, signal_number, action, NULL, (size_t)8);
    }
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

int sb_process_clean(int keep_fd, struct sb_err *err)
{
    if (clearenv() != 0 || setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1) < 0 ||
        setenv("LC_ALL", "C.UTF-8", 1) < 0) {
        return sb_err_oom(err);
    }
    sb_mutate_keep();
    default_signals();
    (void)umask(022);
    /* A real-time class must not reach the jobs, which could then starve the host. */
    struct sched_param none = {.sched_priority = 0};
    if (sched_setscheduler(0, SCHED_OTHER, &none) < 0) {
        return sb_err_sys(err, errno, "leave the real-time class");
    }
    if (chdir("/") < 0) {
        return sb_err_sys(err, errno, "enter /");
    }
    /* Best effort: a second layer, see sb_ns_session. */
    if (!sb_mutated("keyring.spawner")) {
        (void)syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, NULL);
    }
    return sb_mutated("fds.spawner") ? 0 : close_others(keep_fd, err);
}

int sb_process_guard(pid_t parent, struct sb_err *err)
{
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) {
        return sb_err_sys(err, errno, "prctl");
    }
    if (getppid() != parent) {
        return sb_err_set(err, SB_UNAVAILABLE, "the worker is gone");
    }
    return 0;
}

int sb_process_signals(struct sb_err *err)
{
    sigset_t wanted;
    (void)sigemptyset(&wanted);
    (void)sigaddset(&wanted, SIGCHLD);
    (void)sigaddset(&wanted, SIGTERM);
    (void)sigaddset(&wanted, SIGINT);
    (void)sigaddset(&wanted, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &wanted, NULL) < 0) {
        return sb_err_sys(err, errno, "block signals");
    }
    int fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? sb_err_sys(err, errno, "signalfd") : fd;
}

int sb_process_reset(struct sb_child *child, struct sb_err *err)
{
    (void)child;
    sigset_t none;
    (void)sigemptyset(&none);
    /* The dispositions are default in the spawner already. */
    return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? sb_err_sys(err, errno, "unblock signals")
                                                     : 0;
}

int sb_process_tie(struct sb_child *child, struct sb_err *err)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) {
        return sb_err_sys(err, errno, "prctl");
    }
    /* getppid tells nothing across PID namespaces, and of the pipe's end others may have copies. */
    struct pollfd parent = {.fd = child->parent_fd, .events = POLLIN};
    if (poll(&parent, 1, 0) < 0) {
        return sb_err_sys(err, errno, "poll");
    }
    return parent.revents != 0 ? sb_err_set(err, SB_UNAVAILABLE, "the spawner is gone") : 0;
}
