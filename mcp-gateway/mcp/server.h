#pragma once
/** The server's own side of tool.h. */
#include "base/hash.h"
#include "base/list.h"
#include "base/map.h"
#include "mcp-gateway/mcp/tool.h"

struct cJSON;
struct event;
struct sb_json;
struct sb_mcp_session;

enum { SB_MCP_SEAL_KEY_BYTES = 32 };

struct sb_mcp {
    const struct sb_mcp_definition *definition;
    struct event_base *base;
    struct cJSON **schemas;      /* of the tools, parsed when first used */
    struct sb_map sessions;      /* by id */
    struct sb_list session_list; /* longest unused first */
    struct sb_list listeners;    /* sb_mcp_call.listener */
    size_t n_listeners;
    size_t n_calls;
    struct sb_hash_key hash_key;
    unsigned char seal_key[SB_MCP_SEAL_KEY_BYTES];
    bool has_seal_key;
    struct event *tick; /* while there is a session or a listener; NULL before */
    bool is_closing;
};

/** What tools take as input, parsed; NULL: memory is out, or the tool's text is none. */
const struct cJSON *sb_mcp_schema(struct sb_mcp *mcp, const struct sb_mcp_tool *tool);
const struct sb_mcp_tool *sb_mcp_tool_find(const struct sb_mcp *mcp, struct sb_str name);
const struct sb_mcp_prompt *sb_mcp_prompt_find(const struct sb_mcp *mcp, struct sb_str name);

/** Members "capabilities", "serverInfo". */
void sb_mcp_put_capabilities(const struct sb_mcp *mcp, struct sb_json *json, bool is_modern);
void sb_mcp_put_info(const struct sb_mcp *mcp, struct sb_json *json, const char *key);

/** Starts the timer of keep-alives and of expiry, if it does not run. */
void sb_mcp_tick(struct sb_mcp *mcp);
