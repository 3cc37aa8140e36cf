#pragma once
#include <stddef.h>

struct sb_child;
struct sb_err;

enum {
    SB_FDS_INIT = 5, /* where the executable of init stands when a step of these is done */
    SB_FDS_MORE,     /* the first number that is free then */
};

/** One more descriptor to keep. */
struct sb_fds_place {
    int *fd;   /* becomes the new number */
    int at;    /* SB_FDS_MORE and on, without a gap */
    int flags; /* O_CLOEXEC or 0 */
};

/** Step of the child: /dev/null as 0, 1 and 2, the control socket as 3; whatever else is open,
 *  except what the steps after it need (all of it close-on-exec), is closed. Errors: by errno. */
int sb_fds_arrange(struct sb_child *child, struct sb_err *err);

/** The same for another program than init: it keeps those of @more, the executable of init, and the
 *  pipe of reports, at SB_INIT_READY_FD and as its standard error. Errors: by errno. */
int sb_fds_arrange_for_program(struct sb_child *child,
                               const struct sb_fds_place *more,
                               size_t n,
                               struct sb_err *err);
