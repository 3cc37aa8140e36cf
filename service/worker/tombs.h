#pragma once
/** What outlives the worker of its sandboxes: a row of each in the store, from its birth on.
 *
 *  Theory of operation. A row is written when a sandbox is made, and again at its end; nobody waits
 *  for either. A worker that starts looks for rows without an end: those sandboxes were alive when
 *  their worker died, and died with it; they get reason WORKER_LOST and the time they were found.
 *  All others of the last 24 hours are read by the writer's thread when somebody first asks about
 *  what was before, who waits for it: a worker is up as fast after a thousand sandboxes as after
 *  none. They come into the registry as DESTROYED ones and are remembered like any other, for their
 *  tenant. A worker without a state directory writes nothing. */
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct sb_err;
struct sb_sandbox;
struct sb_worker;

/** Of a worker. */
struct sb_tombs {
    uint64_t n_written; /* ends */
    bool are_read;
    bool are_asked_for;
    struct sb_list waiters;
};

/** Waits for what was before this worker. */
struct sb_tombs_waiter {
    struct sb_list link;
    /** Loop thread, never from inside. The waiter has left already.
     *  @err  NULL: the registry has them. */
    void (*ready)(struct sb_tombs_waiter *waiter, const struct sb_err *err);
};

void sb_tombs_init(struct sb_tombs *tombs);

/** Writes the row as the sandbox is now: alive while it has no destroy_ms. */
void sb_tomb_write(const struct sb_sandbox *sandbox);

/** Takes those that were found without an end into the registry. Before the store starts.
 *  Errors: SB_DATA_LOSS: rows that no worker wrote; as sb_store_fail. */
int sb_tombs_find_lost(struct sb_worker *worker, struct sb_err *err);
/** Tells the audit of them. After it was started. */
void sb_tombs_tell(const struct sb_worker *worker);

/** The registry has all that is remembered. */
bool sb_tombs_are_read(const struct sb_worker *worker);
/** Has them read, the newest SB_MAX_TOMBSTONES, and lets the waiter know. A failure is the
 *  waiter's, too: SB_DATA_LOSS: rows that no worker wrote; SB_UNAVAILABLE: the store fails; who
 *  asks next has it tried again. Errors: SB_UNAVAILABLE: too much waits for the disk; SB_EXHAUSTED:
 *  memory. */
int sb_tombs_recall(struct sb_worker *worker, struct sb_tombs_waiter *waiter, struct sb_err *err);
void sb_tombs_leave(struct sb_tombs_waiter *waiter);
