#include "service/spawner/identity.h"

#include <errno.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mutate.h"
#include "service/spawner/child.h"

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
    char go = 0;
    ssize_t n = 0;
    do {
        n = read(child->sync_fd, &go, 1);
    } while (n < 0 && errno == EINTR);
    return n == 1 ? 0 : sb_err_set(err, SB_UNAVAILABLE, "the spawner is gone");
}

int sb_identity_set_up(struct sb_child *child, struct sb_err *err)
{
    if (child->has_setgroups && !sb_mutated("groups") && syscall(SYS_setgroups, 0, NULL) < 0) {
        return sb_err_sys(err, errno, "drop supplementary groups");
    }
    return set_ids(child->setup_id, child->setup_id, child->setup_id, err);
}

int sb_identity_become_job(struct sb_child *child, struct sb_err *err)
{
    return set_ids(child->job_uid, child->job_uid, child->job_gid, err);
}

int sb_identity_become_init(struct sb_child *child, struct sb_err *err)
{
    return set_ids(child->init_uid, child->job_uid, child->job_gid, err);
}
