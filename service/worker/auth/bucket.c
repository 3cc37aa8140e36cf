#include "service/worker/auth/bucket.h"

enum { NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

static uint64_t up(uint64_t value, uint64_t unit)
{
    return value / unit + (value % unit != 0);
}

bool sb_bucket_take(struct sb_bucket *bucket,
                    uint64_t rate,
                    uint64_t burst,
                    uint64_t now_ns,
                    struct sb_rate *ret_rate)
{
    uint64_t token_ns = NS_PER_S / rate;
    uint64_t most_ns = burst * token_ns; /* what an empty one lacks */
    uint64_t lacks_ns = bucket->full_ns > now_ns ? bucket->full_ns - now_ns : 0;
    lacks_ns = lacks_ns > most_ns ? most_ns : lacks_ns; /* the burst was lowered */
    bool has_token = lacks_ns + token_ns <= most_ns;
    lacks_ns += has_token ? token_ns : 0;
    bucket->full_ns = now_ns + lacks_ns;
    *ret_rate = (struct sb_rate){
        .limit = burst,
        .remaining = (most_ns - lacks_ns) / token_ns,
        .reset_ms = up(lacks_ns, NS_PER_MS),
        .retry_ms = has_token ? 0 : up(lacks_ns + token_ns - most_ns, NS_PER_MS),
    };
    return has_token;
}
