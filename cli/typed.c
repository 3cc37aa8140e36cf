#include "cli/typed.h"

static bool ends_line(char c)
{
    return c == '\r' || c == '\n';
}

bool sb_typed_take(struct sb_typed *typed, const char *data, size_t len, char *out, size_t *ret_len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = data[i];
        if (typed->state == SB_TYPED_BEGIN && c == '~') {
            typed->state = SB_TYPED_TILDE; /* held back until the next byte */
            continue;
        }
        if (typed->state == SB_TYPED_TILDE && c == '.') {
            *ret_len = n;
            return true;
        }
        if (typed->state == SB_TYPED_TILDE && c != '~') {
            out[n++] = '~';
        }
        out[n++] = c;
        typed->state = ends_line(c) ? SB_TYPED_BEGIN : SB_TYPED_WITHIN;
    }
    *ret_len = n;
    return false;
}
