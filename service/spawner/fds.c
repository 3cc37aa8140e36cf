#include "service/spawner/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mutate.h"
#include "service/shared/initproto.h"
#include "service/spawner/child.h"

enum { PARKED = 32 }; /* first number that none of the places takes */

static int park(int *fd, struct sb_err *err)
{
    int parked = fcntl(*fd, F_DUPFD_CLOEXEC, PARKED);
    if (parked < 0) {
        return sb_err_sys(err, errno, "move descriptor %d", *fd);
    }
    *fd = parked;
    return 0;
}

static int place(int *fd, int at, int flags, struct sb_err *err)
{
    if (dup3(*fd, at, flags) < 0) {
        return sb_err_sys(err, errno, "place descriptor %d", at);
    }
    *fd = at;
    return 0;
}

static int park_all(struct sb_child *child,
                    const struct sb_fds_place *more,
                    size_t n,
                    int *null_fd,
                    struct sb_err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (park(more[i].fd, err) < 0) {
            return -1;
        }
    }
    return park(&child->report_fd, err) < 0 || park(&child->init_fd, err) < 0 ||
                   park(&child->ctl_fd, err) < 0 || park(null_fd, err) < 0
               ? -1
               : 0;
}

/* @flags  of the pipe of reports and of init. */
static int arrange(struct sb_child *child,
                   int flags,
                   const struct sb_fds_place *more,
                   size_t n,
                   struct sb_err *err)
{
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0) {
        return sb_err_sys(err, errno, "open /dev/null");
    }
    if (park_all(child, more, n, &null_fd, err) < 0) {
        return -1;
    }
    for (int i = 0; i <= STDERR_FILENO; i++) {
        int copy = null_fd;
        if (place(&copy, i, 0, err) < 0) {
            return -1;
        }
    }
    if (place(&child->ctl_fd, SB_INIT_FD, 0, err) < 0 ||
        place(&child->report_fd, SB_INIT_READY_FD, flags, err) < 0 ||
        place(&child->init_fd, SB_FDS_INIT, flags, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        if (place(more[i].fd, more[i].at, more[i].flags, err) < 0) {
            return -1;
        }
    }
    child->sync_fd = child->parent_fd = -1;
    child->root_fd = -1;
    return !sb_mutated("fds.child") && close_range(SB_FDS_MORE + (unsigned)n, ~0U, 0) < 0
               ? sb_err_sys(err, errno, "close descriptors")
               : 0;
}

int sb_fds_arrange(struct sb_child *child, struct sb_err *err)
{
    return arrange(child, O_CLOEXEC, NULL, 0, err);
}

int sb_fds_arrange_for_program(struct sb_child *child,
                               const struct sb_fds_place *more,
                               size_t n,
                               struct sb_err *err)
{
    if (arrange(child, 0, more, n, err) < 0) {
        return -1;
    }
    int complaints = child->report_fd;
    return place(&complaints, STDERR_FILENO, 0, err);
}
