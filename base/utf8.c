#include "base/utf8.h"

#include <assert.h>

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

/* Rows of table 3-7 of the Unicode standard. The range of the second byte is what keeps out
 * overlong forms (E0, F0), surrogates (ED) and numbers above U+10FFFF (F4). */
static const struct {
    uint8_t lead_min;
    uint8_t lead_max;
    uint8_t tail; /* bytes after the lead */
    uint8_t second_min;
    uint8_t second_max;
    uint8_t lead_mask; /* bits of the lead that belong to the code point */
} sequences[] = {
    {0x00, 0x7F, 0, 0x00, 0x00, 0x7F}, {0xC2, 0xDF, 1, 0x80, 0xBF, 0x1F},
    {0xE0, 0xE0, 2, 0xA0, 0xBF, 0x0F}, {0xE1, 0xEC, 2, 0x80, 0xBF, 0x0F},
    {0xED, 0xED, 2, 0x80, 0x9F, 0x0F}, {0xEE, 0xEF, 2, 0x80, 0xBF, 0x0F},
    {0xF0, 0xF0, 3, 0x90, 0xBF, 0x07}, {0xF1, 0xF3, 3, 0x80, 0xBF, 0x07},
    {0xF4, 0xF4, 3, 0x80, 0x8F, 0x07},
};

/* Code points that move the cursor, hide text, reorder it or end a line. */
static const struct {
    int32_t first;
    int32_t last;
} unprintable[] = {
    {0x0000, 0x001F},   /* C0 controls */
    {0x007F, 0x009F},   /* DEL, C1 controls */
    {0x00AD, 0x00AD},   /* soft hyphen */
    {0x061C, 0x061C},   /* Arabic letter mark */
    {0x200B, 0x200F},   /* zero-width space and joiners, direction marks */
    {0x2028, 0x202E},   /* line and paragraph separators, direction overrides */
    {0x2060, 0x206F},   /* invisible operators, direction isolates */
    {0xFEFF, 0xFEFF},   /* byte order mark */
    {0xFFF0, 0xFFFB},   /* interlinear annotation */
    {0xFFFE, 0xFFFF},   /* not characters */
    {0xE0000, 0xE0FFF}, /* tags */
};

/* Length of the well-formed sequence at p, 0 when there is none. */
static size_t decode(const uint8_t *p, size_t len, int32_t *ret_code_point)
{
    size_t row = 0;
    while (p[0] > sequences[row].lead_max) {
        row++;
        if (row == sizeof sequences / sizeof sequences[0]) {
            return 0;
        }
    }
    size_t tail = sequences[row].tail;
    if (p[0] < sequences[row].lead_min || tail >= len) {
        return 0;
    }
    int32_t code_point = p[0] & sequences[row].lead_mask;
    for (size_t i = 1; i <= tail; i++) {
        uint8_t min = i == 1 ? sequences[row].second_min : 0x80;
        uint8_t max = i == 1 ? sequences[row].second_max : 0xBF;
        if (p[i] < min || p[i] > max) {
            return 0;
        }
        code_point = code_point * 64 + (p[i] & 0x3F);
    }
    *ret_code_point = code_point;
    return tail + 1;
}

int32_t sb_utf8_next(struct sb_str *text)
{
    assert(text->len > 0);
    int32_t code_point = -1;
    size_t n = decode((const uint8_t *)text->ptr, text->len, &code_point);
    if (n == 0) {
        n = 1;
    }
    text->ptr += n;
    text->len -= n;
    return code_point;
}

bool sb_utf8_valid(const void *ptr, size_t len)
{
    struct sb_str rest = sb_str_of(ptr, len);
    while (rest.len > 0) {
        if (sb_utf8_next(&rest) < 0) {
            return false;
        }
    }
    return true;
}

bool sb_utf8_printable(int32_t code_point)
{
    if (code_point < 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof unprintable / sizeof unprintable[0]; i++) {
        if (code_point >= unprintable[i].first && code_point <= unprintable[i].last) {
            return false;
        }
    }
    return true;
}

bool sb_utf8_all_printable(struct sb_str text)
{
    while (text.len > 0) {
        if (!sb_utf8_printable(sb_utf8_next(&text))) {
            return false;
        }
    }
    return true;
}

static bool may_stay(int32_t code_point, enum sb_utf8_keep keep)
{
    bool is_layout = code_point == '\n' || code_point == '\t';
    return is_layout ? keep == SB_UTF8_KEEP_LINES : sb_utf8_printable(code_point);
}

size_t sb_utf8_sanitize(char *out, size_t cap, struct sb_str text, enum sb_utf8_keep keep)
{
    assert(cap > 0);
    size_t len = 0;
    while (text.len > 0) {
        struct sb_str before = text;
        int32_t code_point = sb_utf8_next(&text);
        struct sb_str piece = sb_str_head(before, before.len - text.len);
        if (!may_stay(code_point, keep)) {
            piece = SB_STR(REPLACEMENT);
        }
        if (piece.len > cap - 1 - len) {
            break;
        }
        memcpy(out + len, piece.ptr, piece.len);
        len += piece.len;
    }
    out[len] = '\0';
    return len;
}
