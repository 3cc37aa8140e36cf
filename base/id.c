#include "base/id.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <sys/random.h>

#include "base/err.h"

#define RANDOM_BYTES 16U
#define DIGITS       26U /* 5 bits each: 130, of which the last 2 are zero */

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

static_assert(SB_ID_SIZE == SB_ID_PREFIX_MAX + DIGITS + 1, "room for prefix, digits and NUL");

static void encode(char *out, const uint8_t *bytes)
{
    for (unsigned i = 0; i < DIGITS; i++) {
        unsigned bit = i * 5U;
        unsigned high = bytes[bit / 8U];
        unsigned low = bit / 8U + 1U < RANDOM_BYTES ? bytes[bit / 8U + 1U] : 0U;
        unsigned window = (high << 8U) | low;
        out[i] = alphabet[(window >> (11U - bit % 8U)) & 31U];
    }
    out[DIGITS] = '\0';
}

int sb_id_make(char out[SB_ID_SIZE], const char *prefix, struct sb_err *err)
{
    assert(strlen(prefix) <= SB_ID_PREFIX_MAX);
    uint8_t bytes[RANDOM_BYTES];
    ssize_t n = 0;
    do { /* up to 256 bytes come whole or not at all */
        n = getrandom(bytes, sizeof bytes, 0);
    } while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof bytes) {
        return sb_err_sys(err, n < 0 ? errno : EIO, "get random bytes");
    }
    encode(stpcpy(out, prefix), bytes);
    return 0;
}

int sb_id_make_kin(char out[SB_ID_SIZE], const char *prefix, const char *kin, struct sb_err *err)
{
    size_t len = strlen(kin);
    assert(len >= DIGITS);
    if (sb_id_make(out, prefix, err) < 0) {
        return -1;
    }
    memcpy(out + strlen(prefix), kin + len - DIGITS, SB_ID_TAG);
    return 0;
}

struct sb_str sb_id_tag(struct sb_str text, const char *prefix)
{
    return sb_id_valid(text, prefix) ? sb_str_of(text.ptr + strlen(prefix), SB_ID_TAG)
                                     : sb_str_of(text.ptr, 0);
}

bool sb_id_valid(struct sb_str text, const char *prefix)
{
    struct sb_str head = sb_str_from(prefix);
    if (!sb_str_starts_with(text, head) || text.len != head.len + DIGITS) {
        return false;
    }
    for (size_t i = head.len; i < text.len; i++) {
        if (text.ptr[i] == '\0' || strchr(alphabet, text.ptr[i]) == NULL) {
            return false;
        }
    }
    size_t last = (size_t)(strchr(alphabet, text.ptr[text.len - 1]) - alphabet);
    return last % 4 == 0;
}
