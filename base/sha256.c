#include "base/sha256.h"

#include <nettle/memops.h>

void sb_sha256_init(struct sb_sha256 *sum)
{
    sha256_init(&sum->ctx);
}

void sb_sha256_add(struct sb_sha256 *sum, const void *data, size_t len)
{
    if (len > 0) {
        sha256_update(&sum->ctx, len, data);
    }
}

void sb_sha256_end(struct sb_sha256 *sum, uint8_t ret_hash[SB_SHA256_BYTES])
{
    sha256_digest(&sum->ctx, SB_SHA256_BYTES, ret_hash);
}

void sb_sha256_of(struct sb_str data, uint8_t ret_hash[SB_SHA256_BYTES])
{
    struct sb_sha256 sum;
    sb_sha256_init(&sum);
    sb_sha256_add(&sum, data.ptr, data.len);
    sb_sha256_end(&sum, ret_hash);
}

void sb_sha256_hex(struct sb_str data, char ret_hex[SB_SHA256_HEX_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t hash[SB_SHA256_BYTES];
    sb_sha256_of(data, hash);
    for (size_t i = 0; i < SB_SHA256_BYTES; i++) {
        ret_hex[2 * i] = digits[hash[i] >> 4];
        ret_hex[2 * i + 1] = digits[hash[i] & 15];
    }
    ret_hex[SB_SHA256_HEX_SIZE - 1] = '\0';
}

bool sb_sha256_equal(const uint8_t a[SB_SHA256_BYTES], const uint8_t b[SB_SHA256_BYTES])
{
    return memeql_sec(a, b, SB_SHA256_BYTES) != 0;
}
