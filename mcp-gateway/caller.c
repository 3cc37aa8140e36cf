#include "mcp-gateway/caller.h"

#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "mcp-gateway/http/server.h"

int sb_caller_of(const struct sb_http_request *request,
                 const char *protocol,
                 bool without_key,
                 struct sb_backend_caller *ret_caller,
                 struct sb_err *err)
{
    static const char bearer[] = "Bearer ";
    const char *key = sb_http_header(request, "X-API-Key");
    const char *authorization = sb_http_header(request, "Authorization");
    const char *token = NULL;
    if (authorization != NULL) {
        if (strncasecmp(authorization, bearer, sizeof bearer - 1) != 0) {
            return sb_err_set(err, SB_UNAUTHENTICATED, "Authorization must be Bearer and a key");
        }
        token = authorization + sizeof bearer - 1;
        token += strspn(token, " ");
    }
    if (key != NULL && token != NULL && strcmp(key, token) != 0) {
        return sb_err_set(err, SB_UNAUTHENTICATED, "X-API-Key and Authorization name two keys");
    }
    key = key != NULL ? key : token;
    if (key != NULL && *key == '\0') {
        return sb_err_set(err, SB_UNAUTHENTICATED, "the key is empty");
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
