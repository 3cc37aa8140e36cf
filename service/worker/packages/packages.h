#pragma once
/** Packages of sandboxes: found among what was installed before, or installed by a sandbox of their
 *  own, and bound read-only.
 *
 *  Theory of operation. A sandbox that asks for packages waits in STARTING until all are there.
 *
 *      sb_packages_want --- kept --------------------------------------+
 *             |                                                        v
 *             +--- not --> an install (install.c), shared by all that wait for the same ---> ready
 *
 *  What is kept is named by a hash of everything that it depends on: the tenant, names, registry
 * and hosts, the policy of the install, the programs of the host that do it. So nothing of one
 * tenant is ever seen by another, and what a changed profile would not install is not found any
 * more. No program of a caller ever runs where packages are installed, and none can write where
 * they are kept. Loop thread. */
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"
#include "service/worker/policy/packages.h"
#include "spawn/v1/spawn.pb-c.h"

struct sb_err;
struct sb_package_cache;
struct sb_package_entry;
struct sb_packages;
struct sb_sandbox;
struct sb_worker;

/** Of one manager. */
struct sb_package_use {
    struct sb_list link; /* among those that wait for an install */
    struct sb_sandbox *sandbox;
    struct sb_package_entry *entry; /* in use; NULL: not there yet */
    bool was_kept;
};

/** Of one sandbox. */
struct sb_sandbox_packages {
    struct sb_package_use uses[SB_MANAGER_END_];
    unsigned n_waiting;
    struct event stop; /* it is to end while it waits */
};

/** @max_bytes  of all that is kept. Errors: by errno. */
int sb_packages_new(struct sb_worker *worker,
                    uint64_t max_bytes,
                    struct sb_packages **ret_packages,
                    struct sb_err *err);
/** The worker ends: no install goes on. Before its sandboxes are freed. NULL is fine. */
void sb_packages_end(struct sb_packages *packages);
/** After all sandboxes. NULL is fine. */
void sb_packages_free(struct sb_packages *packages);

/** What is kept. */
struct sb_package_cache *sb_packages_cache(struct sb_packages *packages);

/** For a sandbox that is made; nothing is asked for. */
void sb_packages_init(struct sb_sandbox *sandbox);
/** Gets what its policy asks for. Returns 1: all is there; 0: sb_sandbox_packed or sb_sandbox_fail
 *  follows, not from inside; -1. */
int sb_packages_want(struct sb_sandbox *sandbox, struct sb_err *err);
bool sb_packages_is_waiting(const struct sb_sandbox *sandbox);
/** It is to end while it waits: sb_sandbox_fail follows, not from inside. */
void sb_packages_stop(struct sb_sandbox *sandbox);
/** It needs them no more. Twice is harmless. */
void sb_packages_leave(struct sb_sandbox *sandbox);

/** Adds the mounts to the plan. @fds  their directories are added; the caller's to close.
 *  Errors: by errno; SB_EXHAUSTED. */
int sb_packages_bind(const struct sb_sandbox *sandbox,
                     Spawn__V1__Plan *plan,
                     int *fds,
                     size_t *n_fds,
                     struct sb_err *err);

/* ---- for install.c ---- */

struct sb_install;

/** Whether the disk holds what is in use and what installs have written until now.
 *  Errors: SB_EXHAUSTED: it is more than twice --packages-max. */
int sb_packages_check_room(struct sb_packages *packages, struct sb_err *err);

/** It is over, and to be freed. @entry  in use once; NULL: it failed, *err says why. */
void sb_packages_installed(struct sb_packages *packages,
                           struct sb_install *install,
                           struct sb_package_entry *entry,
                           const struct sb_err *err);
