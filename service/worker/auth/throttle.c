#include "service/worker/auth/throttle.h"

void sb_throttle_init(struct sb_throttle *throttle)
{
    *throttle = (struct sb_throttle){.key = sb_hash_key_random()};
}

bool sb_throttle_fail(struct sb_throttle *throttle,
                      struct sb_str peer,
                      uint64_t now_ns,
                      struct sb_rate *ret_rate)
{
    uint64_t hash = sb_hash_sip13(throttle->key, peer.ptr, peer.len);
    unsigned set = (unsigned)(hash % SB_THROTTLE_SETS);
    unsigned chosen = 0;
    for (unsigned i = 0; i < SB_THROTTLE_WAYS; i++) {
        if (throttle->slots[set][i].peer == hash) {
            chosen = i;
            break;
        }
        if (throttle->slots[set][i].bucket.full_ns < throttle->slots[set][chosen].bucket.full_ns) {
            chosen = i;
        }
    }
    if (throttle->slots[set][chosen].peer != hash) {
        throttle->slots[set][chosen].peer = hash;
        throttle->slots[set][chosen].bucket = (struct sb_bucket){0};
    }
    return sb_bucket_take(&throttle->slots[set][chosen].bucket, SB_THROTTLE_RATE, SB_THROTTLE_BURST,
                          now_ns, ret_rate);
}
