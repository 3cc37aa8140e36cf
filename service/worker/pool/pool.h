#pragma once
/** Sandboxes that are made before somebody asks for them. Loop thread.
 *
 *  Theory of operation. A parked sandbox is finished: namespaces, mounts, limits, walls and filter
 * are in force and its init waits. Nothing of anybody's has run in it. Who asks for a sandbox of
 * exactly the same plan (all of it but the name) gets it, once; it never comes back. Each plan that
 * is asked for has a shelf. How many it is to hold follows what is asked: a request that finds none
 * doubles it, what was not needed for a while lets it shrink, and all shelves together stay within
 * a budget of memory. One that is on its way already is given to who waits for it, so filling a
 * shelf never makes a request slower.
 *
 *  Where it is known what will run first, an interpreter may wait in it, too (warm.h); such a shelf
 * is for the same environment and working directory.
 *
 *  A plan with directories of the host is for callers with the same user and groups, and before it
 * is given away the spawner opens the paths again with the caller's rights: where one leads
 * elsewhere by now, or may not be used any more, the sandbox is ended and the request begins from
 * nothing. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/worker/pool/warm.h"
#include "service/worker/spawner.h"

struct event_base;
struct sb_metrics;
struct sb_parked;
struct sb_pool;

enum {
    SB_POOL_SHELVES = 32, /* plans that are remembered */
    SB_POOL_MOUNTS = 4,   /* directories of the host that a plan here may have */
};

struct sb_pool_options {
    struct sb_spawner *spawner; /* borrowed, as all here */
    struct event_base *base;
    struct sb_metrics *metrics;
    int null_fd;        /* /dev/null */
    uint64_t max_bytes; /* of memory for all that are parked; 0: none is */
};

/** What max_bytes is on a machine: what is wanted, and no more than a thirty-second of its memory.
 *  @ram_bytes  0: not known. */
uint64_t sb_pool_budget(uint64_t wanted_bytes, uint64_t ram_bytes);

/** Errors: SB_EXHAUSTED. */
int sb_pool_new(const struct sb_pool_options *options,
                struct sb_pool **ret_pool,
                struct sb_err *err);
/** Before the spawner's: whatever is parked ends with that. NULL is fine. */
void sb_pool_free(struct sb_pool *pool);

/** As sb_spawner_reply_fn.
 *  @parked  what else there is of one that was parked: its handover and the interpreter that waits
 * in it, to be taken (sb_handover_init, SB_WARM_NONE); NULL: it was made for this request. */
typedef void sb_pool_reply_fn(void *ctx,
                              const Spawn__V1__Reply *reply,
                              struct sb_frame *frame,
                              struct sb_parked *parked,
                              const struct sb_err *err);

/** What is asked for, as of sb_spawner_spawn. */
struct sb_pool_request {
    Spawn__V1__Plan *plan; /* taken in every case */
    const char *tenant;    /* whose it is: nobody else gets what was parked for it, or could tell by
                              the    time it takes what others run */
    const struct sb_warm_plan *warm; /* what is to wait in it, where it was parked; may be
                                        SB_WARM_NO_PLAN */
    int *fds;                        /* taken in every case */
    size_t n_fds;
    sb_pool_reply_fn *on_reply;
    void *ctx;
};

/** As sb_spawner_spawn, but gives a sandbox that is parked where there is one. */
int sb_pool_spawn(struct sb_pool *pool, struct sb_pool_request *request, struct sb_err *err);

/** The last process of a sandbox is gone. Returns whether that was one of the pool's. */
bool sb_pool_gone(struct sb_pool *pool, uint64_t slot);
/** The spawner is dead: who was promised a sandbox is refused. */
void sb_pool_lost(struct sb_pool *pool, const struct sb_err *err);
/** Parks no more, and ends what is parked. */
void sb_pool_close(struct sb_pool *pool);

/** Sandboxes that are parked now. */
size_t sb_pool_parked(const struct sb_pool *pool);
