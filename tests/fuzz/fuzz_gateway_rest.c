#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "mcp-gateway/rest/route.h"
#include "proto/client/message.h"
#include "proto/json/pbread.h"
#include "proto/rpc/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a path matches has as many values as names, and its method is among those allowed. */
static void check_route(struct sb_str path)
{
    struct sb_route_match match;
    struct sb_str name;
    for (unsigned method = 1; method <= SB_HTTP_OPTIONS; method <<= 1) {
        sb_route_find((enum sb_http_method)method, path, &match);
        if (match.route == NULL) {
            continue;
        }
        if ((match.allowed & method) == 0) {
            abort();
        }
        for (size_t i = 0; sb_route_var(match.route, i, &name); i++) {
            struct sb_err err;
            SB_CLEANUP(sb_message_freep)
            ProtobufCMessage *message = sb_pbread_new(match.route->rpc->in, &err);
            if (i >= SB_ROUTE_MAX_VARS || message == NULL ||
                sb_pbread_bind(message, name, match.values[i], &err) < 0) {
                abort();
            }
        }
    }
}

/* What is read from JSON is a message that a worker can take, or too large a one. */
static void check_body(const struct sb_route *route, struct sb_str text)
{
    struct sb_err err = {0};
    char pointer[SB_PBREAD_POINTER_SIZE];
    SB_CLEANUP(sb_message_freep) ProtobufCMessage *message = sb_pbread_new(route->rpc->in, &err);
    SB_CLEANUP(sb_message_freep) ProtobufCMessage *again = NULL;
    SB_CLEANUP(sb_buf_done) struct sb_buf packed = SB_BUF_INIT(16 << 20);
    if (message == NULL) {
        return;
    }
    if (sb_pbread_text(text, message, pointer, &err) < 0) {
        if (err.text[0] == '\0' || strlen(pointer) >= sizeof pointer) {
            abort();
        }
        return;
    }
    if (sb_rpc_pack(message, &packed, &err) < 0 ||
        (sb_rpc_unpack(route->rpc->in, sb_buf_cstr(&packed), packed.len, &again, &err) < 0 &&
         err.code != SB_EXHAUSTED)) {
        abort();
    }
}

static void check_param(const struct sb_route *route, struct sb_str text)
{
    struct sb_err err;
    struct sb_str name;
    struct sb_str value;
    SB_CLEANUP(sb_message_freep) ProtobufCMessage *message = sb_pbread_new(route->rpc->in, &err);
    if (message == NULL || sb_str_has_nul(text) || !sb_str_split(text, '=', &name, &value)) {
        return;
    }
    bool is_known = sb_pbread_has_param(route->rpc->in, name);
    if (sb_pbread_param(message, name, value, &err) == 0 && !is_known) {
        abort();
    }
}

/* The first byte says which route. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    const struct sb_route *route = &sb_routes[data[0] % sb_routes_count];
    struct sb_str text = sb_str_of(data + 1, size - 1);
    check_route(text);
    check_body(route, text);
    check_param(route, text);
    return 0;
}
