#pragma once
#include <sched.h>
#include <stddef.h>
#include <stdint.h>

struct sb_child;
struct sb_err;

/** Step of the child: where no group bounds its CPU, it may run on so many processors only as its
 *  quota is worth, and cannot change that. Sandboxes take turns. Needs no_new_privs or
 *  CAP_SYS_ADMIN. Errors: by errno. */
int sb_affinity_apply(struct sb_child *child, struct sb_err *err);

/** Leaves @wanted of the processors in the mask, counted on from the @first of them, in a circle.
 *  @size  of the mask in bytes, a multiple of 8. */
void sb_affinity_choose(cpu_set_t *cpus, size_t size, uint64_t first, uint64_t wanted);
