#pragma once
/** Server side of calls. */

struct sb_err;
struct sb_grpc_server;
struct sb_rpc_registration;

/** Tells core that one more request of this method may come; NULL: of any method that is not
 *  registered, which is then refused. Loop or queue thread. Errors: SB_EXHAUSTED; none once the
 *  server shuts down, for core then fills the slot with nothing. */
int sb_grpc_call_arm(struct sb_grpc_server *server,
                     const struct sb_rpc_registration *reg,
                     struct sb_err *err);
