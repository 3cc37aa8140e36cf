#pragma once

struct sb_child;
struct sb_err;

/* Steps of the child. */

/** Waits until the parent has written the id maps. Errors: SB_UNAVAILABLE: the parent is dead. */
int sb_identity_wait(struct sb_child *child, struct sb_err *err);
/** No supplementary groups, and the ids that set the sandbox up. Ends with the parent from then on.
 */
int sb_identity_set_up(struct sb_child *child, struct sb_err *err);
/** The ids of the job. */
int sb_identity_become_job(struct sb_child *child, struct sb_err *err);
/** The ids of init: the job's, but a real uid of its own, so that the job may not signal it. An
 *  execve under no_new_privs would lose the other: that is init's to set. */
int sb_identity_become_init(struct sb_child *child, struct sb_err *err);
