#pragma once

#include "base/log.h"

enum { SB_GRPC_LOG_LINES_PER_SECOND = 20 };

/** Sends the lines of gRPC core to base/log instead of stderr: its errors at level @errors, the
 * rest as debug, and at most SB_GRPC_LOG_LINES_PER_SECOND, for peers can provoke them at will. For
 * the whole process; the last call counts. Any thread. */
void sb_grpc_corelog_route(enum sb_log_level errors);
