#pragma once

struct sb_child;
struct sb_err;

/** Landlock: a second wall behind the mounts, which the kernel checks on its own. What the root
 *  shows by mistake, or a descriptor that reached the job by mistake leads to, is not opened. */

/** Version of the kernel's Landlock; 0: it has none, or one that sandboxes cannot use. */
int sb_landlock_version(void);

/** What that version lacks, for people; NULL when nothing. */
const char *sb_landlock_lacks(int version);

/** Step of the child: closes all that the plan does not open, for it and its children, for ever.
 *  Needs no_new_privs. Does nothing when child->landlock is 0. Errors: by errno. */
int sb_landlock_apply(struct sb_child *child, struct sb_err *err);

/** The same without a plan: nothing at all is open. For probes. */
int sb_landlock_close(int version, struct sb_err *err);
