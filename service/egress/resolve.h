#pragma once
/** Names to addresses, by the name servers of /etc/resolv.conf and by /etc/hosts (evdns of
 *  libevent: one thread, no NSS modules, nothing cached, no search domains). Only names that rules
 *  permit get here. A name server that stopped answering is probed by evdns with a name of its own
 *  ("google.com"). */
#include <stddef.h>

#include "base/addr.h"

struct event_base;
struct sb_err;
struct sb_lookup;
struct sb_resolver;

/** @n  0: @why says what failed. */
typedef void
sb_resolve_fn(void *ctx, const unsigned char (*addresses)[SB_ADDR_SIZE], size_t n, const char *why);

/** @server  "address:port" to ask instead of what the system says; NULL: none.
 *  Errors: SB_INVALID, SB_EXHAUSTED. */
int sb_resolver_new(struct event_base *base,
                    const char *server,
                    struct sb_resolver **ret_resolver,
                    struct sb_err *err);
void sb_resolver_free(struct sb_resolver *resolver);

/** Calls @fn once, perhaps before it returns; then the lookup is gone.
 *  @ret_lookup  NULL when fn was called already. Errors: SB_EXHAUSTED; fn is not called. */
int sb_resolve(struct sb_resolver *resolver,
               const char *name,
               sb_resolve_fn *fn,
               void *ctx,
               struct sb_lookup **ret_lookup,
               struct sb_err *err);
/** fn will not be called. NULL is nothing. */
void sb_resolve_cancel(struct sb_lookup *lookup);
