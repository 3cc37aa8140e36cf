#pragma once
/** Names and numbers of the protocol's revisions. */
#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "mcp-gateway/mcp/tool.h"

/** In order of time, so that they can be compared. */
enum sb_mcp_revision {
    SB_MCP_2024_11_05,
    SB_MCP_2025_03_26, /* the only one with batches */
    SB_MCP_2025_06_18,
    SB_MCP_2025_11_25, /* the newest with a handshake */
    SB_MCP_2026_07_28, /* without handshake and sessions: "modern" */
    SB_MCP_REVISIONS,
};

#define SB_MCP_META_PREFIX       "io.modelcontextprotocol/"
#define SB_MCP_META_VERSION      SB_MCP_META_PREFIX "protocolVersion"
#define SB_MCP_META_CAPABILITIES SB_MCP_META_PREFIX "clientCapabilities"
#define SB_MCP_META_CLIENT       SB_MCP_META_PREFIX "clientInfo"
#define SB_MCP_META_LEVEL        SB_MCP_META_PREFIX "logLevel"
#define SB_MCP_META_SERVER       SB_MCP_META_PREFIX "serverInfo"
#define SB_MCP_META_SUBSCRIPTION SB_MCP_META_PREFIX "subscriptionId"

enum {
    SB_MCP_MAX_DEPTH = 48,        /* of a message */
    SB_MCP_MAX_VALUES = 50000,    /* in a message */
    SB_MCP_MAX_MESSAGE = 4 << 20, /* bytes */
    SB_MCP_MAX_ID = 256,          /* bytes of an id or a progress token, as written */
    SB_MCP_MAX_BATCH = 64,        /* messages */
    SB_MCP_MAX_CALLS = 1024,      /* under way in the process, without those that listen */
    SB_MCP_MAX_LINK_CALLS = 128,  /* of one connection of stdio, or one session */
    SB_MCP_MAX_SESSIONS = 1024,
    SB_MCP_MAX_LISTENERS = 1024,
    SB_MCP_MAX_LISTEN_URIS = 64,
    SB_MCP_MAX_RESULT = 9 << 20, /* bytes of a message of ours: clients take lines of 10 MiB */
    SB_MCP_KEEP_ALIVE_S = 15,
    SB_MCP_SESSION_IDLE_S = 3600,
    SB_MCP_STATE_S = 600,
    SB_MCP_PAGE = 100, /* rows of a list */
};

const char *sb_mcp_revision_name(enum sb_mcp_revision revision);
/** False for names we do not serve. */
bool sb_mcp_revision_from(struct sb_str name, enum sb_mcp_revision *ret_revision);
/** True for a date from the revision on that has no handshake, known or not. */
bool sb_mcp_revision_is_modern(struct sb_str name);

const char *sb_mcp_level_name(enum sb_mcp_level level);
bool sb_mcp_level_from(struct sb_str name, enum sb_mcp_level *ret_level);

/** "elicitation/create", and "elicitation", which is the client's capability. */
const char *sb_mcp_ask_method(enum sb_mcp_ask_kind kind);
const char *sb_mcp_ask_capability(enum sb_mcp_ask_kind kind);
