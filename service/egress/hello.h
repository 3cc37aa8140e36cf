#pragma once
/** The first bytes that a client sends through a tunnel, judged before they are passed on. */
#include <stdint.h>

#include "base/str.h"
#include "service/egress/rules.h"

enum { SB_HELLO_TLS_PORT = 443 }; /* nothing but TLS is taken there */

/** TLS, on any port, has to ask for the host that the tunnel leads to; where that is an address,
 *  for no name that is denied. Returns 1: pass on; 0: more bytes are needed; -1: *ret_refusal.
 *  @ret_name  set with 1: what it asks for; name "": nothing. */
int sb_hello_check(const struct sb_rules *rules,
                   const struct sb_host *host,
                   uint16_t port,
                   struct sb_str bytes,
                   struct sb_host *ret_name,
                   struct sb_refusal *ret_refusal);

/** May TLS ask for @name through a tunnel to @host? For when the rules are others than they were.
 *  Returns 1, or -1 with *ret_refusal. */
int sb_hello_check_name(const struct sb_rules *rules,
                        const struct sb_host *host,
                        uint16_t port,
                        const struct sb_host *name,
                        struct sb_refusal *ret_refusal);
