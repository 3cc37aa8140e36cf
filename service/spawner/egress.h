#pragma once
/** The spawner's part of a limited network: the socket by which a sandbox reaches the egress proxy,
 *  and the proxy's process. */
#include <stdint.h>
#include <sys/types.h>

struct sb_child;
struct sb_err;
struct sb_host;

/** Listens on 127.0.0.1 of the network namespace it runs in. Allocates nothing.
 *  Returns the socket, or -1 by errno. */
int sb_egress_make_listener(uint16_t port, struct sb_err *err);

/** In the child, when lo is up: listens on the plan's port, and hands the socket over. The job gets
 *  no copy of it: it is close-on-exec, and the port is taken. Does nothing without a port. */
int sb_egress_listen(struct sb_child *child, struct sb_err *err);

/** The program aisbx-egress beside this one. Call while the rights of the start are there.
 *  Returns a descriptor, or -1: it is not there. */
int sb_egress_open(void);

/** Starts the proxy: no capability, an id that no sandbox and no other program has (user mode
 *  without sub-ids: the caller's), outside of every sandbox's namespaces. It ends with us.
 *  @ret_sock    the worker's end of its socket; the caller's.
 *  @ret_theirs  a copy of its own end, by whose shutdown it is ended; the caller's.
 *  Returns its process id, for the caller to reap. Errors: SB_NOT_FOUND: not installed. */
pid_t sb_egress_start(const struct sb_host *host,
                      int *ret_sock,
                      int *ret_theirs,
                      struct sb_err *err);
