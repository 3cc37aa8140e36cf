#include "service/spawner/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mutate.h"
#include "service/spawner/child.h"

enum { KEYCTL_JOIN_SESSION_KEYRING_ = 1 }; /* linux/keyctl.h is not always there */

struct clone_args
sb_ns_clone_args(uint64_t namespaces, int cgroup_fd, pid_t *ret_pid, int *ret_pidfd)
{
    const uint64_t into_cgroup = cgroup_fd < 0 ? 0 : CLONE_INTO_CGROUP;
    return (struct clone_args){
        .flags = namespaces | CLONE_PIDFD | CLONE_PARENT_SETTID | into_cgroup,
        .pidfd = (uint64_t)(uintptr_t)ret_pidfd,
        .parent_tid = (uint64_t)(uintptr_t)ret_pid,
        .exit_signal = SIGCHLD,
        .cgroup = (unsigned)(cgroup_fd < 0 ? 0 : cgroup_fd),
    };
}

int sb_ns_clone_error(int sys, uint64_t namespaces, bool is_root, struct sb_err *err)
{
    if (sys == ENOSPC || sys == EUSERS) {
        bool has_fallback = is_root && (namespaces & CLONE_NEWUSER) != 0;
        return sb_err_set(
            err, SB_EXHAUSTED,
            "clone: no more namespaces; raise sysctl user.max_user_namespaces and the "
            "other user.max_*_namespaces%s",
            has_fallback ? ", or take the driver chroot, which is weaker" : "");
    }
    return sb_err_sys(err, sys, "clone into new namespaces");
}

long sb_ns_fork(struct clone_args *args)
{
    int shown[2];
    if (pipe2(shown, O_CLOEXEC) < 0) {
        return -1;
    }
    long pid = syscall(SYS_clone3, args, sizeof *args);
    int sys = errno;
    if (pid == 0) {
        (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
        (void)!write(shown[1], "s", 1);
    }
    (void)close(shown[1]);
    char byte = 0;
    while (pid > 0 && read(shown[0], &byte, 1) < 0 && errno == EINTR) {
    }
    (void)close(shown[0]);
    errno = sys;
    return pid;
}

pid_t sb_ns_clone(
    uint64_t namespaces, int cgroup_fd, bool is_root, int *ret_pidfd, struct sb_err *err)
{
    int pidfd = -1;
    pid_t same = 0;
    struct clone_args args = sb_ns_clone_args(namespaces, cgroup_fd, &same, &pidfd);
    long pid = sb_ns_fork(&args);
    if (pid < 0) {
        return (pid_t)sb_ns_clone_error(errno, namespaces, is_root, err);
    }
    if (pid > 0) {
        *ret_pidfd = pidfd;
    }
    return (pid_t)pid;
}

int sb_ns_cgroup(struct sb_child *child, struct sb_err *err)
{
    (void)child;
    return unshare(CLONE_NEWCGROUP) < 0 ? sb_err_sys(err, errno, "make a cgroup namespace") : 0;
}

int sb_ns_hostname(struct sb_child *child, struct sb_err *err)
{
    const char *name = child->plan->hostname;
    if (sethostname(name, strlen(name)) < 0) {
        return sb_err_sys(err, errno, "set host name");
    }
    return setdomainname("", 0) < 0 ? sb_err_sys(err, errno, "clear domain name") : 0;
}

int sb_ns_loopback(struct sb_child *child, struct sb_err *err)
{
    (void)child;
    struct ifreq request = {.ifr_name = "lo"};
    SB_CLEANUP(sb_closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return sb_err_sys(err, errno, "make socket");
    }
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    return ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? sb_err_sys(err, errno, "bring lo up") : 0;
}

int sb_ns_session(struct sb_child *child, struct sb_err *err)
{
    (void)child;
    if (!sb_mutated("session.child") && setsid() < 0) {
        return sb_err_sys(err, errno, "setsid");
    }
    /* A keyring of its own is a second layer: the spawner's session keyring, inherited otherwise,
     * is an empty one, and the filter refuses the calls. So a quota that is used up is no failure.
     */
    if (!sb_mutated("keyring.child") &&
        syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING_, NULL) < 0 && errno != EDQUOT &&
        errno != ENOSYS && errno != EPERM) {
        return sb_err_sys(err, errno, "join a session keyring");
    }
    return 0;
}
