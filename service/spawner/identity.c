#include "service/spawner/identity.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mutate.h"
#include "service/spawner/child.h"
#include "service/spawner/process.h"

/* The system calls, not libc's functions: those tell other threads, of which a clone has none. */
static int set_ids(unsigned real_uid, unsigned uid, unsigned gid, struct sb_err *err)
{
    if (syscall(SYS_setresgid, gid, gid, gid) < 0) {
        return sb_err_sys(err, errno, "become group %u", gid);
    }
    if (syscall(SYS_setresuid, real_uid, uid, uid) < 0) {
        return sb_err_sys(err, errno, "become user %u", uid);
    }
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? sb_err_sys(err, errno, "prctl") : 0;
}

int sb_identity_wait(struct sb_child *child, struct sb_err *err)
{
    /* Not the pipe alone: children that were cloned at the same time have each other's ends. */
    struct pollfd fds[] = {{.fd = child->parent_fd, .events = POLLIN},
                           {.fd = child->sync_fd, .events = POLLIN}};
    char go = 0;
    while (poll(fds, 2, -1) < 0) {
        if (errno != EINTR) {
            return sb_err_sys(err, errno, "poll");
        }
    }
    return fds[0].revents == 0 && read(child->sync_fd, &go, 1) == 1
               ? 0
               : sb_err_set(err, SB_UNAVAILABLE, "the spawner is gone");
}

int sb_identity_set_up(struct sb_child *child, struct sb_err *err)
{
    if (child->has_setgroups && !sb_mutated("groups") && syscall(SYS_setgroups, 0, NULL) < 0) {
        return sb_err_sys(err, errno, "drop supplementary groups");
    }
    return set_ids(child->setup_id, child->setup_id, child->setup_id, err) < 0
               ? -1
               : sb_process_tie(child, err);
}

int sb_identity_become_job(struct sb_child *child, struct sb_err *err)
{
    return set_ids(child->job_uid, child->job_uid, child->job_gid, err);
}

int sb_identity_become_init(struct sb_child *child, struct sb_err *err)
{
    return set_ids(child->init_uid, child->job_uid, child->job_gid, err);
}
