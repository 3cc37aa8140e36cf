#pragma once
/** Tools that keep what a sandbox holds, and make others from it. */
struct cJSON;
struct sb_mcp_call;

void sb_tool_sandbox_snapshot(struct sb_mcp_call *call, const struct cJSON *arguments, void *user);
void sb_tool_sandbox_fork(struct sb_mcp_call *call, const struct cJSON *arguments, void *user);
