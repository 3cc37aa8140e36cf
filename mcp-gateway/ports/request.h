#pragma once
/** The head that a server in a sandbox gets. */
#include "base/buf.h"

struct sb_http_request;
struct sb_port_place;

/** Appends it. *ret_upgrades: it asks for a WebSocket. -1: no room. */
int sb_ports_request(const struct sb_http_request *request,
                     const struct sb_port_place *place,
                     struct sb_buf *out,
                     bool *ret_upgrades);
