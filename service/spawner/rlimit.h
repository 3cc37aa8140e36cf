#pragma once

struct sb_child;
struct sb_err;

/** Step of the child: the limits every sandbox has, then those of the plan, soft = hard, none
 *  above what the spawner itself has. Errors: by errno. */
int sb_rlimit_apply(struct sb_child *child, struct sb_err *err);
