#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sb_err;

enum { SB_KEEPER_MAX_CLONES = 32 };

/** A process of ours in whose mount namespace the file systems of snapshots are mounted, and
 * nothing else: only what is mounted somewhere can be cloned, and there no sandbox, and nobody of
 * the host, can see it. Started when it is first needed, ends with this process. Zeroed: not
 * started. */
struct sb_keeper {
    pid_t pid;
    int sock; /* owned; valid when pid is not 0 */
    uint64_t last_id;
};

/** Keeps a detached mount. @mount_fd  borrowed. @ret_id  its name, never 0.
 *  Errors: by errno; SB_UNAVAILABLE: the keeper died, and all it kept. */
int sb_keeper_add(struct sb_keeper *keeper, int mount_fd, uint64_t *ret_id, struct sb_err *err);

/** Detached clones of what is kept. @n  at most SB_KEEPER_MAX_CLONES. @ret_fds  owned by the
 * caller.
 */
int sb_keeper_clone(
    struct sb_keeper *keeper, const uint64_t *ids, size_t n, int *ret_fds, struct sb_err *err);

/** Lets go; the file system ends with its last clone. 0 is fine. */
void sb_keeper_drop(struct sb_keeper *keeper, uint64_t id);

/** Ends it. */
void sb_keeper_end(struct sb_keeper *keeper);
