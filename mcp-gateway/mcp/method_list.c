#include "mcp-gateway/mcp/method_list.h"

#include <inttypes.h>
#include <stdio.h>

#include <cjson/cJSON.h>

#include "base/err.h"
#include "base/json.h"
#include "base/num.h"
#include "mcp-gateway/mcp/call.h"
#include "mcp-gateway/mcp/server.h"

static const struct sb_str nothing = {NULL, 0};

/* Cursors of tables are "t" and the row that comes next, those of the handler "r" and its own. */
static bool read_cursor(struct sb_mcp_call *call, size_t n, uint64_t *ret_row)
{
    struct sb_err err;
    struct sb_str cursor;
    if (cJSON_GetObjectItemCaseSensitive(call->message.params, "cursor") == NULL) {
        *ret_row = 0;
        return true;
    }
    return sb_mcp_string(call->message.params, "cursor", &cursor) &&
           sb_str_starts_with(cursor, SB_STR("t")) && n > 0 &&
           sb_num_u64(sb_str_skip(cursor, 1), 1, n - 1, ret_row, &err) == 0;
}

static void refuse_cursor(struct sb_mcp_call *call)
{
    sb_mcp_error(call, SB_MCP_INVALID_PARAMS, SB_STR("cursor: is none of ours"), nothing);
}

static void put_optional(struct sb_json *json, const char *key, const char *value)
{
    if (value != NULL) {
        sb_json_cstr(json, key, value);
    }
}

static void put_text(struct sb_json *json, const char *key, const char *text)
{
    if (text != NULL) {
        sb_mcp_call_put_raw(json, key, sb_str_from(text));
    }
}

static void put_tool(struct sb_json *json, const struct sb_mcp_definition *definition, size_t i)
{
    const struct sb_mcp_tool *tool = &definition->tools[i];
    sb_json_cstr(json, "name", tool->name);
    put_optional(json, "title", tool->title);
    put_optional(json, "description", tool->description);
    put_text(json, "inputSchema", tool->input_schema);
    put_text(json, "outputSchema", tool->output_schema);
    put_text(json, "annotations", tool->annotations);
}

static void put_template(struct sb_json *json, const struct sb_mcp_definition *definition, size_t i)
{
    const struct sb_mcp_resource *resource = &definition->templates[i];
    sb_json_cstr(json, "uriTemplate", resource->uri);
    sb_json_cstr(json, "name", resource->name);
    put_optional(json, "title", resource->title);
    put_optional(json, "description", resource->description);
    put_optional(json, "mimeType", resource->mime_type);
}

static void put_prompt(struct sb_json *json, const struct sb_mcp_definition *definition, size_t i)
{
    const struct sb_mcp_prompt *prompt = &definition->prompts[i];
    sb_json_cstr(json, "name", prompt->name);
    put_optional(json, "title", prompt->title);
    put_optional(json, "description", prompt->description);
    put_text(json, "arguments", prompt->arguments);
}

static void
list(struct sb_mcp_call *call,
     const char *key,
     size_t n,
     void (*put)(struct sb_json *json, const struct sb_mcp_definition *definition, size_t i))
{
    uint64_t row = 0;
    if (!read_cursor(call, n, &row)) {
        refuse_cursor(call);
        return;
    }
    size_t end = n - row > SB_MCP_PAGE ? row + SB_MCP_PAGE : n;
    struct sb_json *json = sb_mcp_call_result(call, SB_MCP_SHAPE_NONE);
    sb_json_open(json, key, '[');
    for (size_t i = row; i < end; i++) {
        sb_json_open(json, NULL, '{');
        put(json, call->mcp->definition, i);
        sb_json_close(json, '}');
    }
    sb_json_close(json, ']');
    if (end < n) {
        char cursor[32];
        (void)snprintf(cursor, sizeof cursor, "t%zu", end);
        sb_json_cstr(json, "nextCursor", cursor);
    }
    sb_mcp_done(call);
}

void sb_mcp_list_tools(struct sb_mcp_call *call, const struct sb_mcp_head *head)
{
    (void)head;
    list(call, "tools", call->mcp->definition->n_tools, put_tool);
}

void sb_mcp_list_templates(struct sb_mcp_call *call, const struct sb_mcp_head *head)
{
    (void)head;
    list(call, "resourceTemplates", call->mcp->definition->n_templates, put_template);
}

void sb_mcp_list_prompts(struct sb_mcp_call *call, const struct sb_mcp_head *head)
{
    (void)head;
    list(call, "prompts", call->mcp->definition->n_prompts, put_prompt);
}

/* Those of the table, few, come first and on one page with the first of the handler. */
void sb_mcp_list_resources(struct sb_mcp_call *call, const struct sb_mcp_head *head)
{
    (void)head;
    const struct sb_mcp_definition *definition = call->mcp->definition;
    struct sb_str cursor = {NULL, 0};
    if (cJSON_GetObjectItemCaseSensitive(call->message.params, "cursor") == NULL) {
        for (size_t i = 0; i < definition->n_resources; i++) {
            sb_mcp_add_resource(call, &definition->resources[i]);
        }
    } else if (!sb_mcp_string(call->message.params, "cursor", &cursor) ||
               !sb_str_starts_with(cursor, SB_STR("r")) || cursor.len > SB_MCP_MAX_ID ||
               definition->list_resources == NULL) {
        refuse_cursor(call);
        return;
    }
    if (definition->list_resources == NULL) {
        sb_mcp_done(call);
        return;
    }
    definition->list_resources(call, sb_str_skip(cursor, 1), definition->user);
}
