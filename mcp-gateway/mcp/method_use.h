#pragma once
/** Methods that hand the call to one of the server's handlers. */
struct sb_mcp_call;
struct sb_mcp_head;

void sb_mcp_call_tool(struct sb_mcp_call *call, const struct sb_mcp_head *head);
void sb_mcp_read_resource(struct sb_mcp_call *call, const struct sb_mcp_head *head);
void sb_mcp_subscribe(struct sb_mcp_call *call, const struct sb_mcp_head *head);
void sb_mcp_unsubscribe(struct sb_mcp_call *call, const struct sb_mcp_head *head);
void sb_mcp_get_prompt(struct sb_mcp_call *call, const struct sb_mcp_head *head);
void sb_mcp_complete(struct sb_mcp_call *call, const struct sb_mcp_head *head);
