#pragma once
/** What all gateways before the same workers know together, in a Valkey or Redis that they share.
 *
 *  Theory of operation. A gateway keeps nothing, and workers keep each its own; so two things are
 *  only as good as memories of workers, or as their number: that a call with a request_id is begun
 *  once, and how many calls a tenant or a key makes in a second. With a store both are one entry
 *  there, read and written by a script that the store runs as one step:
 *
 *    aisbx:claim:HASH            the worker that a call with this request_id went to; 24 hours
 *    aisbx:rate:tenant:NAME      when that bucket would be full again (GCRA, microseconds of the
 *    aisbx:rate:key:HASH         store's clock); until it is
 *
 *  Nothing else is kept there, no credential and nothing of a call but hashes. url.h says where it
 *  is, resp.h what it may say, wire.h how it is reached. One thread. Callbacks run from the loop,
 *  never from inside the functions below. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "base/str.h"

struct event_base;
struct sb_err;
struct sb_shared;
struct sb_shared_ask;

/** Files are PEM; NULL: none. All borrowed for as long as the gateway lives. */
struct sb_shared_options {
    const char *url;           /* url.h; NULL: $AISBX_SHARED_STORE; neither: there is no store */
    const char *password_file; /* NULL: $AISBX_SHARED_STORE_PASSWORD, or the URL's */
    const char *ca;            /* NULL: the system's authorities */
    const char *cert;
    const char *key;
    bool goes_on_without; /* calls with a request_id while it is away; false: UNAVAILABLE */
};

/** The URL in force; NULL: there is no store. */
const char *sb_shared_url(const struct sb_shared_options *options);

/** Begins to connect. Errors: SB_INVALID: the URL or a file; SB_EXHAUSTED. */
int sb_shared_new(const struct sb_shared_options *options,
                  struct event_base *base,
                  struct sb_shared **ret_shared,
                  struct sb_err *err);
/** Questions that live are answered with SB_CANCELLED. NULL is fine. */
void sb_shared_free(struct sb_shared *shared);
/** Nothing is called any more. */
void sb_shared_forget(struct sb_shared_ask *ask);

/* ---- claims ---- */

enum { SB_SHARED_HASH_SIZE = 65 }; /* hexadecimal, with the NUL */

/** Who calls what: the name of an entry. @credential  "": none.   Errors: SB_INTERNAL. */
int sb_shared_hash(const char *credential,
                   const char *method,
                   const char *request_id,
                   char ret_hash[SB_SHARED_HASH_SIZE],
                   struct sb_err *err);

/** @err  SB_OK, and owner is the worker that has it; or SB_UNAVAILABLE. */
typedef void sb_shared_claimed(void *ctx, const char *owner, const struct sb_err *err);
/** Remembers that a call goes to @owner, unless it went somewhere before.
 *  NULL: SB_UNAVAILABLE, SB_EXHAUSTED; then nothing is called. */
struct sb_shared_ask *sb_shared_claim(struct sb_shared *shared,
                                      const char *hash,
                                      const char *owner,
                                      sb_shared_claimed *claimed,
                                      void *ctx,
                                      struct sb_err *err);
/** Forgets that, when it is that worker's: before whatever is asked after it. */
void sb_shared_release(struct sb_shared *shared, const char *hash, const char *owner);
/** Whether calls with a request_id go on while the store is away. */
bool sb_shared_goes_on_without(const struct sb_shared *shared);

/* ---- rates ---- */

/** A bucket: rate tokens a second, burst at once; both from 1. */
struct sb_shared_bucket {
    char name[SB_SHARED_HASH_SIZE + 16]; /* "tenant:NAME", "key:HASH" */
    uint64_t rate;
    uint64_t burst;
};

enum { SB_SHARED_BUCKETS = 2 };

/** How the bucket that is nearest to its end stands. */
struct sb_shared_rate {
    bool has_token;
    unsigned bucket; /* which; of those that were given */
    uint64_t remaining;
    uint64_t reset_ms;
    uint64_t retry_ms; /* 0: now */
};

/** @err  SB_OK, or SB_UNAVAILABLE. */
typedef void
sb_shared_taken(void *ctx, const struct sb_shared_rate *rate, const struct sb_err *err);
/** Takes a token of each of @buckets, or of none. @n  1..SB_SHARED_BUCKETS. Errors: as claim. */
struct sb_shared_ask *sb_shared_take(struct sb_shared *shared,
                                     const struct sb_shared_bucket *buckets,
                                     size_t n,
                                     sb_shared_taken *taken,
                                     void *ctx,
                                     struct sb_err *err);

/* ---- how it is ---- */

enum sb_shared_act { SB_SHARED_CLAIM, SB_SHARED_RELEASE, SB_SHARED_TAKE, SB_SHARED_ACTS_ };
enum sb_shared_end { SB_SHARED_DONE, SB_SHARED_FAILED, SB_SHARED_ENDS_ };
enum { SB_SHARED_BOUNDS = 8 };

struct sb_shared_stats {
    bool is_up;
    const char *trouble; /* for anybody: why it is not; "" */
    uint64_t n[SB_SHARED_ACTS_][SB_SHARED_ENDS_];
    uint64_t buckets[SB_SHARED_BOUNDS + 1]; /* answers by time, those below sb_shared_bounds */
    uint64_t n_answers;
    uint64_t sum_us;
};

extern const char *const sb_shared_acts[SB_SHARED_ACTS_];
extern const char *const sb_shared_ends[SB_SHARED_ENDS_];
extern const double sb_shared_bounds[SB_SHARED_BOUNDS]; /* seconds */

void sb_shared_tell(const struct sb_shared *shared, struct sb_shared_stats *ret_stats);
