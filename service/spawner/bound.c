#include "service/spawner/bound.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "service/spawner/plan.h"

#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x1000U /* Linux 5.8 */
#endif

static bool look_at(int fd, struct statx *ret_st)
{
    return statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_UID | STATX_GID | STATX_MNT_ID, ret_st) ==
           0;
}

static uint64_t device_of(const struct statx *st)
{
    return (uint64_t)makedev(st->stx_dev_major, st->stx_dev_minor);
}

int sb_bound_watch(void)
{
    return open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
}

int sb_bound_keep(struct sb_bound *ret_bound,
                  const struct sb_plan *plan,
                  const int *fds,
                  int *changes_fd,
                  struct sb_err *err)
{
    size_t n = plan->n_mounts - plan->n_of_worker;
    *ret_bound = (struct sb_bound){.changes_fd = -1};
    for (size_t i = 0; n <= SB_BOUND_MAX && *changes_fd >= 0 && i < n; i++) {
        struct statx st;
        if (!look_at(fds[i], &st)) {
            int sys = errno;
            sb_bound_done(ret_bound);
            return sb_err_sys(err, sys, "look at %s", plan->mounts[i].source);
        }
        char *source = strdup(plan->mounts[i].source);
        if (source == NULL) {
            sb_bound_done(ret_bound);
            return sb_err_oom(err);
        }
        ret_bound->files[ret_bound->n++] = (struct sb_bound_file){
            .source = source,
            .is_writable = plan->mounts[i].is_writable,
            .device = device_of(&st),
            .inode = st.stx_ino,
            .mount = st.stx_mnt_id,
            .uid = st.stx_uid,
            .gid = st.stx_gid,
        };
    }
    if (ret_bound->n > 0) {
        ret_bound->changes_fd = SB_STEAL_FD(*changes_fd);
    }
    return 0;
}

void sb_bound_done(struct sb_bound *bound)
{
    for (size_t i = 0; i < bound->n; i++) {
        free(bound->files[i].source);
    }
    if (bound->n > 0) {
        sb_closep(&bound->changes_fd);
    }
    bound->n = 0;
}

bool sb_bound_mounts_stay(const struct sb_bound *bound)
{
    struct pollfd changes = {.fd = bound->changes_fd, .events = POLLPRI};
    return bound->n > 0 && poll(&changes, 1, 0) == 0;
}

bool sb_bound_is(const struct sb_bound_file *file, int fd)
{
    struct statx st;
    return look_at(fd, &st) && device_of(&st) == file->device && st.stx_ino == file->inode &&
           st.stx_mnt_id == file->mount && st.stx_uid == file->uid && st.stx_gid == file->gid;
}
