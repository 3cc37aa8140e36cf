#include "mcp-gateway/mcp/method_use.h"

#include <stdio.h>

#include <cjson/cJSON.h>

#include "base/err.h"
#include "mcp-gateway/mcp/call.h"
#include "mcp-gateway/mcp/header.h"
#include "mcp-gateway/mcp/link.h"
#include "mcp-gateway/mcp/schema.h"
#include "mcp-gateway/mcp/server.h"
#include "mcp-gateway/mcp/session.h"

static const struct sb_str nothing = {NULL, 0};
static const cJSON no_arguments = {.type = cJSON_Object};

static void refuse(struct sb_mcp_call *call, const char *why)
{
    sb_mcp_error(call, SB_MCP_INVALID_PARAMS, sb_str_from(why), nothing);
}

/* NULL: they are no object; the call is answered. */
static const cJSON *arguments_of(struct sb_mcp_call *call)
{
    const cJSON *arguments = cJSON_GetObjectItemCaseSensitive(call->message.params, "arguments");
    if (arguments == NULL) {
        return &no_arguments;
    }
    if (!cJSON_IsObject(arguments)) {
        refuse(call, "arguments: must be an object");
        return NULL;
    }
    return arguments;
}

/* False: the call is answered. */
static bool state_is_ours(struct sb_mcp_call *call)
{
    if (sb_mcp_is_modern(call) && !sb_mcp_ask_open_state(call)) {
        refuse(call, "requestState: is not what was given, not for this request, or too old");
        return false;
    }
    return true;
}

/* A mistake in arguments is told to the model, which can mend it. */
static void fail_arguments(struct sb_mcp_call *call, const char *why)
{
    sb_mcp_text(call, sb_str_from(why));
    sb_mcp_fail(call);
    sb_mcp_done(call);
}

void sb_mcp_call_tool(struct sb_mcp_call *call, const struct sb_mcp_head *head)
{
    struct sb_err err;
    struct sb_str name;
    if (!sb_mcp_string(call->message.params, "name", &name)) {
        refuse(call, "name: must be that of a tool");
        return;
    }
    const struct sb_mcp_tool *tool = sb_mcp_tool_find(call->mcp, name);
    if (tool == NULL) {
        (void)sb_err_set(&err, SB_NOT_FOUND, "unknown tool: %.*s",
                         SB_STR_ARG(sb_str_head(name, 64)));
        refuse(call, err.text);
        return;
    }
    const cJSON *arguments = arguments_of(call);
    if (arguments == NULL) {
        return;
    }
    call->tool = tool;
    const cJSON *schema = sb_mcp_schema(call->mcp, tool);
    if (schema == NULL) {
        sb_mcp_error(call, SB_MCP_INTERNAL, SB_STR("out of memory"), nothing);
        return;
    }
    if (head->is_http && sb_mcp_is_modern(call) &&
        sb_mcp_header_check_params(head, schema, arguments, &err) < 0) {
        sb_mcp_error(call, SB_MCP_HEADER_MISMATCH, sb_str_from(err.text), nothing);
        return;
    }
    if (!state_is_ours(call)) {
        return;
    }
    if (sb_schema_check(schema, arguments, &err) < 0) {
        fail_arguments(call, err.text);
        return;
    }
    tool->run(call, arguments, call->mcp->definition->user);
}

/* False: the call is answered. */
static bool read_uri(struct sb_mcp_call *call, struct sb_str *ret_uri)
{
    if (!sb_mcp_string(call->message.params, "uri", ret_uri)) {
        refuse(call, "uri: must be a string");
        return false;
    }
    return true;
}

void sb_mcp_read_resource(struct sb_mcp_call *call, const struct sb_mcp_head *head)
{
    (void)head;
    struct sb_str uri;
    if (read_uri(call, &uri) && state_is_ours(call)) {
        call->mcp->definition->read_resource(call, uri, call->mcp->definition->user);
    }
}

void sb_mcp_subscribe(struct sb_mcp_call *call, const struct sb_mcp_head *head)
{
    (void)head;
    static int present;
    struct sb_err err;
    struct sb_str uri;
    if (!read_uri(call, &uri)) {
        return;
    }
    if (sb_map_put(&call->link->session->subscribed, uri, &present, &err) < 0 &&
        err.code != SB_EXISTS) {
        sb_mcp_error(call, SB_MCP_BUSY, SB_STR("too many subscriptions"), nothing);
        return;
    }
    sb_mcp_done(call);
}

void sb_mcp_unsubscribe(struct sb_mcp_call *call, const struct sb_mcp_head *head)
{
    (void)head;
    struct sb_str uri;
    if (read_uri(call, &uri)) {
        (void)sb_map_remove(&call->link->session->subscribed, uri);
        sb_mcp_done(call);
    }
}

/* The first required argument that is missing, or no string; NULL: all is well. */
static const char *wrong_argument(const struct sb_mcp_prompt *prompt, const cJSON *arguments)
{
    const char *wrong = NULL;
    const cJSON *row = NULL;
    cJSON *rows = prompt->arguments == NULL ? NULL : cJSON_Parse(prompt->arguments);
    cJSON_ArrayForEach(row, rows)
    {
        struct sb_str name = {NULL, 0};
        (void)sb_mcp_string(row, "name", &name);
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(arguments, name.ptr);
        if (value == NULL && cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(row, "required"))) {
            wrong = "a required argument is missing";
        }
    }
    cJSON_Delete(rows);
    cJSON_ArrayForEach(row, arguments)
    {
        if (!cJSON_IsString(row)) {
            wrong = "arguments of prompts are strings";
        }
    }
    return wrong;
}

void sb_mcp_get_prompt(struct sb_mcp_call *call, const struct sb_mcp_head *head)
{
    (void)head;
    struct sb_str name;
    if (!sb_mcp_string(call->message.params, "name", &name)) {
        refuse(call, "name: must be that of a prompt");
        return;
    }
    const struct sb_mcp_prompt *prompt = sb_mcp_prompt_find(call->mcp, name);
    if (prompt == NULL) {
        refuse(call, "unknown prompt");
        return;
    }
    const cJSON *arguments = arguments_of(call);
    if (arguments == NULL || !state_is_ours(call)) {
        return;
    }
    const char *wrong = wrong_argument(prompt, arguments);
    if (wrong != NULL) {
        refuse(call, wrong);
        return;
    }
    prompt->get(call, arguments, call->mcp->definition->user);
}

void sb_mcp_complete(struct sb_mcp_call *call, const struct sb_mcp_head *head)
{
    (void)head;
    struct sb_str reference;
    struct sb_str argument;
    struct sb_str value;
    const cJSON *ref = cJSON_GetObjectItemCaseSensitive(call->message.params, "ref");
    const cJSON *about = cJSON_GetObjectItemCaseSensitive(call->message.params, "argument");
    if ((!sb_mcp_string(ref, "name", &reference) && !sb_mcp_string(ref, "uri", &reference)) ||
        !sb_mcp_string(about, "name", &argument) || !sb_mcp_string(about, "value", &value)) {
        refuse(call, "completion needs ref and argument");
        return;
    }
    call->mcp->definition->complete(call, reference, argument, value, call->mcp->definition->user);
}
