#include "mcp-gateway/caller.h"

#include "base/err.h"
#include "mcp-gateway/http/server.h"

int sb_caller_of(const struct sb_http_request *request,
                 const char *protocol,
                 bool without_key,
                 struct sb_backend_caller *ret_caller,
                 struct sb_err *err)
{
    const char *key = NULL;
    if (sb_http_key(request, &key, err) < 0) {
        return -1;
    }
    const char *identity = sb_http_identity(request);
    *ret_caller = (struct sb_backend_caller){
        .key = key,
        .identity = identity,
        .peer = sb_http_peer(request),
        .protocol = protocol,
        .trace = *sb_http_trace(request),
        .tracestate = sb_http_tracestate(request),
        .is_remote = !(without_key && key == NULL && identity == NULL),
    };
    return 0;
}
