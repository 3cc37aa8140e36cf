#pragma once
/** Where an embedded worker lives. */
#include <limits.h>
#include <sys/types.h>

struct sb_err;
struct sb_options;

/** Directory for socket, log and output: $AISBX_RUNTIME_DIR, for root /run/aisbx,
 *  $XDG_RUNTIME_DIR/aisbx, else /tmp/aisbx-UID. */
void sb_place_dir(char out[PATH_MAX]);

/** Embedded without --listen: makes that directory, listens on its worker.sock, and sends the log
 * to its worker.log. Errors: SB_DENIED: the directory is not the user's own; by errno. */
int sb_place_settle(struct sb_options *options, struct sb_err *err);

/** Opens the directory where output is kept: --state-dir, or, embedded, "output" beside the socket.
 *  It is made when missing, and belongs to owner then.
 *  @ret_fd  O_DIRECTORY; -1: memory only. */
int sb_place_state(
    const struct sb_options *options, uid_t owner, gid_t group, int *ret_fd, struct sb_err *err);
