#include "service/spawner/layers/visit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "service/spawner/sandbox.h"

enum { PARKED = 16, MAX_FDS = 51 };

int sb_visit_open(const struct sb_sandbox *sandbox, struct sb_visit *ret_visit, struct sb_err *err)
{
    if (sandbox->state != SB_SANDBOX_RUNNING) {
        return sb_err_set(err, SB_PRECONDITION, "the sandbox does not run");
    }
    if (sandbox->mnt_fd < 0) {
        return sb_err_set(err, SB_PRECONDITION,
                          "no snapshots of sandboxes of this driver: take the driver native");
    }
    *ret_visit = (struct sb_visit){
        .user_fd = ioctl(sandbox->mnt_fd, NS_GET_USERNS),
        .mnt_fd = sandbox->mnt_fd,
        .pid_fd = sandbox->pid_fd,
        .setup_id = sandbox->ids.inside,
    };
    return ret_visit->user_fd < 0 ? sb_err_sys(err, errno, "open the user namespace") : 0;
}

void sb_visit_done(struct sb_visit *visit)
{
    sb_fd_close_all(&visit->user_fd, 1);
}

int sb_visit_arrange(struct sb_visit *visit, int *const *fds, size_t n, struct sb_err *err)
{
    int *all[MAX_FDS] = {&visit->user_fd, &visit->mnt_fd, &visit->pid_fd};
    size_t n_all = 3;
    struct rlimit limit;
    for (size_t i = 0; i < n && n_all < MAX_FDS; i++) {
        all[n_all++] = fds[i];
    }
    for (size_t i = 0; i < n_all; i++) { /* out of the way of each other */
        *all[i] = *all[i] < 0 ? -1 : fcntl(*all[i], F_DUPFD_CLOEXEC, PARKED + (int)n_all);
    }
    for (size_t i = 0; i < n_all; i++) {
        int at = PARKED + (int)i;
        if (*all[i] >= 0 && dup3(*all[i], at, O_CLOEXEC) < 0) {
            return sb_err_sys(err, errno, "arrange descriptors");
        }
        *all[i] = *all[i] >= 0 ? at : -1;
    }
    (void)close_range(3, PARKED - 1, 0);
    (void)close_range(PARKED + (unsigned)n_all, ~0U, 0);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    return 0;
}

int sb_visit_enter(const struct sb_visit *visit, struct sb_err *err)
{
    if (setns(visit->user_fd, CLONE_NEWUSER) < 0 || setns(visit->mnt_fd, CLONE_NEWNS) < 0 ||
        setns(visit->pid_fd, CLONE_NEWPID) < 0) {
        return sb_err_sys(err, errno, "enter the sandbox");
    }
    if (syscall(SYS_setresgid, visit->setup_id, visit->setup_id, visit->setup_id) < 0 ||
        syscall(SYS_setresuid, visit->setup_id, visit->setup_id, visit->setup_id) < 0) {
        return sb_err_sys(err, errno, "become user %u of the sandbox", visit->setup_id);
    }
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0
               ? sb_err_sys(err, errno, "prctl")
               : 0;
}
