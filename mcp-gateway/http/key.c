/* The key that a request brings. */
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "mcp-gateway/http/server.h"

enum { MAX_KEY = 1024 };

/* What no worker was ever given, as no metadata may have it. */
static bool is_text(const char *key)
{
    size_t len = strnlen(key, MAX_KEY + 1);
    for (size_t i = 0; i < len; i++) {
        if (key[i] < 0x20 || key[i] > 0x7e) {
            return false;
        }
    }
    return len > 0 && len <= MAX_KEY;
}

int sb_http_key(const struct sb_http_request *request, const char **ret_key, struct sb_err *err)
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
    if (key != NULL && !is_text(key)) {
        return sb_err_set(err, SB_UNAUTHENTICATED,
                          "the key is empty, or has what no key has; keys begin with aisbx_");
    }
    *ret_key = key;
    return 0;
}
