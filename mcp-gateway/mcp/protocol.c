#include "mcp-gateway/mcp/protocol.h"

static const char *const revisions[SB_MCP_REVISIONS] = {
    [SB_MCP_2024_11_05] = "2024-11-05", [SB_MCP_2025_03_26] = "2025-03-26",
    [SB_MCP_2025_06_18] = "2025-06-18", [SB_MCP_2025_11_25] = "2025-11-25",
    [SB_MCP_2026_07_28] = "2026-07-28",
};

static const char *const levels[SB_MCP_LEVELS] = {
    [SB_MCP_DEBUG] = "debug",     [SB_MCP_INFO] = "info",           [SB_MCP_NOTICE] = "notice",
    [SB_MCP_WARNING] = "warning", [SB_MCP_ERROR] = "error",         [SB_MCP_CRITICAL] = "critical",
    [SB_MCP_ALERT] = "alert",     [SB_MCP_EMERGENCY] = "emergency",
};

static const struct {
    const char *method;
    const char *capability;
} asks[] = {
    [SB_MCP_ASK_ELICITATION] = {"elicitation/create", "elicitation"},
    [SB_MCP_ASK_SAMPLING] = {"sampling/createMessage", "sampling"},
    [SB_MCP_ASK_ROOTS] = {"roots/list", "roots"},
};

const char *sb_mcp_revision_name(enum sb_mcp_revision revision)
{
    return revisions[revision];
}

bool sb_mcp_revision_from(struct sb_str name, enum sb_mcp_revision *ret_revision)
{
    for (size_t i = 0; i < SB_MCP_REVISIONS; i++) {
        if (sb_str_eq(name, sb_str_from(revisions[i]))) {
            *ret_revision = (enum sb_mcp_revision)i;
            return true;
        }
    }
    return false;
}

bool sb_mcp_revision_is_modern(struct sb_str name)
{
    static const char form[] = "dddd-dd-dd";
    if (name.len != sizeof form - 1) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        bool is_digit = name.ptr[i] >= '0' && name.ptr[i] <= '9';
        if (form[i] == 'd' ? !is_digit : name.ptr[i] != '-') {
            return false;
        }
    }
    return memcmp(name.ptr, revisions[SB_MCP_2026_07_28], name.len) >= 0;
}

const char *sb_mcp_level_name(enum sb_mcp_level level)
{
    return levels[level];
}

bool sb_mcp_level_from(struct sb_str name, enum sb_mcp_level *ret_level)
{
    for (size_t i = 0; i < SB_MCP_LEVELS; i++) {
        if (sb_str_eq(name, sb_str_from(levels[i]))) {
            *ret_level = (enum sb_mcp_level)i;
            return true;
        }
    }
    return false;
}

const char *sb_mcp_ask_method(enum sb_mcp_ask_kind kind)
{
    return asks[kind].method;
}

const char *sb_mcp_ask_capability(enum sb_mcp_ask_kind kind)
{
    return asks[kind].capability;
}
