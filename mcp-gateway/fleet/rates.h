#pragma once
/** How many calls a tenant or a key makes in a second, through all gateways to all workers.
 *
 *  Theory of operation. Rates are the workers' (auth.tenants of their config.yaml), and each counts
 *  alone, so that before n workers a rate is n times what was meant. A worker tells with each call
 *  that it admits which rates its caller has (the trailer "x-aisbx-rates"); from then on a gateway
 *  with a shared store takes a token there before it asks a worker. Of a credential that no worker
 *  has admitted yet nothing is known and nothing is asked: a stranger never reaches the store.
 * While the store is away the workers count alone. */
#include <stdbool.h>

#include "mcp-gateway/shared/shared.h"

struct sb_fleet_call;
struct sb_leg;
struct sb_rates;
struct sb_rates_ask;

enum { SB_RATES_KNOWN = 4096 }; /* credentials; those not used longest go first */

int sb_rates_new(struct sb_rates **ret_rates, struct sb_err *err);
void sb_rates_free(struct sb_rates *rates);

/** What "RATE BURST KEY_RATE KEY_BURST TENANT" says. @key  hash of the caller's key; "": it has
 *  none.   Returns how many buckets there are; 0: none, or the text is none of a worker's. */
size_t sb_rates_read(struct sb_str text,
                     const char *key,
                     struct sb_shared_bucket ret_buckets[SB_SHARED_BUCKETS]);

/** True: the store is being asked; the call is routed again, or fails, later. False: it may go. */
bool sb_rates_ask(struct sb_fleet_call *call);
/** What its worker told of the caller, at the end of a call. */
void sb_rates_learn(struct sb_fleet_call *call, const struct sb_leg *leg, const struct sb_err *err);
/** Of a call that was refused; NULL: no such trailer. */
const char *sb_rates_trailer(const struct sb_rates_ask *ask, const char *key);
void sb_rates_ask_free(struct sb_rates_ask *ask);
