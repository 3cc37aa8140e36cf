#pragma once
/** Which rules a message is under, and whether it keeps those that come before its method's. */
#include <stdbool.h>

#include "base/err.h"

struct sb_mcp_head;
struct sb_mcp_message;

struct sb_mcp_verdict {
    bool is_modern;
    int status; /* 0: go on; else refuse with it, code, and the text */
    int code;
    struct sb_err why;
    bool names_versions; /* data of the refusal: supported and requested */
};

/** @message  a request or a notification. */
void sb_mcp_era_judge(const struct sb_mcp_head *head,
                      const struct sb_mcp_message *message,
                      struct sb_mcp_verdict *ret_verdict);

/** True when the MCP-Protocol-Version header is of an era without handshake. */
bool sb_mcp_era_head_is_modern(const struct sb_mcp_head *head);
