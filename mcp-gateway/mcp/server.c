#include "mcp-gateway/mcp/server.h"

#include <event2/event.h>
#include <stdlib.h>
#include <sys/time.h>

#include <cjson/cJSON.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "mcp-gateway/mcp/call.h"
#include "mcp-gateway/mcp/link.h"
#include "mcp-gateway/mcp/listen.h"
#include "mcp-gateway/mcp/protocol.h"
#include "mcp-gateway/mcp/session.h"

int sb_mcp_new(const struct sb_mcp_definition *definition,
               struct event_base *base,
               struct sb_mcp **ret_mcp,
               struct sb_err *err)
{
    struct sb_mcp *mcp = calloc(1, sizeof *mcp);
    if (mcp == NULL) {
        return sb_err_oom(err);
    }
    mcp->definition = definition;
    mcp->base = base;
    mcp->hash_key = sb_hash_key_random();
    mcp->schemas = calloc(definition->n_tools + 1, sizeof(void *));
    sb_map_init(&mcp->sessions, SB_MCP_MAX_SESSIONS);
    sb_list_init(&mcp->session_list);
    sb_list_init(&mcp->listeners);
    if (mcp->schemas == NULL) {
        free(mcp);
        return sb_err_oom(err);
    }
    *ret_mcp = mcp;
    return 0;
}

static void end_sessions(struct sb_mcp *mcp)
{
    while (!sb_list_is_empty(&mcp->session_list)) {
        struct sb_mcp_session *session =
            SB_LIST_ENTRY(mcp->session_list.next, struct sb_mcp_session, node);
        if (session->id[0] == '\0') { /* of stdio, which owns it */
            sb_list_remove(&session->node);
            continue;
        }
        sb_mcp_session_end(mcp, session);
    }
}

void sb_mcp_free(struct sb_mcp *mcp)
{
    if (mcp == NULL) {
        return;
    }
    end_sessions(mcp);
    if (mcp->tick != NULL) {
        event_free(mcp->tick);
    }
    for (size_t i = 0; i < mcp->definition->n_tools; i++) {
        cJSON_Delete(mcp->schemas[i]);
    }
    free(mcp->schemas);
    sb_map_done(&mcp->sessions);
    free(mcp);
}

void sb_mcp_close(struct sb_mcp *mcp)
{
    mcp->is_closing = true;
    sb_mcp_listen_close(mcp);
    SB_FOREACH (node, &mcp->session_list) {
        struct sb_mcp_session *session = SB_LIST_ENTRY(node, struct sb_mcp_session, node);
        if (session->id[0] != '\0' && session->stream != NULL) {
            struct sb_mcp_link *stream = session->stream;
            session->stream = NULL;
            stream->session = NULL;
            stream->ops->answer(stream, 200, (struct sb_str){NULL, 0});
        }
    }
}

size_t sb_mcp_calls(const struct sb_mcp *mcp)
{
    return mcp->n_calls - mcp->n_listeners;
}

/* ---- what is offered ---- */

const struct sb_mcp_tool *sb_mcp_tool_find(const struct sb_mcp *mcp, struct sb_str name)
{
    for (size_t i = 0; i < mcp->definition->n_tools; i++) {
        if (sb_str_eq(name, sb_str_from(mcp->definition->tools[i].name))) {
            return &mcp->definition->tools[i];
        }
    }
    return NULL;
}

const struct sb_mcp_prompt *sb_mcp_prompt_find(const struct sb_mcp *mcp, struct sb_str name)
{
    for (size_t i = 0; i < mcp->definition->n_prompts; i++) {
        if (sb_str_eq(name, sb_str_from(mcp->definition->prompts[i].name))) {
            return &mcp->definition->prompts[i];
        }
    }
    return NULL;
}

const struct cJSON *sb_mcp_schema(struct sb_mcp *mcp, const struct sb_mcp_tool *tool)
{
    struct cJSON **slot = &mcp->schemas[tool - mcp->definition->tools];
    if (*slot == NULL) {
        *slot = cJSON_Parse(tool->input_schema);
    }
    return *slot;
}

static void put_flag(struct sb_json *json, const char *key, bool is_set)
{
    if (is_set) {
        sb_json_bool(json, key, true);
    }
}

void sb_mcp_put_capabilities(const struct sb_mcp *mcp, struct sb_json *json, bool is_modern)
{
    const struct sb_mcp_definition *definition = mcp->definition;
    const struct {
        const char *name;
        bool is_offered;
        bool lists_change;
        bool subscribes;
    } rows[] = {
        {"tools", true, definition->lists_change, false},
        {"resources", definition->read_resource != NULL, definition->lists_change,
         definition->has_subscriptions},
        {"prompts", definition->n_prompts > 0, definition->lists_change, false},
        {"completions", definition->complete != NULL, false, false},
        {"logging", definition->has_logging && !is_modern, false, false},
    };
    sb_json_open(json, "capabilities", '{');
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].is_offered) {
            sb_json_open(json, rows[i].name, '{');
            put_flag(json, "listChanged", rows[i].lists_change);
            put_flag(json, "subscribe", rows[i].subscribes);
            sb_json_close(json, '}');
        }
    }
    sb_json_close(json, '}');
}

void sb_mcp_put_info(const struct sb_mcp *mcp, struct sb_json *json, const char *key)
{
    sb_json_open(json, key, '{');
    sb_json_cstr(json, "name", mcp->definition->name);
    if (mcp->definition->title != NULL) {
        sb_json_cstr(json, "title", mcp->definition->title);
    }
    sb_json_cstr(json, "version", mcp->definition->version);
    sb_json_close(json, '}');
}

/* ---- time ---- */

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_mcp *mcp = ctx;
    sb_mcp_session_expire(mcp, sb_clock_mono_ms());
}

void sb_mcp_tick(struct sb_mcp *mcp)
{
    const struct timeval every = {SB_MCP_KEEP_ALIVE_S, 0};
    if (mcp->tick == NULL && mcp->base != NULL) {
        mcp->tick = event_new(mcp->base, -1, EV_PERSIST, on_tick, mcp);
        if (mcp->tick != NULL) {
            (void)event_add(mcp->tick, &every);
        }
    }
}
