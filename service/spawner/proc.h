#pragma once

struct sb_child;
struct sb_err;

/* What hides a part, relative to the new root. */
#define SB_PROC_EMPTY_FILE "run/file"
#define SB_PROC_EMPTY_DIR  "run/dir"

/* Steps of the child. Errors: by errno; SB_PRECONDITION: a procfs is not permitted here, and the
 * text says what to change. */

/** A fresh procfs of its PID namespace, /proc/sys read-only, and all covered that programs are not
 *  given (proc_list.h). */
int sb_proc_mount(struct sb_child *child, struct sb_err *err);

/** In the new root: checks that /proc is a procfs and that the covers are on. */
int sb_proc_verify(struct sb_child *child, struct sb_err *err);

/** Makes what hides a part, for whoever covers /proc. */
int sb_proc_make_empty(struct sb_child *child, struct sb_err *err);

/** Bounds what its user namespace permits, when another program makes the sandbox's inside of it.
 */
int sb_proc_limit_around(struct sb_child *child, struct sb_err *err);
