#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spawn/v1/spawn.pb-c.h"

struct sb_child;
struct sb_err;
struct sb_host;

/** One step of a cloned child on its way to PID 1 of a sandbox. */
struct sb_driver_step {
    const char *name; /* shorter than SB_CHILD_STEP_SIZE; NULL: the end of the list */
    int (*run)(struct sb_child *child, struct sb_err *err);
};

/** A control that a driver gives otherwise than the probe of the host says. */
struct sb_driver_control {
    uint32_t control; /* aisbx.v1.Control; 0: the end of the list */
    uint32_t state;   /* enum sb_probe_state */
    const char *detail;
    const char *fix;
};

/** A way to make a sandbox of a plan. What all have in common is in sandbox.c (the parent) and
 *  child.c (the child). */
struct sb_driver {
    Spawn__V1__Driver number;
    const char *name;
    uint64_t namespaces;                /* CLONE_NEW* of the child */
    const struct sb_driver_step *steps; /* the last one does not return when it works */
    unsigned extra_processes;           /* of its own, in the sandbox's group */
    bool keeps_places;                  /* snapshots can be taken of its sandboxes */
    bool tells_ready;                   /* the child becomes another program than init, whose
                                           complaints come as text; init tells when it runs */
    /* NULL: it works wherever the spawner does. SB_PRECONDITION: why not, and what would help. */
    int (*check)(const struct sb_host *host, struct sb_err *err);
    /* NULL: nothing. In the parent, before the clone; release in every case. */
    int (*prepare)(const struct sb_host *host, struct sb_child *child, struct sb_err *err);
    void (*release)(struct sb_child *child);
    const char *detail;                                 /* what it rests on */
    const char *(*version)(const struct sb_host *host); /* of what it rests on; NULL: of ours */
    const char *degraded;                     /* said of each of its sandboxes; NULL: nothing */
    const struct sb_driver_control *controls; /* NULL: none */
};

extern const struct sb_driver_step sb_driver_native_steps[]; /* those of more than one driver */
extern const struct sb_driver sb_driver_native;              /* drivers/native.c */
extern const struct sb_driver sb_driver_bwrap;               /* drivers/bwrap.c */
extern const struct sb_driver sb_driver_chroot;              /* drivers/chroot.c */

enum { SB_DRIVER_MAX = 4 };

/** All drivers, ended by NULL. */
extern const struct sb_driver *const sb_drivers[SB_DRIVER_MAX];

/** The driver of that number; NULL: this build has none. */
const struct sb_driver *sb_driver_find(Spawn__V1__Driver number);
