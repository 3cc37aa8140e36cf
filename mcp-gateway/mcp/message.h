#pragma once
/** JSON-RPC 2.0 messages as MCP uses them. */
#include <stdbool.h>

#include "base/str.h"

struct cJSON;
struct sb_err;

enum sb_mcp_kind {
    SB_MCP_INVALID,
    SB_MCP_REQUEST,
    SB_MCP_NOTIFICATION,
    SB_MCP_RESPONSE,
};

struct sb_mcp_message {
    enum sb_mcp_kind kind;
    struct cJSON *json;           /* borrowed */
    struct sb_str id;             /* as written; empty: there is none that can be echoed */
    const char *method;           /* NULL in a response */
    const struct cJSON *params;   /* an object, or NULL */
    const struct cJSON *meta;     /* params._meta, an object, or NULL */
    struct sb_str progress_token; /* as written, or empty */
    const struct cJSON *result;   /* of a response; NULL: it is an error */
    const struct cJSON *error;
};

/** Strictly: what sb_json_scan refuses is refused. One value of any kind.
 *  @ret_json  for the caller to free with cJSON_Delete.  Errors: SB_INVALID, SB_EXHAUSTED. */
int sb_mcp_message_parse(struct sb_str text, struct cJSON **ret_json, struct sb_err *err);

/** Looks what json, one message, is. @text  the same as written; both are borrowed as long as the
 *  message is used. */
void sb_mcp_message_read(struct cJSON *json,
                         struct sb_str text,
                         struct sb_mcp_message *ret_message);

/** A member that is a string, as borrowed text; false when it is not there or none. */
bool sb_mcp_string(const struct cJSON *object, const char *key, struct sb_str *ret_value);
