#pragma once
/** Private to mcp-gateway/tools. */
struct cJSON;
struct sb_mcp_call;

void sb_tool_exec_output(struct sb_mcp_call *call, const struct cJSON *arguments, void *user);
void sb_tool_exec_input(struct sb_mcp_call *call, const struct cJSON *arguments, void *user);
