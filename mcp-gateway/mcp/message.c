#include "mcp-gateway/mcp/message.h"

#include <math.h>

#include <cjson/cJSON.h>

#include "base/err.h"
#include "base/json_scan.h"
#include "mcp-gateway/mcp/protocol.h"
#include "mcp-gateway/mcp/raw.h"

#define EXACT_MAX 9007199254740991.0

int sb_mcp_message_parse(struct sb_str text, struct cJSON **ret_json, struct sb_err *err)
{
    static const struct sb_json_scan_limits limits = {
        .bytes = SB_MCP_MAX_MESSAGE, .depth = SB_MCP_MAX_DEPTH, .values = SB_MCP_MAX_VALUES};
    if (sb_json_scan(text, &limits, err) < 0) {
        return -1;
    }
    cJSON *json = cJSON_ParseWithLength(text.ptr, text.len);
    if (json == NULL) {
        return sb_err_oom(err);
    }
    *ret_json = json;
    return 0;
}

bool sb_mcp_string(const struct cJSON *object, const char *key, struct sb_str *ret_value)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!cJSON_IsString(member)) {
        return false;
    }
    *ret_value = sb_str_from(member->valuestring);
    return true;
}

static bool is_id(const cJSON *json)
{
    if (cJSON_IsString(json)) {
        return true;
    }
    return cJSON_IsNumber(json) && fabs(json->valuedouble) <= EXACT_MAX &&
           trunc(json->valuedouble) == json->valuedouble;
}

/* The member's text, when it is a usable id. */
static struct sb_str id_text(const cJSON *object, struct sb_str text, const char *key)
{
    const struct sb_str none = {NULL, 0};
    if (!is_id(cJSON_GetObjectItemCaseSensitive(object, key))) {
        return none;
    }
    struct sb_str raw = sb_raw_member(text, sb_str_from(key));
    return raw.len > SB_MCP_MAX_ID ? none : raw;
}

static void read_params(struct sb_str text, struct sb_mcp_message *message)
{
    message->meta = cJSON_GetObjectItemCaseSensitive(message->params, "_meta");
    if (!cJSON_IsObject(message->meta)) {
        message->meta = NULL;
        return;
    }
    if (cJSON_GetObjectItemCaseSensitive(message->meta, "progressToken") != NULL) {
        struct sb_str params = sb_raw_member(text, SB_STR("params"));
        message->progress_token =
            id_text(message->meta, sb_raw_member(params, SB_STR("_meta")), "progressToken");
    }
}

static enum sb_mcp_kind kind_of(const struct sb_mcp_message *message, const cJSON *json)
{
    struct sb_str version;
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(json, "id");
    const cJSON *params = cJSON_GetObjectItemCaseSensitive(json, "params");
    if (!sb_mcp_string(json, "jsonrpc", &version) || !sb_str_eq(version, SB_STR("2.0")) ||
        (params != NULL && message->params == NULL)) {
        return SB_MCP_INVALID;
    }
    bool has_method = cJSON_GetObjectItemCaseSensitive(json, "method") != NULL;
    if (message->method != NULL && id == NULL) {
        return SB_MCP_NOTIFICATION;
    }
    if (has_method) {
        return message->method != NULL && message->id.len > 0 ? SB_MCP_REQUEST : SB_MCP_INVALID;
    }
    bool is_response = (message->result == NULL) != (message->error == NULL);
    return is_response && message->id.len > 0 ? SB_MCP_RESPONSE : SB_MCP_INVALID;
}

void sb_mcp_message_read(struct cJSON *json, struct sb_str text, struct sb_mcp_message *ret_message)
{
    struct sb_mcp_message message = {.json = json};
    if (cJSON_IsObject(json)) {
        const cJSON *method = cJSON_GetObjectItemCaseSensitive(json, "method");
        const cJSON *params = cJSON_GetObjectItemCaseSensitive(json, "params");
        message.id = id_text(json, text, "id");
        message.method = cJSON_IsString(method) ? method->valuestring : NULL;
        message.params = cJSON_IsObject(params) ? params : NULL;
        message.result = cJSON_GetObjectItemCaseSensitive(json, "result");
        message.error = cJSON_GetObjectItemCaseSensitive(json, "error");
        if (message.params != NULL) {
            read_params(text, &message);
        }
        message.kind = kind_of(&message, json);
    }
    *ret_message = message;
}
