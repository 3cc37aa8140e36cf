#pragma once

/** Sends the lines of gRPC core to base/log (errors as warnings, the rest as debug) instead of
 *  stderr, at most SB_GRPC_LOG_LINES_PER_SECOND: a peer can provoke them at will. Any thread. */
void sb_grpc_corelog_route(void);

enum { SB_GRPC_LOG_LINES_PER_SECOND = 20 };
