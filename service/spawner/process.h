#pragma once
#include <sys/types.h>

struct sb_err;

/** At start, before anything else: a constant environment, default signals, umask 022, no
 *  real-time class, no
 *  descriptor but 0, 1, 2 and @keep_fd (which becomes close-on-exec), an empty session keyring.
 *  Errors: by errno. */
int sb_process_clean(int keep_fd, struct sb_err *err);

/** Makes this process not dumpable, and makes it end with its parent. To be called again after each
 *  change of ids, which resets both.
 *  @parent  as it was at start. Errors: by errno; SB_UNAVAILABLE: it is gone. */
int sb_process_guard(pid_t parent, struct sb_err *err);

/** A descriptor that reads SIGCHLD and SIGTERM, which are blocked from then on. */
int sb_process_signals(struct sb_err *err);

/* Steps of the child. */
struct sb_child;

/** Undoes sb_process_signals. */
int sb_process_reset(struct sb_child *child, struct sb_err *err);
/** Ends the child with the spawner, and checks that it still lives. Execve and a change of ids may
 *  untie. */
int sb_process_tie(struct sb_child *child, struct sb_err *err);
