/** What handlers add to a result: see tool.h. */
#include <cjson/cJSON.h>

#include "base/json.h"
#include "mcp-gateway/mcp/call.h"

/* Begins one item, which may be the content of a prompt's message. */
static struct sb_json *open_item(struct sb_mcp_call *call, const char *type)
{
    bool is_message = call->role != NULL;
    struct sb_json *json =
        sb_mcp_call_result(call, is_message ? SB_MCP_SHAPE_MESSAGES : SB_MCP_SHAPE_CONTENT);
    sb_json_open(json, NULL, '{');
    if (is_message) {
        sb_json_cstr(json, "role", call->role);
        sb_json_open(json, "content", '{');
    }
    sb_json_cstr(json, "type", type);
    return json;
}

static void close_item(struct sb_mcp_call *call)
{
    if (call->role != NULL) {
        sb_json_close(&call->json, '}');
    }
    sb_json_close(&call->json, '}');
}

void sb_mcp_message(struct sb_mcp_call *call, const char *role)
{
    call->role = role;
}

void sb_mcp_text(struct sb_mcp_call *call, struct sb_str text)
{
    sb_json_str(open_item(call, "text"), "text", text);
    close_item(call);
}

static void
put_media(struct sb_mcp_call *call, const char *type, const char *mime_type, struct sb_str data)
{
    struct sb_json *json = open_item(call, type);
    sb_json_base64(json, "data", data);
    sb_json_cstr(json, "mimeType", mime_type);
    close_item(call);
}

void sb_mcp_image(struct sb_mcp_call *call, const char *mime_type, struct sb_str data)
{
    put_media(call, "image", mime_type, data);
}

void sb_mcp_audio(struct sb_mcp_call *call, const char *mime_type, struct sb_str data)
{
    put_media(call, "audio", mime_type, data);
}

static void put_optional(struct sb_json *json, const char *key, const char *value)
{
    if (value != NULL) {
        sb_json_cstr(json, key, value);
    }
}

static void
put_resource(struct sb_json *json, const char *uri_key, const struct sb_mcp_resource *resource)
{
    sb_json_cstr(json, uri_key, resource->uri);
    sb_json_cstr(json, "name", resource->name);
    put_optional(json, "title", resource->title);
    put_optional(json, "description", resource->description);
    put_optional(json, "mimeType", resource->mime_type);
}

void sb_mcp_link(struct sb_mcp_call *call, const struct sb_mcp_resource *resource)
{
    if (call->revision >= SB_MCP_2025_06_18) {
        put_resource(open_item(call, "resource_link"), "uri", resource);
        close_item(call);
        return;
    }
    struct sb_out text;
    sb_out_init(&text, -1);
    sb_out_printf(&text, "%s: %s", resource->name, resource->uri);
    sb_mcp_text(call, sb_buf_str(&text.buf));
    sb_out_done(&text);
}

void sb_mcp_embed(struct sb_mcp_call *call,
                  const char *uri,
                  const char *mime_type,
                  struct sb_str text)
{
    struct sb_json *json = open_item(call, "resource");
    sb_json_open(json, "resource", '{');
    sb_json_cstr(json, "uri", uri);
    put_optional(json, "mimeType", mime_type);
    sb_json_str(json, "text", text);
    sb_json_close(json, '}');
    close_item(call);
}

void sb_mcp_structured(struct sb_mcp_call *call, struct sb_str json)
{
    sb_buf_clear(&call->structured);
    if (sb_buf_append_str(&call->structured, json) < 0) {
        call->has_failed = true;
    }
}

void sb_mcp_fail(struct sb_mcp_call *call)
{
    call->has_failed = true;
}

static struct sb_json *
open_contents(struct sb_mcp_call *call, struct sb_str uri, const char *mime_type)
{
    struct sb_json *json = sb_mcp_call_result(call, SB_MCP_SHAPE_CONTENTS);
    sb_json_open(json, NULL, '{');
    sb_json_str(json, "uri", uri);
    put_optional(json, "mimeType", mime_type);
    return json;
}

void sb_mcp_contents_text(struct sb_mcp_call *call,
                          struct sb_str uri,
                          const char *mime_type,
                          struct sb_str text)
{
    struct sb_json *json = open_contents(call, uri, mime_type);
    sb_json_str(json, "text", text);
    sb_json_close(json, '}');
}

void sb_mcp_contents_blob(struct sb_mcp_call *call,
                          struct sb_str uri,
                          const char *mime_type,
                          struct sb_str data)
{
    struct sb_json *json = open_contents(call, uri, mime_type);
    sb_json_base64(json, "blob", data);
    sb_json_close(json, '}');
}

void sb_mcp_add_resource(struct sb_mcp_call *call, const struct sb_mcp_resource *resource)
{
    struct sb_json *json = sb_mcp_call_result(call, SB_MCP_SHAPE_RESOURCES);
    sb_json_open(json, NULL, '{');
    put_resource(json, "uri", resource);
    sb_json_close(json, '}');
}

void sb_mcp_suggest(struct sb_mcp_call *call, struct sb_str value)
{
    sb_json_str(sb_mcp_call_result(call, SB_MCP_SHAPE_VALUES), NULL, value);
}

void sb_mcp_listed(struct sb_mcp_call *call, struct sb_str cursor)
{
    struct sb_json *json = sb_mcp_call_result(call, SB_MCP_SHAPE_RESOURCES);
    if (cursor.len > 0) {
        sb_mcp_call_end_list(call);
        call->shape = SB_MCP_SHAPE_NONE;
        struct sb_out text;
        sb_out_init(&text, -1);
        sb_out_put(&text, "r");
        sb_out_write(&text, cursor.ptr, cursor.len);
        sb_json_str(json, "nextCursor", sb_buf_str(&text.buf));
        sb_out_done(&text);
    }
    sb_mcp_done(call);
}
