#include "service/spawner/peer.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mutate.h"
#include "base/str.h"
#include "service/spawner/caps.h"
#include "service/spawner/host.h"
#include "service/spawner/process.h"

#ifndef SIOCUNIXFILE /* <linux/un.h>, which <sys/un.h> excludes */
#define SIOCUNIXFILE (SIOCPROTOPRIVATE + 0)
#endif

/* What the caller's connection has to be, so that a worker that was taken over can lend nobody's
 * rights but those of its callers.
 *
 * Theory of operation. SO_PEERCRED is the effective ids of whoever called connect(2), socketpair(2)
 * or listen(2), as they were then. Of a socket that listen(2) was called on it is the listener
 * himself, and of a client it is the one that it is connected to; and the worker's own listeners
 * are root's, who made them before it gave its rights up. So it says who calls of one kind of
 * socket alone: one that accept(2) returned on a listener of the worker's. There is no question to
 * the kernel that is exactly this one, so we ask for all that such a socket has and no other can be
 * given:
 *
 * - It is a stream, of AF_UNIX, that does not listen: not the listener, not our own channel, whose
 *   peer is root, too.
 * - Its other end has no name. One that was made by connect(2) is refused here, be it with
 *   the worker's own listener, a root daemon or the system's journal (which standard error may lead
 *   to): who listens by name has one, and bind(2) takes no name away. A client that binds its end
 *   before it connects lends nothing, either: what root runs and binds nothing uses that.
 * - It has the name of a listener of ours, byte by byte as the worker was started with it and as it
 *   bound it. Accepted ones have their listener's for good. Not so a pair's ends, which have none
 *   until somebody binds them, abstract names, relative ones, ones by another way through links.
 * - The name is only what bind(2) was called with: whoever has a directory of that path can bind
 *   there, in a sandbox, where a worker may send any descriptor. So two more things. The file that
 *   it, or its listener, is bound to is the one that lies there in our sight; renamed and
 *   removed ones are none. Only who may write beside the worker's socket could put another there.
 *   The kernel tells that (SIOCUNIXFILE) with CAP_NET_ADMIN, which a container may lack.
 * - And the worker made it, by its ids of today, as the owner of its inode says, whom only root can
 *   change. Whatever root made and gave to the worker is refused, such as one end of a socket pair
 *   for its standard error, wherever that is bound to.
 *
 * What is left: a worker that was taken over keeps the connections of those who call it, and has
 * their rights to bind while it lives. */
static int check_kind(int sock, struct sb_err *err)
{
    static const struct {
        int option;
        int want;
    } rows[] = {{SO_DOMAIN, AF_UNIX}, {SO_TYPE, SOCK_STREAM}, {SO_ACCEPTCONN, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int got = -1;
        socklen_t len = sizeof got;
        if (getsockopt(sock, SOL_SOCKET, rows[i].option, &got, &len) < 0 || got != rows[i].want) {
            return sb_err_set(err, SB_INVALID, "the caller's connection is not a unix socket%s",
                              i > 0 ? " that somebody connected to" : "");
        }
    }
    return 0;
}

/* @get  getsockname or getpeername. *ret_len  bytes of the path; 0: it has no name. */
static int name_of(int sock,
                   int (*get)(int, struct sockaddr *, socklen_t *),
                   struct sockaddr_un *ret_name,
                   size_t *ret_len,
                   struct sb_err *err)
{
    const size_t head = offsetof(struct sockaddr_un, sun_path);
    socklen_t len = sizeof *ret_name;
    if (get(sock, (struct sockaddr *)ret_name, &len) < 0) {
        return sb_err_sys(err, errno, "ask for the names of the caller's connection");
    }
    *ret_len = len <= head ? 0 : len - head;
    return 0;
}

/* The socket of the worker's that this one has the name of; NULL: *err says why not. */
static const char *check_names(int sock, const struct sb_host *host, struct sb_err *err)
{
    struct sockaddr_un name;
    size_t len = 0;
    if (name_of(sock, getpeername, &name, &len, err) < 0) {
        return NULL;
    }
    if (len != 0) {
        (void)sb_err_set(err, SB_DENIED, "the other end of the caller's connection has a name");
        return NULL;
    }
    if (name_of(sock, getsockname, &name, &len, err) < 0) {
        return NULL;
    }
    struct sb_str path = sb_str_of(name.sun_path, strnlen(name.sun_path, len));
    for (size_t i = 0; i < host->n_sockets; i++) {
        if (path.len > 0 && sb_str_eq(path, sb_str_from(host->sockets[i]))) {
            return host->sockets[i];
        }
    }
    (void)sb_err_set(err, SB_DENIED,
                     "the caller's connection is with none of the worker's sockets");
    return NULL;
}

static int look_at(const char *path, struct stat *ret_st, struct sb_err *err)
{
    if (sb_caps_lend(true, err) < 0) { /* the directory may be another user's */
        return -1;
    }
    int done = lstat(path, ret_st);
    int sys = errno;
    if (sb_caps_lend(false, err) < 0) {
        return -1;
    }
    return done < 0 ? sb_err_sys(err, sys, "look at %s", path) : 0;
}

static int check_file(int sock, const char *path, struct sb_err *err)
{
    struct stat bound;
    struct stat there;
    SB_CLEANUP(sb_closep) int fd = ioctl(sock, SIOCUNIXFILE);
    if (fd < 0 && errno == EPERM) {
        return 0;
    }
    if (fd < 0 || fstat(fd, &bound) < 0) {
        return sb_err_sys(err, errno, "ask where the caller's connection is bound");
    }
    if (look_at(path, &there, err) < 0) {
        return -1;
    }
    return bound.st_dev == there.st_dev && bound.st_ino == there.st_ino
               ? 0
               : sb_err_set(err, SB_DENIED, "the caller's connection is with another %s", path);
}

static int check_maker(int sock, uid_t worker, struct sb_err *err)
{
    struct stat st;
    if (fstat(sock, &st) < 0) {
        return sb_err_sys(err, errno, "look at the caller's connection");
    }
    return st.st_uid == worker
               ? 0
               : sb_err_set(err, SB_DENIED, "the worker did not accept the caller's connection");
}

/* In user mode all of it is of the one user, whom nobody can lend more than that. */
static int check_accepted(int sock, const struct sb_host *host, uid_t worker, struct sb_err *err)
{
    if (sb_mutated("bind.peer-socket")) {
        return 0;
    }
    const char *path = check_names(sock, host, err);
    if (path == NULL) {
        return -1;
    }
    return host->is_root && (check_file(sock, path, err) < 0 || check_maker(sock, worker, err) < 0)
               ? -1
               : 0;
}

int sb_peer_of(int sock,
               const struct sb_host *host,
               uid_t worker,
               struct sb_peer *ret_peer,
               struct sb_err *err)
{
    struct ucred cred;
    socklen_t len = sizeof cred;
    struct sb_peer peer = {0};
    if (check_kind(sock, err) < 0 || check_accepted(sock, host, worker, err) < 0) {
        return -1;
    }
    if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || len != sizeof cred ||
        cred.uid == (uid_t)-1 || cred.gid == (gid_t)-1) {
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
    if (syscall(SYS_setgroups, peer->n_groups, peer->groups) < 0) {
        return sb_err_sys(err, errno, "take the caller's groups");
    }
    /* The kernel clears the effective capabilities when the effective user id leaves 0. */
    if (syscall(SYS_setresgid, (gid_t)-1, peer->gid, (gid_t)-1) < 0 ||
        syscall(SYS_setresuid, (uid_t)-1, peer->uid, (uid_t)-1) < 0) {
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
    if (syscall(SYS_setresuid, (uid_t)-1, 0, (uid_t)-1) < 0) {
        SB_LOG_ERROR("cannot become root again", "errno=%d", errno);
        _exit(EXIT_FAILURE);
    }
    /* All permitted capabilities are effective now, and what sb_process_guard sets is reset. */
    if (sb_caps_lend(false, &err) < 0 || sb_process_guard(parent, &err) < 0) {
        SB_LOG_ERROR("cannot guard the process", "reason=%s", err.text);
        _exit(EXIT_FAILURE);
    }
    if (syscall(SYS_setresgid, (gid_t)-1, 0, (gid_t)-1) < 0 ||
        (!sb_mutated("groups") && syscall(SYS_setgroups, 0, NULL) < 0)) {
        SB_LOG_ERROR("cannot leave the caller's groups", "errno=%d", errno);
        _exit(EXIT_FAILURE);
    }
}
