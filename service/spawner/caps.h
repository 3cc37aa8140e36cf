#pragma once
#include <stdbool.h>

struct sb_child;
struct sb_err;

/** Drops every capability of this process that the spawner does not need; see the table.
 *  @is_root  false: in a user namespace of its own. Errors: by errno; SB_PRECONDITION: one that is
 *  needed is missing. */
int sb_caps_keep(bool is_root, struct sb_err *err);

/** Root mode: makes the capabilities of sb_caps_keep effective, and with @reads_all those by which
 *  root passes permissions of files. For opening files as a caller who is root; to be taken back
 *  with false, also after each return to user id 0. Errors: by errno. */
int sb_caps_lend(bool reads_all, struct sb_err *err);

/** True when this process has all that root mode needs. */
bool sb_caps_has_root(void);

/** True when this process has what the driver chroot needs beyond that. */
bool sb_caps_has_chroot(void);

/* Steps of the child, in this order. */

/** Empties bounding and ambient set, and locks the securebits so that no id means anything. */
int sb_caps_lock(struct sb_child *child, struct sb_err *err);
/** Empties the other sets, and sets no_new_privs. */
int sb_caps_drop(struct sb_child *child, struct sb_err *err);
/** Empties the other sets but for the one capability by which filters are put on without
 *  no_new_privs. Locked as they are, execve takes that, too. */
int sb_caps_leave_filters(struct sb_child *child, struct sb_err *err);
