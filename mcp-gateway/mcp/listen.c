/** Who listens for changes: since 2026-07-28 by subscriptions/listen, before by the session. */
#include "mcp-gateway/mcp/listen.h"

#include <cjson/cJSON.h>

#include "base/json.h"
#include "mcp-gateway/mcp/call.h"
#include "mcp-gateway/mcp/link.h"
#include "mcp-gateway/mcp/server.h"
#include "mcp-gateway/mcp/session.h"

static const struct {
    enum sb_mcp_list list;
    const char *wish; /* in the filter */
    const char *method;
} kinds[] = {
    {SB_MCP_TOOLS, "toolsListChanged", "notifications/tools/list_changed"},
    {SB_MCP_PROMPTS, "promptsListChanged", "notifications/prompts/list_changed"},
    {SB_MCP_RESOURCES, "resourcesListChanged", "notifications/resources/list_changed"},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static unsigned offered(const struct sb_mcp_definition *definition)
{
    if (!definition->lists_change) {
        return 0;
    }
    return (definition->n_tools > 0 ? SB_MCP_TOOLS : 0U) |
           (definition->n_prompts > 0 ? SB_MCP_PROMPTS : 0U) |
           (definition->read_resource != NULL ? SB_MCP_RESOURCES : 0U);
}

static bool is_uri_list(const cJSON *uris)
{
    const cJSON *uri = NULL;
    if (uris == NULL) {
        return true;
    }
    cJSON_ArrayForEach(uri, uris)
    {
        if (!cJSON_IsString(uri)) {
            return false;
        }
    }
    return cJSON_IsArray(uris) && cJSON_GetArraySize(uris) <= SB_MCP_MAX_LISTEN_URIS;
}

/* False: it is none. */
static bool read_filter(struct sb_mcp_call *call)
{
    const struct sb_mcp_definition *definition = call->mcp->definition;
    const cJSON *filter = cJSON_GetObjectItemCaseSensitive(call->message.params, "notifications");
    const cJSON *uris = cJSON_GetObjectItemCaseSensitive(filter, "resourceSubscriptions");
    if (!cJSON_IsObject(filter) || !is_uri_list(uris)) {
        return false;
    }
    for (size_t i = 0; i < N_KINDS; i++) {
        const cJSON *wish = cJSON_GetObjectItemCaseSensitive(filter, kinds[i].wish);
        if (wish != NULL && !cJSON_IsBool(wish)) {
            return false;
        }
        call->lists |= cJSON_IsTrue(wish) ? (unsigned)kinds[i].list : 0U;
    }
    call->lists &= offered(definition);
    call->uris = definition->has_subscriptions ? uris : NULL;
    return true;
}

static void put_honored(const struct sb_mcp_call *call, struct sb_json *json)
{
    const cJSON *uri = NULL;
    sb_json_open(json, "notifications", '{');
    for (size_t i = 0; i < N_KINDS; i++) {
        if ((call->lists & kinds[i].list) != 0) {
            sb_json_bool(json, kinds[i].wish, true);
        }
    }
    if (call->uris != NULL) {
        sb_json_open(json, "resourceSubscriptions", '[');
        cJSON_ArrayForEach(uri, call->uris)
        {
            sb_json_cstr(json, NULL, uri->valuestring);
        }
        sb_json_close(json, ']');
    }
    sb_json_close(json, '}');
}

static void note_begin(const struct sb_mcp_call *call,
                       struct sb_out *out,
                       struct sb_json *json,
                       const char *method)
{
    sb_mcp_note_begin(out, json, method);
    if (call != NULL) {
        sb_json_open(json, "_meta", '{');
        sb_json_raw(json, SB_MCP_META_SUBSCRIPTION, call->message.id);
        sb_json_close(json, '}');
    }
}

void sb_mcp_listen_run(struct sb_mcp_call *call, const struct sb_mcp_head *head)
{
    (void)head;
    struct sb_mcp *mcp = call->mcp;
    struct sb_out out;
    struct sb_json json;
    if (mcp->n_listeners >= SB_MCP_MAX_LISTENERS) {
        sb_mcp_error(call, SB_MCP_BUSY, SB_STR("too many are listening"), (struct sb_str){NULL, 0});
        return;
    }
    if (!read_filter(call)) {
        sb_mcp_error(call, SB_MCP_INVALID_PARAMS, SB_STR("notifications: must be a filter"),
                     (struct sb_str){NULL, 0});
        return;
    }
    sb_list_append(&mcp->listeners, &call->in_listeners);
    mcp->n_listeners++;
    sb_mcp_tick(mcp);
    note_begin(call, &out, &json, "notifications/subscriptions/acknowledged");
    put_honored(call, &json);
    sb_mcp_note_end(&out, &json, call->link);
}

void sb_mcp_listen_close(struct sb_mcp *mcp)
{
    while (!sb_list_is_empty(&mcp->listeners)) {
        sb_mcp_done(SB_LIST_ENTRY(mcp->listeners.next, struct sb_mcp_call, in_listeners));
    }
}

static void tell(const struct sb_mcp_call *call,
                 struct sb_mcp_link *link,
                 const char *method,
                 struct sb_str uri)
{
    struct sb_out out;
    struct sb_json json;
    note_begin(call, &out, &json, method);
    if (uri.ptr != NULL) {
        sb_json_str(&json, "uri", uri);
    }
    sb_mcp_note_end(&out, &json, link);
}

void sb_mcp_list_changed(struct sb_mcp *mcp, enum sb_mcp_list list)
{
    const struct sb_str none = {NULL, 0};
    for (size_t i = 0; i < N_KINDS; i++) {
        if (kinds[i].list != list || (offered(mcp->definition) & list) == 0) {
            continue;
        }
        SB_FOREACH (node, &mcp->listeners) {
            struct sb_mcp_call *call = SB_LIST_ENTRY(node, struct sb_mcp_call, in_listeners);
            if ((call->lists & list) != 0) {
                tell(call, call->link, kinds[i].method, none);
            }
        }
        SB_FOREACH (node, &mcp->session_list) {
            struct sb_mcp_session *session = SB_LIST_ENTRY(node, struct sb_mcp_session, node);
            if (session->is_open && session->stream != NULL) {
                tell(NULL, session->stream, kinds[i].method, none);
            }
        }
    }
}

static bool has_uri(const struct sb_mcp_call *call, struct sb_str uri)
{
    const cJSON *one = NULL;
    cJSON_ArrayForEach(one, call->uris)
    {
        if (sb_str_eq(uri, sb_str_from(one->valuestring))) {
            return true;
        }
    }
    return false;
}

void sb_mcp_resource_updated(struct sb_mcp *mcp, struct sb_str uri)
{
    static const char method[] = "notifications/resources/updated";
    SB_FOREACH (node, &mcp->listeners) {
        struct sb_mcp_call *call = SB_LIST_ENTRY(node, struct sb_mcp_call, in_listeners);
        if (has_uri(call, uri)) {
            tell(call, call->link, method, uri);
        }
    }
    SB_FOREACH (node, &mcp->session_list) {
        struct sb_mcp_session *session = SB_LIST_ENTRY(node, struct sb_mcp_session, node);
        if (session->stream != NULL && sb_map_get(&session->subscribed, uri) != NULL) {
            tell(NULL, session->stream, method, uri);
        }
    }
}
