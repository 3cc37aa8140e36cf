/* Theory of operation. The body decides, the headers must agree: a message is modern when its _meta
 * names a version, or the header names a modern one; initialize and all others are legacy. What
 * claims to be modern and is not whole is refused, never taken for legacy. */
#include "mcp-gateway/mcp/era.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "mcp-gateway/mcp/header.h"
#include "mcp-gateway/mcp/message.h"
#include "mcp-gateway/mcp/protocol.h"

__attribute__((format(printf, 4, 5))) static void
refuse(struct sb_mcp_verdict *verdict, int status, int code, const char *fmt, ...);

static void refuse(struct sb_mcp_verdict *verdict, int status, int code, const char *fmt, ...)
{
    char text[SB_ERR_TEXT_SIZE];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    verdict->status = status;
    verdict->code = code;
    (void)sb_err_set(&verdict->why, SB_INVALID, "%s", text);
}

bool sb_mcp_era_head_is_modern(const struct sb_mcp_head *head)
{
    return sb_mcp_revision_is_modern(sb_mcp_header_value(head->protocol_version));
}

/* What every request since 2026-07-28 must carry. */
static void check_meta(const cJSON *meta, struct sb_mcp_verdict *verdict)
{
    static const struct {
        const char *key;
        bool is_required;
        cJSON_bool (*is)(const cJSON *value);
        const char *type;
    } rows[] = {
        {SB_MCP_META_VERSION, true, cJSON_IsString, "a string"},
        {SB_MCP_META_CAPABILITIES, true, cJSON_IsObject, "an object"},
        {SB_MCP_META_CLIENT, false, cJSON_IsObject, "an object"},
        {SB_MCP_META_LEVEL, false, cJSON_IsString, "a string"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(meta, rows[i].key);
        if (value == NULL && !rows[i].is_required) {
            continue;
        }
        if (value == NULL || !rows[i].is(value)) {
            refuse(verdict, 400, SB_MCP_INVALID_PARAMS, "_meta: \"%s\" must be there and be %s",
                   rows[i].key, rows[i].type);
            return;
        }
    }
}

/* Headers against a request's body; absent ones are told before those that differ. */
static void check_head(const struct sb_mcp_head *head,
                       const struct sb_mcp_message *message,
                       struct sb_str version,
                       struct sb_mcp_verdict *verdict)
{
    struct sb_str said = sb_mcp_header_value(head->protocol_version);
    struct sb_str method = sb_mcp_header_value(head->method);
    if (said.ptr != NULL && !sb_str_eq(said, version)) {
        refuse(verdict, 400, SB_MCP_HEADER_MISMATCH,
               "the MCP-Protocol-Version header says %.*s, _meta %.*s",
               SB_STR_ARG(sb_str_head(said, 40)), SB_STR_ARG(sb_str_head(version, 40)));
    } else if (method.ptr != NULL && !sb_str_eq(method, sb_str_from(message->method))) {
        refuse(verdict, 400, SB_MCP_HEADER_MISMATCH,
               "the Mcp-Method header says %.*s, the body %.80s",
               SB_STR_ARG(sb_str_head(method, 80)), message->method);
    }
}

static void check_presence(const struct sb_mcp_head *head, struct sb_mcp_verdict *verdict)
{
    if (head->protocol_version == NULL) {
        refuse(verdict, 400, SB_MCP_HEADER_MISMATCH, "the MCP-Protocol-Version header is missing");
    } else if (head->method == NULL) {
        refuse(verdict, 400, SB_MCP_HEADER_MISMATCH, "the Mcp-Method header is missing");
    }
}

static void judge_claim(const struct sb_mcp_head *head,
                        const struct sb_mcp_message *message,
                        struct sb_mcp_verdict *verdict)
{
    struct sb_str version;
    enum sb_mcp_revision revision = SB_MCP_2024_11_05;
    verdict->is_modern = true;
    if (message->kind == SB_MCP_REQUEST) {
        check_meta(message->meta, verdict);
    }
    if (verdict->status != 0) {
        return;
    }
    if (!sb_mcp_string(message->meta, SB_MCP_META_VERSION, &version)) {
        refuse(verdict, 400, SB_MCP_INVALID_PARAMS, "_meta: \"%s\" must be a string",
               SB_MCP_META_VERSION);
        return;
    }
    if (head->is_http) {
        check_head(head, message, version, verdict);
    }
    if (verdict->status != 0 || message->kind != SB_MCP_REQUEST) {
        return;
    }
    if (!sb_mcp_revision_from(version, &revision) || revision < SB_MCP_2026_07_28) {
        refuse(verdict, 400, SB_MCP_UNSUPPORTED_VERSION, "unsupported protocol version: %.*s",
               SB_STR_ARG(sb_str_head(version, 40)));
        verdict->names_versions = true;
        return;
    }
    if (head->is_http) {
        check_presence(head, verdict);
    }
}

/* An initialize that claims to be modern, and rightly, is a method that there is not. */
static bool is_whole_claim(const cJSON *meta)
{
    struct sb_str version;
    return sb_mcp_string(meta, SB_MCP_META_VERSION, &version) &&
           sb_mcp_revision_is_modern(version) &&
           cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(meta, SB_MCP_META_CAPABILITIES));
}

void sb_mcp_era_judge(const struct sb_mcp_head *head,
                      const struct sb_mcp_message *message,
                      struct sb_mcp_verdict *ret_verdict)
{
    struct sb_mcp_verdict *verdict = ret_verdict;
    verdict->is_modern = false;
    verdict->status = 0;
    verdict->names_versions = false;
    bool claims = cJSON_GetObjectItemCaseSensitive(message->meta, SB_MCP_META_VERSION) != NULL;
    bool head_is_modern = head->is_http && sb_mcp_era_head_is_modern(head);
    bool begins = message->kind == SB_MCP_REQUEST && strcmp(message->method, "initialize") == 0;
    if (claims && (!begins || is_whole_claim(message->meta))) {
        judge_claim(head, message, verdict);
        return;
    }
    if (!head_is_modern) {
        return;
    }
    verdict->is_modern = true;
    if (begins) {
        refuse(verdict, 400, SB_MCP_HEADER_MISMATCH,
               "initialize belongs to revisions before the one that the MCP-Protocol-Version "
               "header names");
    } else if (message->kind == SB_MCP_REQUEST) {
        refuse(verdict, 400, SB_MCP_INVALID_PARAMS,
               "_meta: \"%s\" and \"%s\" must be there in this revision", SB_MCP_META_VERSION,
               SB_MCP_META_CAPABILITIES);
    } else {
        struct sb_str method = sb_mcp_header_value(head->method);
        if (method.ptr != NULL && !sb_str_eq(method, sb_str_from(message->method))) {
            refuse(verdict, 400, SB_MCP_HEADER_MISMATCH,
                   "the Mcp-Method header differs from the body");
        }
    }
}
