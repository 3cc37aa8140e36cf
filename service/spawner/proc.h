#pragma once

struct sb_child;
struct sb_err;

enum sb_proc_kind {
    SB_PROC_HIDE,      /* an empty file in its place; a directory, if the kernel has one there */
    SB_PROC_HIDE_DIR,  /* the other way round */
    SB_PROC_READ_ONLY, /* bound onto itself, read-only */
};

/** What of /proc is covered; ended by a NULL path. */
extern const struct sb_proc_cover {
    const char *path; /* relative to the new root */
    enum sb_proc_kind kind;
} sb_proc_covers[];

/* What hides a part, relative to the new root. */
#define SB_PROC_EMPTY_FILE "run/file"
#define SB_PROC_EMPTY_DIR  "run/dir"

/* Steps of the child. Errors: by errno; SB_PRECONDITION: a procfs is not permitted here, and the
 * text says what to change. */

/** A fresh procfs of its PID namespace, with the parts that show or set what belongs to the host
 *  covered. */
int sb_proc_mount(struct sb_child *child, struct sb_err *err);

/** In the new root: checks that /proc is a procfs and that the covers are on. */
int sb_proc_verify(struct sb_child *child, struct sb_err *err);

/** Makes what hides a part, for whoever covers /proc. */
int sb_proc_make_empty(struct sb_child *child, struct sb_err *err);

/** Bounds what its user namespace permits, when another program makes the sandbox's inside of it.
 */
int sb_proc_limit_around(struct sb_child *child, struct sb_err *err);
