#pragma once
/** Private to mcp-gateway/tools. */
struct cJSON;
struct sb_mcp_call;

void sb_tool_sandbox_create(struct sb_mcp_call *call, const struct cJSON *arguments, void *user);
void sb_tool_sandbox_list(struct sb_mcp_call *call, const struct cJSON *arguments, void *user);
void sb_tool_sandbox_destroy(struct sb_mcp_call *call, const struct cJSON *arguments, void *user);
