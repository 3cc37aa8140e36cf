#pragma once
/** Server end of the local transport. Loop thread. */

#include <sys/socket.h>

struct event_base;
struct sb_err;
struct sb_local_server;
struct sb_rpc_server;

struct sb_local_server *
sb_local_server_new(struct sb_rpc_server *server, struct event_base *base, struct sb_err *err);
/** Ends what lives (cancelled) and closes every connection. NULL is fine. */
void sb_local_server_free(struct sb_local_server *local);

/** Serves one accepted non-blocking connection; takes the fd.
 *  @closed  called once with @ctx when the connection is gone, also when it could not be taken. */
void sb_local_server_adopt(struct sb_local_server *local,
                           int fd,
                           const struct ucred *cred,
                           void (*closed)(void *ctx),
                           void *ctx);
unsigned sb_local_server_connections(const struct sb_local_server *local);
