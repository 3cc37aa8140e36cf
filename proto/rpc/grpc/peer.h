#pragma once
/** Who is at the other end of a server call. */

#include <stdbool.h>
#include <sys/types.h>

#include <grpc/grpc.h>

#include "proto/rpc/rpc.h"

/** What core knows about the caller. Strings on the heap. */
struct sb_grpc_peer {
    const char *transport; /* static: "unix", "tcp", "tls" */
    char *address;         /* "unix:", "ipv4:127.0.0.1:4711", "ipv6:[::1]:4711" */
    char *identity;        /* NULL: did not prove one */
    int fd;                /* the adopted connection; -1 otherwise */
};

/** Reads address and identity from the call. Any thread. -1: out of memory. */
int sb_grpc_peer_read(grpc_call *call, struct sb_grpc_peer *ret_peer);
void sb_grpc_peer_done(struct sb_grpc_peer *peer);

/** Credentials of adopted connections, by descriptor number.
 *
 *  Core names such a connection after its descriptor ("fd:17"), which is all a call tells about it.
 *  The number is a safe key: core closes the descriptor when the connection's last call is gone, so
 *  while a call exists no later connection can have its number. Loop thread. */
struct sb_grpc_conns {
    struct sb_grpc_conn *list; /* index: descriptor */
    size_t n;
    size_t n_known;
};
struct sb_grpc_conn {
    pid_t pid;
    uid_t uid;
    gid_t gid;
    bool is_known;
    ino_t ino; /* of the socket */
};

struct sb_err;
struct ucred;
/** Core does not say when it closes a connection; they are looked through when there seem to be too
 *  many. SB_EXHAUSTED: @max are really open, or memory. fd stays the caller's then. */
int sb_grpc_conns_put(
    struct sb_grpc_conns *conns, int fd, const struct ucred *cred, size_t max, struct sb_err *err);
/** NULL when that descriptor was never adopted. */
const struct sb_grpc_conn *sb_grpc_conns_get(const struct sb_grpc_conns *conns, int fd);
void sb_grpc_conns_done(struct sb_grpc_conns *conns);
