#include "service/worker/page.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "service/worker/limits.h"

enum { DEFAULT_PAGE = 50 };

static uint64_t seal(const struct sb_page_key *key, uint64_t cursor, uint64_t question)
{
    const uint64_t sealed[2] = {cursor, question};
    return sb_hash_sip13(key->key, sealed, sizeof sealed);
}

void sb_page_token(const struct sb_page_key *key,
                   uint64_t cursor,
                   uint64_t question,
                   char ret_token[SB_PAGE_TOKEN_SIZE])
{
    uint64_t mac = seal(key, cursor, question);
    (void)snprintf(ret_token, SB_PAGE_TOKEN_SIZE, "%016" PRIx64 "%016" PRIx64, cursor ^ mac, mac);
}

static int read_hex(const char *text, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (int i = 0; i < 16; i++) {
        const char *digit = strchr("0123456789abcdef", text[i]);
        if (digit == NULL || *digit == '\0') {
            return -1;
        }
        value = value << 4 | (uint64_t)(*digit - (*digit >= 'a' ? 'a' - 10 : '0'));
    }
    *ret_value = value;
    return 0;
}

int sb_page_cursor(const struct sb_page_key *key,
                   struct sb_str token,
                   uint64_t question,
                   uint64_t *ret_cursor,
                   struct sb_err *err)
{
    if (token.len == 0) {
        *ret_cursor = UINT64_MAX;
        return 0;
    }
    uint64_t hidden = 0;
    uint64_t mac = 0;
    if (token.len != 32 || read_hex(token.ptr, &hidden) < 0 || read_hex(token.ptr + 16, &mac) < 0 ||
        seal(key, hidden ^ mac, question) != mac) {
        return sb_err_set(err, SB_INVALID,
                          "page_token: not a token of this list (use next_page_token of the page "
                          "before, with the same filters)");
    }
    *ret_cursor = hidden ^ mac;
    return 0;
}

size_t sb_page_size(uint32_t wanted)
{
    if (wanted == 0) {
        return DEFAULT_PAGE;
    }
    return wanted < SB_MAX_PAGE ? wanted : SB_MAX_PAGE;
}
