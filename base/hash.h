#pragma once
#include <stddef.h>
#include <stdint.h>

/** Secret of one table, so that outsiders cannot choose keys that collide. */
struct sb_hash_key {
    uint64_t k0;
    uint64_t k1;
};

/** Random key. Falls back to address and clock bits when the kernel has no randomness to give. */
struct sb_hash_key sb_hash_key_random(void);

/** SipHash-1-3: for tables, not for authentication. @data  may be NULL when len is 0. */
uint64_t sb_hash_sip13(struct sb_hash_key key, const void *data, size_t len);
