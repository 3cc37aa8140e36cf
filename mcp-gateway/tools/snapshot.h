#pragma once
/** Private to mcp-gateway/tools. */
struct cJSON;
struct sb_mcp_call;

void sb_tool_sandbox_snapshot(struct sb_mcp_call *call, const struct cJSON *arguments, void *user);
void sb_tool_sandbox_fork(struct sb_mcp_call *call, const struct cJSON *arguments, void *user);
void sb_tool_sandbox_rollback(struct sb_mcp_call *call, const struct cJSON *arguments, void *user);
