#pragma once
#include <stddef.h>
#include <sys/types.h>

struct sb_err;
struct sb_host;

enum { SB_PEER_MAX_GROUPS = 256 };

/** Who holds the other end of a unix connection, as it was when the connection was made. */
struct sb_peer {
    uid_t uid;
    gid_t gid;
    gid_t groups[SB_PEER_MAX_GROUPS];
    size_t n_groups;
};

/** Who called the worker over that connection.
 *  @sock  what the worker passed; believed only when it accepted it on a socket of its own.
 *  @host  where the worker listens.   @worker  the user id that it has while it serves.
 *  Errors: SB_INVALID: no unix connection, or the peer is in more groups than fit; SB_DENIED: not
 *  one of those that the worker accepts, or a client that has bound its end; by errno. */
int sb_peer_of(int sock,
               const struct sb_host *host,
               uid_t worker,
               struct sb_peer *ret_peer,
               struct sb_err *err);

/** Takes the peer's effective ids and groups: from now on files are opened with its rights and
 *  nothing else. Root mode only. Errors: by errno; then nothing has changed.
 *  @parent  of this process, see sb_process_guard. */
int sb_peer_enter(const struct sb_peer *peer, pid_t parent, struct sb_err *err);

/** Back to root. Ends the process when that fails: nothing may go on with half an identity. */
void sb_peer_leave(pid_t parent);
