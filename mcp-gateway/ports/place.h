#pragma once
/** Where a request to a port of a sandbox leads:
 *  /api/v1/sandboxes/ID/ports/PORT/REST, or .../PORT/~TOKEN/REST. Pure, for the fuzzer too. */
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define SB_PLACE_TOKEN_MARK "~aisbx_"

/** Parts of the target. */
struct sb_port_place {
    struct sb_str sandbox_id; /* of the form of one */
    uint16_t port;
    struct sb_str token;  /* a key that opens this port alone; empty: none */
    struct sb_str prefix; /* what the server inside does not see; ends before a slash */
    struct sb_str rest;   /* what it does: "/path?query", as it came */
};

/** @target  of a request line, undecoded. False: it leads elsewhere. */
bool sb_port_place_parse(struct sb_str target, struct sb_port_place *ret_place);
