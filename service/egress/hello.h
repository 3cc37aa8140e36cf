#pragma once
/** The first bytes that a client sends through a tunnel, judged before they are passed on. */
#include <stdint.h>

#include "base/str.h"
#include "service/egress/rules.h"

enum { SB_HELLO_TLS_PORT = 443 }; /* nothing but TLS is taken there */

/** TLS, on any port, has to ask for the host that the tunnel leads to; where that is an address,
 *  for no name that is denied. Returns 1: pass on; 0: more bytes are needed; -1: *ret_refusal. */
int sb_hello_check(const struct sb_rules *rules,
                   const struct sb_host *host,
                   uint16_t port,
                   struct sb_str bytes,
                   struct sb_refusal *ret_refusal);
