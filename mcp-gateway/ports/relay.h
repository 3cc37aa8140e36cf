#pragma once
/** Private to mcp-gateway/ports: one request on its way. */
#include "base/list.h"
#include "mcp-gateway/ports/ports.h"

struct sb_ports {
    struct sb_ports_options options;
    struct sb_list relays; /* that still have a request or a call */
};

struct sb_port_place;

/** Starts it; the request is answered now or later. */
void sb_relay_start(struct sb_ports *ports,
                    struct sb_http_request *request,
                    const struct sb_port_place *place);
/** Its call is cancelled, its request forgotten; done() still frees it. */
void sb_relay_leave(struct sb_list *node);
