#pragma once
/** Keys in the worker's database. */
#include <stdbool.h>

struct sb_err;
struct sb_key;
struct sb_keys;
struct sb_store;

/** Reads all of them; before the store is started. Errors: as sb_store_fail; SB_EXHAUSTED. */
int sb_key_store_load(struct sb_store *store, struct sb_keys *keys, struct sb_err *err);

/** Writes the key as it is now, new or not.
 *  @done  loop thread, once, when 0 was returned: err NULL: it is committed. NULL: nobody waits.
 *  Errors: SB_UNAVAILABLE. */
int sb_key_store_put(struct sb_store *store,
                     const struct sb_key *key,
                     void (*done)(void *ctx, const struct sb_err *err),
                     void *ctx,
                     struct sb_err *err);
