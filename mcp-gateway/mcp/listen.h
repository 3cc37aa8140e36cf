#pragma once
struct sb_mcp;
struct sb_mcp_call;
struct sb_mcp_head;

/** subscriptions/listen: acknowledges, and stays until the client or we end it. */
void sb_mcp_listen_run(struct sb_mcp_call *call, const struct sb_mcp_head *head);
/** Ends all with their result. */
void sb_mcp_listen_close(struct sb_mcp *mcp);
