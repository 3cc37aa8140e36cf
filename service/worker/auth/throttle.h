#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/str.h"
#include "service/worker/auth/bucket.h"

enum {
    SB_THROTTLE_SETS = 256,
    SB_THROTTLE_WAYS = 4,
    SB_THROTTLE_BURST = 10, /* failures of one peer at once */
    SB_THROTTLE_RATE = 1,   /* and then a second */
};

/** Counts the failures of each peer, in bounded memory: where too many peers fail, the one that is
 *  nearest to being forgiven is forgotten. */
struct sb_throttle {
    struct sb_hash_key key;
    struct {
        uint64_t peer; /* its hash */
        struct sb_bucket bucket;
    } slots[SB_THROTTLE_SETS][SB_THROTTLE_WAYS];
};

void sb_throttle_init(struct sb_throttle *throttle);
/** One more failure. False: too many, and ret_rate says for how long. */
bool sb_throttle_fail(struct sb_throttle *throttle,
                      struct sb_str peer,
                      uint64_t now_ns,
                      struct sb_rate *ret_rate);
