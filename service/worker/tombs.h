#pragma once
/** What outlives the worker of its sandboxes: a row of each in the store, from its birth on.
 *
 *  Theory of operation. A row is written when a sandbox is made, and again at its end; nobody waits
 *  for either. A worker that starts reads the rows of the last 24 hours. One without an end was
 *  alive when its worker died, and died with it: it gets reason WORKER_LOST and the time it was
 *  found. The sandboxes come into the registry as DESTROYED ones and are remembered like any other,
 *  for their tenant. A worker without a state directory writes nothing. */

struct sb_err;
struct sb_sandbox;
struct sb_worker;

/** Writes the row as the sandbox is now: alive while it has no destroy_ms. */
void sb_tomb_write(const struct sb_sandbox *sandbox);
/** Reads what was left into the registry; at most SB_MAX_TOMBSTONES, the newest. Before the store
 *  starts. Errors: SB_DATA_LOSS: rows that no worker wrote; as sb_store_fail. */
int sb_tombs_load(struct sb_worker *worker, struct sb_err *err);
/** Tells the audit of those that were found without an end. After it was started. */
void sb_tombs_tell(const struct sb_worker *worker);
