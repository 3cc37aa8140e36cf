#include "mcp-gateway/mcp/method.h"

#include <string.h>

#include <cjson/cJSON.h>

#include "base/json.h"
#include "mcp-gateway/mcp/link.h"
#include "mcp-gateway/mcp/listen.h"
#include "mcp-gateway/mcp/method_list.h"
#include "mcp-gateway/mcp/method_use.h"
#include "mcp-gateway/mcp/server.h"
#include "mcp-gateway/mcp/session.h"

static const struct sb_str nothing = {NULL, 0};

static bool always(const struct sb_mcp_definition *definition)
{
    (void)definition;
    return true;
}

static bool has_resources(const struct sb_mcp_definition *definition)
{
    return definition->read_resource != NULL;
}

static bool has_subscriptions(const struct sb_mcp_definition *definition)
{
    return definition->read_resource != NULL && definition->has_subscriptions;
}

static bool has_prompts(const struct sb_mcp_definition *definition)
{
    return definition->n_prompts > 0;
}

static bool has_completions(const struct sb_mcp_definition *definition)
{
    return definition->complete != NULL;
}

static bool has_logging(const struct sb_mcp_definition *definition)
{
    return definition->has_logging;
}

/* ---- beginning ---- */

static void put_server(struct sb_mcp_call *call, struct sb_json *json)
{
    sb_mcp_put_capabilities(call->mcp, json, sb_mcp_is_modern(call));
    if (call->mcp->definition->instructions != NULL) {
        sb_json_cstr(json, "instructions", call->mcp->definition->instructions);
    }
}

static void run_initialize(struct sb_mcp_call *call, const struct sb_mcp_head *head)
{
    (void)head;
    struct sb_str asked;
    struct sb_mcp_session *session = call->link->session;
    cJSON *params = cJSON_GetObjectItemCaseSensitive(call->message.json, "params");
    cJSON *capabilities = cJSON_GetObjectItemCaseSensitive(params, "capabilities");
    if (!sb_mcp_string(call->message.params, "protocolVersion", &asked) ||
        !cJSON_IsObject(capabilities) ||
        !cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(call->message.params, "clientInfo"))) {
        sb_mcp_error(call, SB_MCP_INVALID_PARAMS,
                     SB_STR("initialize needs protocolVersion, capabilities and clientInfo"),
                     nothing);
        return;
    }
    enum sb_mcp_revision revision = SB_MCP_2025_11_25;
    if (!sb_mcp_revision_from(asked, &revision) || revision >= SB_MCP_2026_07_28) {
        revision = SB_MCP_2025_11_25;
    }
    session->revision = revision;
    session->is_open = true;
    call->link->is_new_session = true;
    cJSON_Delete(session->capabilities);
    session->capabilities = cJSON_DetachItemViaPointer(params, capabilities);
    struct sb_json *json = sb_mcp_call_result(call, SB_MCP_SHAPE_NONE);
    sb_json_cstr(json, "protocolVersion", sb_mcp_revision_name(revision));
    put_server(call, json);
    sb_mcp_put_info(call->mcp, json, "serverInfo");
    sb_mcp_done(call);
}

static void run_discover(struct sb_mcp_call *call, const struct sb_mcp_head *head)
{
    (void)head;
    struct sb_json *json = sb_mcp_call_result(call, SB_MCP_SHAPE_NONE);
    sb_json_open(json, "supportedVersions", '[');
    sb_json_cstr(json, NULL, sb_mcp_revision_name(SB_MCP_2026_07_28));
    sb_json_close(json, ']');
    put_server(call, json);
    sb_mcp_done(call);
}

static void run_ping(struct sb_mcp_call *call, const struct sb_mcp_head *head)
{
    (void)head;
    sb_mcp_done(call);
}

static void run_set_level(struct sb_mcp_call *call, const struct sb_mcp_head *head)
{
    (void)head;
    struct sb_str name;
    enum sb_mcp_level level = SB_MCP_INFO;
    if (!sb_mcp_string(call->message.params, "level", &name) || !sb_mcp_level_from(name, &level)) {
        sb_mcp_error(call, SB_MCP_INVALID_PARAMS,
                     SB_STR("level: must be one of debug, info, notice, warning, error, critical, "
                            "alert, emergency"),
                     nothing);
        return;
    }
    call->link->session->level = level;
    sb_mcp_done(call);
}

/* ---- the table ---- */

#define BOTH ((unsigned)SB_MCP_LEGACY | (unsigned)SB_MCP_MODERN)

static const struct sb_mcp_method methods[] = {
    {.name = "tools/call",
     .eras = BOTH,
     .named_by = "name",
     .shape = SB_MCP_SHAPE_CONTENT,
     .is_offered = always,
     .run = sb_mcp_call_tool},
    {.name = "tools/list",
     .eras = BOTH,
     .is_cacheable = true,
     .is_for_all = true,
     .is_offered = always,
     .run = sb_mcp_list_tools},
    {.name = "server/discover",
     .eras = SB_MCP_MODERN,
     .is_cacheable = true,
     .is_for_all = true,
     .is_offered = always,
     .run = run_discover},
    {.name = "initialize", .eras = SB_MCP_LEGACY, .is_offered = always, .run = run_initialize},
    {.name = "ping", .eras = SB_MCP_LEGACY, .is_offered = always, .run = run_ping},
    {.name = "resources/list",
     .eras = BOTH,
     .shape = SB_MCP_SHAPE_RESOURCES,
     .is_cacheable = true,
     .is_offered = has_resources,
     .run = sb_mcp_list_resources},
    {.name = "resources/templates/list",
     .eras = BOTH,
     .is_cacheable = true,
     .is_for_all = true,
     .is_offered = has_resources,
     .run = sb_mcp_list_templates},
    {.name = "resources/read",
     .eras = BOTH,
     .named_by = "uri",
     .shape = SB_MCP_SHAPE_CONTENTS,
     .is_cacheable = true,
     .is_offered = has_resources,
     .run = sb_mcp_read_resource},
    {.name = "resources/subscribe",
     .eras = SB_MCP_LEGACY,
     .is_offered = has_subscriptions,
     .run = sb_mcp_subscribe},
    {.name = "resources/unsubscribe",
     .eras = SB_MCP_LEGACY,
     .is_offered = has_subscriptions,
     .run = sb_mcp_unsubscribe},
    {.name = "prompts/list",
     .eras = BOTH,
     .is_cacheable = true,
     .is_for_all = true,
     .is_offered = has_prompts,
     .run = sb_mcp_list_prompts},
    {.name = "prompts/get",
     .eras = BOTH,
     .named_by = "name",
     .shape = SB_MCP_SHAPE_MESSAGES,
     .is_offered = has_prompts,
     .run = sb_mcp_get_prompt},
    {.name = "completion/complete",
     .eras = BOTH,
     .shape = SB_MCP_SHAPE_VALUES,
     .is_offered = has_completions,
     .run = sb_mcp_complete},
    {.name = "logging/setLevel",
     .eras = SB_MCP_LEGACY,
     .is_offered = has_logging,
     .run = run_set_level},
    {.name = "subscriptions/listen",
     .eras = SB_MCP_MODERN,
     .is_offered = always,
     .run = sb_mcp_listen_run},
};

const struct sb_mcp_method *sb_mcp_method_find(const struct sb_mcp_definition *definition,
                                               const char *name,
                                               enum sb_mcp_era era)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (strcmp(methods[i].name, name) == 0) {
            bool is_there = (methods[i].eras & era) != 0 && methods[i].is_offered(definition);
            return is_there ? &methods[i] : NULL;
        }
    }
    return NULL;
}
