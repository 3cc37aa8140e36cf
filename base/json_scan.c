/* Theory of operation. One pass over the text with a stack of open arrays and objects instead of
 * recursion; each step reads one token and checks it against what the innermost level expects. Keys
 * are compared as written after their escapes are undone, so "a" and "\u0061" are the same key. */
#include "base/json_scan.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/map.h"
#include "base/utf8.h"

#define DEPTH_MAX 64

enum expect {
    EXPECT_VALUE,
    EXPECT_VALUE_OR_END, /* just after "[" */
    EXPECT_KEY,
    EXPECT_KEY_OR_END, /* just after "{" */
    EXPECT_COMMA_OR_END,
    EXPECT_NOTHING, /* the one value is complete */
};

struct scan {
    struct sb_str text;
    size_t at;
    const struct sb_json_scan_limits *limits;
    size_t values;
    enum expect expect;
    unsigned depth;
    char open[DEPTH_MAX];        /* '[' or '{' */
    uint32_t objects[DEPTH_MAX]; /* their numbers */
    uint32_t n_objects;
    struct sb_map keys;   /* of all objects: the key and the number of its object */
    struct sb_buf string; /* the last string, escapes undone */
};

static int fail(const struct scan *s, struct sb_err *err, const char *what)
{
    unsigned line = 1;
    unsigned column = 1;
    for (size_t i = 0; i < s->at && i < s->text.len; i++) {
        column++;
        if (s->text.ptr[i] == '\n') {
            line++;
            column = 1;
        }
    }
    return sb_err_set(err, SB_INVALID, "line %u, column %u: %s", line, column, what);
}

/* The byte at offset n from here, or -1 at the end. */
static int peek(const struct scan *s, size_t n)
{
    return n < s->text.len - s->at ? (unsigned char)s->text.ptr[s->at + n] : -1;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

/* ---- strings ---- */

static bool read_hex4(const struct scan *s, size_t offset, uint32_t *ret_value)
{
    uint32_t value = 0;
    for (size_t i = 0; i < 4; i++) {
        int c = peek(s, offset + i);
        int lower = c | 0x20;
        if (is_digit(c)) {
            value = value * 16 + (uint32_t)(c - '0');
        } else if (lower >= 'a' && lower <= 'f') {
            value = value * 16 + (uint32_t)(lower - 'a') + 10;
        } else {
            return false;
        }
    }
    *ret_value = value;
    return true;
}

static int append_code_point(struct sb_buf *out, uint32_t c)
{
    char bytes[4];
    size_t n = 0;
    if (c < 0x80) {
        bytes[n++] = (char)c;
    } else if (c < 0x800) {
        bytes[n++] = (char)(0xc0 | (c >> 6));
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        bytes[n++] = (char)(0xe0 | (c >> 12));
        bytes[n++] = (char)(0x80 | ((c >> 6) & 0x3f));
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    } else {
        bytes[n++] = (char)(0xf0 | (c >> 18));
        bytes[n++] = (char)(0x80 | ((c >> 12) & 0x3f));
        bytes[n++] = (char)(0x80 | ((c >> 6) & 0x3f));
        bytes[n++] = (char)(0x80 | (c & 0x3f));
    }
    return sb_buf_append(out, bytes, n);
}

/* At "\u" */
static int scan_unicode(struct scan *s, struct sb_err *err)
{
    uint32_t c = 0;
    uint32_t low = 0;
    if (!read_hex4(s, 2, &c)) {
        return fail(s, err, "\\u needs four hexadecimal digits");
    }
    if (c == 0) {
        return fail(s, err, "\\u0000 is not allowed");
    }
    size_t used = 6;
    if (c >= 0xd800 && c <= 0xdfff) {
        if (c > 0xdbff || peek(s, 6) != '\\' || peek(s, 7) != 'u' || !read_hex4(s, 8, &low) ||
            low < 0xdc00 || low > 0xdfff) {
            return fail(s, err, "half of a surrogate pair");
        }
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        used = 12;
    }
    s->at += used;
    return append_code_point(&s->string, c) < 0 ? sb_err_sys(err, errno, "JSON string") : 0;
}

/* At a backslash */
static int scan_escape(struct scan *s, struct sb_err *err)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    int c = peek(s, 1);
    if (c == 'u') {
        return scan_unicode(s, err);
    }
    const char *name = c <= 0 ? NULL : strchr(names, c);
    if (name == NULL) {
        return fail(s, err, "no such escape");
    }
    s->at += 2;
    return sb_buf_append_byte(&s->string, values[name - names]) < 0
               ? sb_err_sys(err, errno, "JSON string")
               : 0;
}

/* Bytes that stand for themselves. */
static size_t plain_len(struct sb_str text)
{
    size_t n = 0;
    while (n < text.len && text.ptr[n] != '"' && text.ptr[n] != '\\' &&
           (unsigned char)text.ptr[n] >= ' ') {
        n++;
    }
    return n;
}

/* At the opening quote; s->string is the text. UTF-8 was checked for the whole. */
static int scan_string(struct scan *s, struct sb_err *err)
{
    sb_buf_clear(&s->string);
    s->at++;
    for (;;) {
        int c = peek(s, 0);
        if (c == '"') {
            s->at++;
            return 0;
        }
        if (c < ' ') {
            return fail(s, err,
                        c < 0 ? "the string does not end" : "control character in a string");
        }
        if (c == '\\') {
            if (scan_escape(s, err) < 0) {
                return -1;
            }
            continue;
        }
        size_t n = plain_len(sb_str_skip(s->text, s->at));
        if (sb_buf_append(&s->string, s->text.ptr + s->at, n) < 0) {
            return sb_err_sys(err, errno, "JSON string");
        }
        s->at += n;
    }
}

/* ---- other scalars ---- */

static size_t skip_digits(const struct scan *s, size_t offset)
{
    while (is_digit(peek(s, offset))) {
        offset++;
    }
    return offset;
}

static int scan_number(struct scan *s, struct sb_err *err)
{
    size_t n = peek(s, 0) == '-' ? 1 : 0;
    size_t start = n;
    n = skip_digits(s, n);
    if (n == start || (n > start + 1 && peek(s, start) == '0')) {
        return fail(s, err, "not a JSON value");
    }
    if (peek(s, n) == '.') {
        start = n + 1;
        n = skip_digits(s, start);
        if (n == start) {
            return fail(s, err, "digits are missing after the point");
        }
    }
    if (peek(s, n) == 'e' || peek(s, n) == 'E') {
        start = n + 1;
        start += peek(s, start) == '+' || peek(s, start) == '-';
        n = skip_digits(s, start);
        if (n == start) {
            return fail(s, err, "digits are missing in the exponent");
        }
    }
    s->at += n;
    return 0;
}

static int scan_word(struct scan *s, struct sb_err *err)
{
    static const struct sb_str words[] = {SB_STR("true"), SB_STR("false"), SB_STR("null")};
    struct sb_str rest = sb_str_skip(s->text, s->at);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (sb_str_starts_with(rest, words[i])) {
            s->at += words[i].len;
            return 0;
        }
    }
    return scan_number(s, err);
}

/* ---- structure ---- */

static void value_done(struct scan *s)
{
    s->expect = s->depth == 0 ? EXPECT_NOTHING : EXPECT_COMMA_OR_END;
}

static int scan_open(struct scan *s, char c, struct sb_err *err)
{
    if (s->depth == s->limits->depth || s->depth == DEPTH_MAX) {
        return fail(s, err, "nested too deeply");
    }
    s->objects[s->depth] = s->n_objects++;
    s->open[s->depth++] = c;
    s->at++;
    s->expect = c == '[' ? EXPECT_VALUE_OR_END : EXPECT_KEY_OR_END;
    return 0;
}

static void scan_close(struct scan *s)
{
    s->depth--;
    s->at++;
    value_done(s);
}

static bool closes(const struct scan *s, int c)
{
    return s->depth > 0 && c == (s->open[s->depth - 1] == '[' ? ']' : '}');
}

static int scan_value(struct scan *s, struct sb_err *err)
{
    int c = peek(s, 0);
    if (s->expect == EXPECT_VALUE_OR_END && c == ']') {
        scan_close(s);
        return 0;
    }
    if (++s->values > s->limits->values) {
        return fail(s, err, "too many values");
    }
    if (c == '[' || c == '{') {
        return scan_open(s, (char)c, err);
    }
    if ((c == '"' ? scan_string(s, err) : scan_word(s, err)) < 0) {
        return -1;
    }
    value_done(s);
    return 0;
}

static void skip_blanks(struct scan *s)
{
    while (s->at < s->text.len && memchr(" \t\r\n", s->text.ptr[s->at], 4) != NULL) {
        s->at++;
    }
}

static int scan_key(struct scan *s, struct sb_err *err)
{
    static int present;
    int c = peek(s, 0);
    if (s->expect == EXPECT_KEY_OR_END && c == '}') {
        scan_close(s);
        return 0;
    }
    if (c != '"') {
        return fail(s, err, "a key in quotes is expected");
    }
    size_t start = s->at;
    if (scan_string(s, err) < 0) {
        return -1;
    }
    const uint32_t *object = &s->objects[s->depth - 1];
    if (sb_buf_append(&s->string, object, sizeof *object) < 0) {
        return sb_err_sys(err, errno, "JSON string");
    }
    if (sb_map_put(&s->keys, sb_buf_str(&s->string), &present, err) < 0) {
        if (err->code != SB_EXISTS) {
            return -1;
        }
        s->at = start;
        return fail(s, err, "the same key twice in one object");
    }
    skip_blanks(s);
    if (peek(s, 0) != ':') {
        return fail(s, err, "\":\" is expected");
    }
    s->at++;
    s->expect = EXPECT_VALUE;
    return 0;
}

static int scan_comma(struct scan *s, struct sb_err *err)
{
    int c = peek(s, 0);
    if (closes(s, c)) {
        scan_close(s);
        return 0;
    }
    if (c != ',') {
        return fail(s, err,
                    s->open[s->depth - 1] == '[' ? "\",\" or \"]\" is expected"
                                                 : "\",\" or \"}\" is expected");
    }
    s->at++;
    s->expect = s->open[s->depth - 1] == '[' ? EXPECT_VALUE : EXPECT_KEY;
    return 0;
}

static int scan_step(struct scan *s, struct sb_err *err)
{
    if (s->at == s->text.len) {
        return fail(s, err, "the text ends too early");
    }
    switch (s->expect) {
    case EXPECT_VALUE:
    case EXPECT_VALUE_OR_END:
        return scan_value(s, err);
    case EXPECT_KEY:
    case EXPECT_KEY_OR_END:
        return scan_key(s, err);
    case EXPECT_COMMA_OR_END:
        return scan_comma(s, err);
    case EXPECT_NOTHING:
        break;
    }
    return fail(s, err, "something follows the value");
}

static void done_scan(struct scan *s)
{
    sb_map_done(&s->keys);
    sb_buf_done(&s->string);
}

int sb_json_scan(struct sb_str text, const struct sb_json_scan_limits *limits, struct sb_err *err)
{
    SB_CLEANUP(done_scan)
    struct scan s = {.text = text,
                     .limits = limits,
                     .expect = EXPECT_VALUE,
                     .string = {.max = limits->bytes + sizeof(uint32_t)}};
    sb_map_init(&s.keys, limits->values + 1);
    if (text.len > limits->bytes) {
        return sb_err_set(err, SB_INVALID, "longer than %zu bytes", limits->bytes);
    }
    if (!sb_utf8_valid(text.ptr, text.len)) {
        return sb_err_set(err, SB_INVALID, "not UTF-8");
    }
    for (;;) {
        skip_blanks(&s);
        if (s.expect == EXPECT_NOTHING && s.at == text.len) {
            return 0;
        }
        if (scan_step(&s, err) < 0) {
            return -1;
        }
    }
}
