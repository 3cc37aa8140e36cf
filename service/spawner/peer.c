#include "service/spawner/peer.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mutate.h"
#include "service/spawner/caps.h"
#include "service/spawner/process.h"

int sb_peer_of(int sock, struct sb_peer *ret_peer, struct sb_err *err)
{
    struct ucred cred;
    socklen_t len = sizeof cred;
    struct sb_peer peer = {0};
    if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || len != sizeof cred) {
        return sb_err_set(err, SB_INVALID, "the caller's connection is not a unix socket");
    }
    if (cred.uid == (uid_t)-1 || cred.gid == (gid_t)-1) {
        return sb_err_set(err, SB_INVALID, "the caller's connection has no peer");
    }
    peer.uid = cred.uid;
    peer.gid = cred.gid;
    len = sizeof peer.groups;
    if (getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, peer.groups, &len) < 0) {
        return sb_err_sys(err, errno, "read the caller's groups (at most %d)", SB_PEER_MAX_GROUPS);
    }
    peer.n_groups = len / sizeof *peer.groups;
    *ret_peer = peer;
    return 0;
}

int sb_peer_enter(const struct sb_peer *peer, pid_t parent, struct sb_err *err)
{
    if (setgroups(peer->n_groups, peer->groups) < 0) {
        return sb_err_sys(err, errno, "take the caller's groups");
    }
    /* The kernel clears the effective capabilities when the effective user id leaves 0. */
    if (setresgid((gid_t)-1, peer->gid, (gid_t)-1) < 0 ||
        setresuid((uid_t)-1, peer->uid, (uid_t)-1) < 0) {
        int sys = errno;
        sb_peer_leave(parent);
        return sb_err_sys(err, sys, "take the caller's ids");
    }
    if (peer->uid == 0 && sb_caps_lend(true, err) < 0) {
        sb_peer_leave(parent);
        return -1;
    }
    return 0;
}

void sb_peer_leave(pid_t parent)
{
    struct sb_err err;
    if (setresuid((uid_t)-1, 0, (uid_t)-1) < 0) {
        SB_LOG_ERROR("cannot become root again", "errno=%d", errno);
        _exit(EXIT_FAILURE);
    }
    /* All permitted capabilities are effective now, and what sb_process_guard sets is reset. */
    if (sb_caps_lend(false, &err) < 0 || sb_process_guard(parent, &err) < 0) {
        SB_LOG_ERROR("cannot guard the process", "reason=%s", err.text);
        _exit(EXIT_FAILURE);
    }
    if (setresgid((gid_t)-1, 0, (gid_t)-1) < 0 ||
        (!sb_mutated("groups") && setgroups(0, NULL) < 0)) {
        SB_LOG_ERROR("cannot leave the caller's groups", "errno=%d", errno);
        _exit(EXIT_FAILURE);
    }
}
