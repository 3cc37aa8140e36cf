#pragma once
/** Servers in sandboxes, for browsers and programs: HTTP and WebSocket below
 *  /api/v1/sandboxes/ID/ports/PORT/.
 *
 *  Theory of operation. One request is one call of ForwardPort and one connection inside, closed
 *  behind its answer, so that nothing can hide behind a body that two readers see end in different
 *  places. The request's head is written anew without credentials (request.c); the answer's is read
 *  strictly, as whoever wrote it is hostile (answer.c, body.c), and written anew without what would
 *  speak for the gateway's origin (field.c). Bytes stream both ways (relay.c): what is not taken on
 *  one side is not read on the other. Whether a caller may is the worker's to say.
 *
 *  Pages of a sandbox have an origin of their own: each answer says "Content-Security-Policy:
 *  sandbox" without allow-same-origin, or what a program inside wrote would act for whoever the
 *  browser trusts the gateway with. */
#include <stdbool.h>

#include "base/str.h"
#include "mcp-gateway/http/relay.h"

struct event_base;
struct sb_backend;
struct sb_err;
struct sb_http_request;
struct sb_ports;

struct sb_ports_options {
    struct event_base *base; /* borrowed, as all */
    struct sb_backend *backend;
    bool loopback_without_key;
};

int sb_ports_new(const struct sb_ports_options *options,
                 struct sb_ports **ret_ports,
                 struct sb_err *err);
/** After the HTTP server, before the backend. */
void sb_ports_free(struct sb_ports *ports);

/** Is the target a port's? */
enum sb_http_relays sb_ports_relays(struct sb_str target);
/** Relays a request that is. */
void sb_ports_relay(struct sb_ports *ports, struct sb_http_request *request);
