#pragma once
/** The spans of HTTP requests. Those of MCP are of its calls (mcp/call.c). */
#include "base/err.h"
#include "proto/trace/trace.h"

struct sb_gateway_options;
struct sb_http_request;

/** *ret_tracer stays NULL where no spans are wanted. Errors: SB_INVALID: the options; SB_EXHAUSTED.
 */
int sb_gateway_tracer(const struct sb_gateway_options *options,
                      struct sb_tracer **ret_tracer,
                      struct sb_err *err);
/** A request is over. Tells the route and how it ended; nothing of its path, which holds names. */
void sb_gateway_span_end(struct sb_tracer *tracer,
                         const struct sb_http_request *request,
                         int status);
