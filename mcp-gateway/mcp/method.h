#pragma once
/** The methods of the protocol, one row each. */
#include <stdbool.h>

#include "base/str.h"
#include "mcp-gateway/mcp/call.h"

struct sb_mcp_head;

enum sb_mcp_era {
    SB_MCP_LEGACY = 1, /* with a handshake */
    SB_MCP_MODERN = 2,
};

struct sb_mcp_method {
    const char *name;
    unsigned eras;
    const char *named_by; /* the parameter that Mcp-Name repeats; NULL: none */
    enum sb_mcp_shape shape;
    bool is_cacheable; /* its result says how long it may be kept */
    bool is_for_all;   /* and by whom: it is the same for every caller */
    bool (*is_offered)(const struct sb_mcp_definition *definition);
    /** @head  never NULL. */
    void (*run)(struct sb_mcp_call *call, const struct sb_mcp_head *head);
};

/** NULL: there is none in that era, or the server does not offer it. */
const struct sb_mcp_method *sb_mcp_method_find(const struct sb_mcp_definition *definition,
                                               const char *name,
                                               enum sb_mcp_era era);
