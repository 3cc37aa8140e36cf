#pragma once
/** Who made a request, for the worker, which decides. */
#include <stdbool.h>

#include "mcp-gateway/backend.h"

struct sb_err;
struct sb_http_request;

/** @protocol  "mcp", "rest"; static.  @without_key  calls without a credential are the gateway's
 * own
 *  (--loopback-without-key).  *ret_caller borrows from the request.
 *  Whether a key is needed, and is one, is the worker's to say, who counts and records it.
 *  Errors: SB_UNAUTHENTICATED: an Authorization that is no Bearer, or two keys that differ. */
int sb_caller_of(const struct sb_http_request *request,
                 const char *protocol,
                 bool without_key,
                 struct sb_backend_caller *ret_caller,
                 struct sb_err *err);
