#pragma once
#include <stdbool.h>
#include <stdint.h>

/** A token bucket in one number (the generic cell rate algorithm): when it would be full again.
 *  Zeroed: full. */
struct sb_bucket {
    uint64_t full_ns; /* monotonic */
};

/** How a rate stands, or a quota; for the trailers of a call. */
struct sb_rate {
    uint64_t limit; /* requests at once, or the quota; 0: there is none */
    uint64_t remaining;
    uint64_t reset_ms; /* until all of it is there again */
    uint64_t retry_ms; /* until one more may come; 0: now */
};

/** Takes one token. False: there is none.
 *  @rate  tokens a second, 1..SB_TENANT_RATE_MAX.   @burst  at most that many at once, from 1.
 *  @now_ns  monotonic.   @ret_rate  filled in both cases */
bool sb_bucket_take(struct sb_bucket *bucket,
                    uint64_t rate,
                    uint64_t burst,
                    uint64_t now_ns,
                    struct sb_rate *ret_rate);
