#include "service/egress/scrub.h"

#include <string.h>

#include "base/mutate.h"

bool sb_scrub_add(struct sb_scrub *scrub, struct sb_str from, struct sb_str to)
{
    if (scrub->n == SB_SCRUB_PAIRS) {
        return false;
    }
    scrub->pairs[scrub->n].from = from;
    scrub->pairs[scrub->n].to = to;
    scrub->n++;
    return true;
}

static void write_over(char *at, struct sb_str from, struct sb_str to)
{
    size_t n = to.len < from.len ? to.len : from.len;
    memcpy(at, to.ptr, n);
    memset(at + n, 'x', from.len - n);
}

/* Of the texts that stand at the front of bytes the longest; "" when there is none.
 * @ret_is_open  one may stand there, of which not all is here. */
static size_t
find_at(const struct sb_scrub *scrub, const char *bytes, size_t len, bool *ret_is_open)
{
    size_t best = SB_SCRUB_PAIRS;
    *ret_is_open = false;
    for (size_t i = 0; i < scrub->n; i++) {
        struct sb_str from = scrub->pairs[i].from;
        size_t n = from.len < len ? from.len : len;
        if (memcmp(bytes, from.ptr, n) != 0) {
            continue;
        }
        if (n < from.len) {
            *ret_is_open = true;
        } else if (best == SB_SCRUB_PAIRS || from.len > scrub->pairs[best].from.len) {
            best = i;
        }
    }
    return best;
}

size_t sb_scrub_pass(const struct sb_scrub *scrub, char *bytes, size_t len, bool is_end)
{
    bool can_start[256] = {false};
    for (size_t i = 0; i < scrub->n; i++) {
        can_start[(unsigned char)scrub->pairs[i].from.ptr[0]] = true;
    }
    if (sb_mutated("egress.secret-answer")) {
        return len;
    }
    size_t at = 0;
    while (at < len) {
        bool is_open = false;
        if (!can_start[(unsigned char)bytes[at]]) {
            at++;
            continue;
        }
        size_t found = find_at(scrub, bytes + at, len - at, &is_open);
        if (is_open && !is_end) { /* a longer one may stand here */
            return at;
        }
        if (found == SB_SCRUB_PAIRS) {
            at++;
            continue;
        }
        struct sb_str from = scrub->pairs[found].from;
        write_over(bytes + at, from, scrub->pairs[found].to);
        at += from.len;
    }
    return len;
}
