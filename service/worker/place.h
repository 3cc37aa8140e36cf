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

/** Opens the directory where records and output are kept: --state-dir; embedded, but for
 *  AISBX_RUNTIME_DIR: $XDG_STATE_HOME/aisbx, ~/.local/state/aisbx, for root /var/lib/aisbx, and in
 *  that NAME for a socket NAME.sock other than worker.sock; else beside the first unix socket
 *  NAME.state, or output for worker.sock; without one as embedded. It is made when missing, and
 *  belongs to owner then.   @ret_fd  O_DIRECTORY. */
int sb_place_state(
    const struct sb_options *options, uid_t owner, gid_t group, int *ret_fd, struct sb_err *err);
