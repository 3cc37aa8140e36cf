#pragma once
/** The loop of the gateway, whatever it offers. */
#include <stdint.h>

#include "base/err.h"
#include "mcp-gateway/http/relay.h"

struct event_base;
struct sb_gateway_options;
struct sb_http_request;
struct sb_http_server;
struct sb_mcp;
struct sb_mcp_definition;
struct sb_tracer;

/** For stdio a loop that can wait for files too. NULL: memory is out. */
struct event_base *sb_serve_base(const struct sb_gateway_options *options);

struct sb_serve {
    const struct sb_gateway_options *options; /* borrowed, as all here */
    struct event_base *base;
    const struct sb_mcp_definition *definition;
    /** The server, before anybody can call. NULL: nobody needs it. */
    void (*ready)(struct sb_mcp *mcp, void *user);
    /** The HTTP server, when it listens. NULL: nobody needs it. */
    void (*listening)(struct sb_http_server *server, void *user);
    /** It has been told to end, and takes no more requests soon. NULL: nobody needs it. */
    void (*ending)(void *user);
    /** Requests to other paths than SB_MCP_PATH; NULL: they are not found. */
    void (*other)(struct sb_http_request *request, void *user);
    /** How each HTTP request ended. NULL: nobody counts. */
    void (*ended)(const struct sb_http_request *request, int status, uint64_t us, void *user);
    /** Requests whose body goes to `other` as it comes (http/server.h). NULL: none. */
    bool (*streams)(const struct sb_http_request *request, void *user);
    /** Requests that are passed on as they come (http/relay.h). NULL: none are. */
    enum sb_http_relays (*relays)(struct sb_str target, void *user);
    void (*relay)(struct sb_http_request *request, void *user);
    struct sb_tracer *tracer; /* NULL: nobody is told of spans */
    void *user;
};

/** Serves until the client is gone (stdio), SIGTERM or SIGINT. Over stdio descriptors 0 and 1 are
 *  taken. Errors: those of binding; nothing was served then. */
int sb_serve_run(const struct sb_serve *serve, struct sb_err *err);
