#pragma once
/** Methods that list what there is, by pages. */
struct sb_mcp_call;
struct sb_mcp_head;

void sb_mcp_list_tools(struct sb_mcp_call *call, const struct sb_mcp_head *head);
void sb_mcp_list_resources(struct sb_mcp_call *call, const struct sb_mcp_head *head);
void sb_mcp_list_templates(struct sb_mcp_call *call, const struct sb_mcp_head *head);
void sb_mcp_list_prompts(struct sb_mcp_call *call, const struct sb_mcp_head *head);
