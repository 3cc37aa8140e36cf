#include "service/spawner/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/err.h"
#include "service/shared/initproto.h"
#include "service/spawner/child.h"

/* Where descriptors stand when the step is done. */
enum {
    REPORT_FD = SB_INIT_FD + 1, /* close-on-exec */
    INIT_FD,                    /* close-on-exec */
    FIRST_CLOSED,
    PARKED = 16, /* first number that none of the above takes */
};

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

int sb_fds_arrange(struct sb_child *child, struct sb_err *err)
{
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0) {
        return sb_err_sys(err, errno, "open /dev/null");
    }
    if (park(&child->report_fd, err) < 0 || park(&child->init_fd, err) < 0 ||
        park(&child->ctl_fd, err) < 0 || park(&null_fd, err) < 0) {
        return -1;
    }
    for (int i = 0; i <= STDERR_FILENO; i++) {
        int copy = null_fd;
        if (place(&copy, i, 0, err) < 0) {
            return -1;
        }
    }
    if (place(&child->ctl_fd, SB_INIT_FD, 0, err) < 0 ||
        place(&child->report_fd, REPORT_FD, O_CLOEXEC, err) < 0 ||
        place(&child->init_fd, INIT_FD, O_CLOEXEC, err) < 0) {
        return -1;
    }
    child->sync_fd = -1;
    child->root_fd = -1;
    return close_range(FIRST_CLOSED, ~0U, 0) < 0 ? sb_err_sys(err, errno, "close descriptors") : 0;
}
