#pragma once
/** SHA-256 (FIPS 180-4) by Nettle. In library sb_sha256. */
#include <nettle/sha2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum { SB_SHA256_BYTES = 32, SB_SHA256_HEX_SIZE = 65 /* with the NUL */ };

/** One under way: sb_sha256_init, any number of sb_sha256_add, sb_sha256_end. */
struct sb_sha256 {
    struct sha256_ctx ctx;
};

void sb_sha256_init(struct sb_sha256 *sum);
void sb_sha256_add(struct sb_sha256 *sum, const void *data, size_t len);
void sb_sha256_end(struct sb_sha256 *sum, uint8_t ret_hash[SB_SHA256_BYTES]);

/** All at once. */
void sb_sha256_of(struct sb_str data, uint8_t ret_hash[SB_SHA256_BYTES]);

/** All at once, as lower-case hexadecimal. */
void sb_sha256_hex(struct sb_str data, char ret_hex[SB_SHA256_HEX_SIZE]);

/** In a time that does not tell where they differ. */
bool sb_sha256_equal(const uint8_t a[SB_SHA256_BYTES], const uint8_t b[SB_SHA256_BYTES]);
