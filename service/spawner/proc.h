#pragma once

struct sb_child;
struct sb_err;

/** Step of the child: a fresh procfs of its PID namespace, with the parts that show or set what
 *  belongs to the host covered. Errors: by errno; SB_PRECONDITION: it is not permitted here, and
 *  the text says what to change. */
int sb_proc_mount(struct sb_child *child, struct sb_err *err);

/** Step of the child, in the new root: checks that /proc is a procfs and that the covers are on. */
int sb_proc_verify(struct sb_child *child, struct sb_err *err);
