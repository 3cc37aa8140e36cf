#pragma once
#include <stddef.h>
#include <stdint.h>

#include "spawn/v1/spawn.pb-c.h"

struct sb_child;
struct sb_err;

/** One step of a cloned child on its way to PID 1 of a sandbox. */
struct sb_driver_step {
    const char *name; /* shorter than SB_CHILD_STEP_SIZE */
    int (*run)(struct sb_child *child, struct sb_err *err);
};

/** A way to make a sandbox of a plan. What all have in common is in sandbox.c (the parent) and
 *  child.c (the child). */
struct sb_driver {
    Spawn__V1__Driver number;
    const char *name;
    uint64_t namespaces; /* CLONE_NEW* of the child */
    const struct sb_driver_step *steps;
    size_t n_steps; /* the last does not return when it works */
};

extern const struct sb_driver sb_driver_native; /* drivers/native.c */

/** The driver of that number; NULL: this build has none. */
const struct sb_driver *sb_driver_find(Spawn__V1__Driver number);
