#pragma once
/** The one lasting sandbox that each tenant has of its own when the worker has --sandboxd: made
 * with the first call that needs it, and again when it has ended. Loop thread. */

struct sb_caller;
struct sb_err;
struct sb_rate;
struct sb_sandbox;
struct sb_worker;

/** Where clients of process.v1 think they are: what their paths are beneath. */
#define SB_HOME_ROOT "/workspace"

/** Is there such a thing, and is its profile known? Errors: SB_NOT_FOUND: the profile. */
int sb_home_check(const struct sb_worker *worker, struct sb_err *err);
/** The tenant's, if one starts or runs; else NULL. */
struct sb_sandbox *sb_home_find(const struct sb_worker *worker, const struct sb_caller *caller);
/** The same, or a new one, which is STARTING.
 *  @ret_rate  filled when a quota refuses.
 *  Errors: SB_PRECONDITION: the worker has no --sandboxd; and of sb_sandbox_new. */
int sb_home_open(struct sb_worker *worker,
                 const struct sb_caller *caller,
                 struct sb_rate *ret_rate,
                 struct sb_sandbox **ret_sandbox,
                 struct sb_err *err);
