#pragma once
/** Events of sandboxes, for WatchSandboxes. Loop thread.
 *
 *  The queue of a watcher is the one of its call: while that is over its high mark events are
 *  counted as lost instead, and the next one that fits says how many. */

struct sb_denial;
struct sb_err;
struct sb_exec;
struct sb_rpc_call;
struct sb_sandbox;
struct sb_worker;
struct sb_caller;

/** The numbers of aisbx.v1.SandboxEventKind. */
enum sb_watch_kind {
    SB_WATCH_EXISTING = 1,
    SB_WATCH_CREATED = 2,
    SB_WATCH_CHANGED = 3,
    SB_WATCH_DESTROYED = 4,
    SB_WATCH_EXEC_STARTED = 5,
    SB_WATCH_EXEC_ENDED = 6,
    SB_WATCH_VIOLATION = 7,
};

void sb_watch_sandbox(struct sb_worker *worker,
                      enum sb_watch_kind kind,
                      const struct sb_sandbox *sandbox);
void sb_watch_exec(struct sb_worker *worker, enum sb_watch_kind kind, const struct sb_exec *exec);
/** The first refusal of its kind in that sandbox. */
void sb_watch_denial(struct sb_worker *worker,
                     const struct sb_sandbox *sandbox,
                     const struct sb_denial *denial);
