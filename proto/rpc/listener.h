#pragma once
/** A unix socket that is served by one process at a time and speaks two protocols. Loop thread. */

#include <stdbool.h>
#include <sys/socket.h>

struct event_base;
struct sb_err;
struct sb_listener;

struct sb_listener_options {
    struct event_base *base; /* borrowed */
    const char *path;        /* absolute */
    int given_fd;            /* with is_given: listens there already; taken, also on failure */
    bool is_given;           /* somebody else made the socket, and keeps it when we end */
    unsigned mode;           /* of the socket that we make; 0 = 0600 */
    unsigned max_connections;
    /** One connection whose first byte is there (not taken). Takes the fd (non-blocking). The
     * connection counts until sb_listener_release. */
    void (*accepted)(void *ctx, int fd, const struct ucred *cred, bool is_http2);
    void *ctx;
};

/** Takes the lock on path + ".lock", removes a socket left behind by a dead process, binds.
 * Connections queue in the kernel until start. SB_EXISTS: somebody else serves the path. One that
 * is given is locked, too, and neither bound nor removed. */
int sb_listener_open(const struct sb_listener_options *options,
                     struct sb_listener **ret_listener,
                     struct sb_err *err);
int sb_listener_start(struct sb_listener *listener, struct sb_err *err);
/** Refuses new connections from now on; the path stays locked. */
void sb_listener_stop(struct sb_listener *listener);
/** One accepted connection is gone. */
void sb_listener_release(struct sb_listener *listener);
/** Removes the socket. NULL is fine. */
void sb_listener_free(struct sb_listener *listener);
