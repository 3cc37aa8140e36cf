#pragma once

struct sb_child;
struct sb_err;

/** Step of the child: where no group bounds its CPU, it may run on so many processors only as its
 *  quota is worth, and cannot change that. Sandboxes take turns. Needs no_new_privs or
 *  CAP_SYS_ADMIN. Errors: by errno. */
int sb_affinity_apply(struct sb_child *child, struct sb_err *err);
