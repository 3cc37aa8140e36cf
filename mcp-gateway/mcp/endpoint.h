#pragma once
/** MCP over HTTP ("streamable HTTP"): the one path that clients POST to. An answer is JSON, or,
 * once something goes before it, a stream of events. Before 2026-07-28 there are sessions: a
 * header, a stream of their own by GET, an end by DELETE. */
#include <stdbool.h>

struct event_base;
struct sb_err;
struct sb_http_request;
struct sb_mcp;
struct sb_mcp_endpoint;

#define SB_MCP_PATH "/mcp"

struct sb_mcp_endpoint_options {
    struct sb_mcp *mcp;      /* borrowed, as the next */
    struct event_base *base; /* for keep-alives */
    bool is_open;            /* who brings no credential is us; else 401 */
};

int sb_mcp_endpoint_new(const struct sb_mcp_endpoint_options *options,
                        struct sb_mcp_endpoint **ret_endpoint,
                        struct sb_err *err);
/** After the HTTP server, before the MCP server. */
void sb_mcp_endpoint_free(struct sb_mcp_endpoint *endpoint);
/** Answers a request to SB_MCP_PATH, now or later. */
void sb_mcp_endpoint_handle(struct sb_mcp_endpoint *endpoint, struct sb_http_request *request);
