#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "service/spawner/bound.h"
#include "service/spawner/plan.h"

struct sb_err;
struct sb_host;
struct sb_ids;
struct sb_peer;

/** The host's part of a sandbox's file system: detached mounts, in the order of the plan. */
struct sb_hostmounts {
    int fds[SB_PLAN_MAX_MOUNTS]; /* owned; the first n */
    bool is_dir[SB_PLAN_MAX_MOUNTS];
    size_t n;
    struct sb_bound bound; /* what the caller's are, for later */
    bool lacks_idmap;      /* ids had to be shared, as some file system cannot map them */
};

/** Opens what the plan names with the rights of the peer, and maps the ids so that the peer's files
 *  are the job's. Where a file system cannot do that, *ids becomes the owner's own. What the worker
 *  has sent is bound as it is.
 *  @peer  NULL: every mount is of the worker.
 *  @of_worker  a directory for each of those, in their order; borrowed.
 *  @ids  taken from the pool; released and shared by this call where need be.
 *  Errors: by errno, as the peer would get them; SB_DENIED, SB_INVALID, SB_PRECONDITION: the text
 *  names the path. On failure nothing is held. */
int sb_hostmount_open(const struct sb_host *host,
                      const struct sb_plan *plan,
                      const struct sb_peer *peer,
                      const int *of_worker,
                      struct sb_ids *ids,
                      struct sb_hostmounts *ret_mounts,
                      struct sb_err *err);

/** Opens once more what a sandbox was given, with the rights of the peer. Returns 1: it would be
 * given the same; 0: something else, or nothing; -1: by errno, it is not known. */
int sb_hostmount_compare(const struct sb_host *host,
                         const struct sb_bound *bound,
                         const struct sb_peer *peer,
                         struct sb_err *err);

/** Closes all. */
void sb_hostmount_done(struct sb_hostmounts *mounts);
