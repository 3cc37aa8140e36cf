#include "base/trace.h"

#include <string.h>

/* version-id-span-flags, each in hex. */
enum { AT_ID = 3, AT_SPAN = 36, AT_FLAGS = 53, LENGTH = 55 };

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Lower case alone. */
static bool read_hex(const char *text, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int high = digit_of(text[2 * i]);
        int low = digit_of(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool is_zero(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static bool has_form(struct sb_str text, uint8_t version)
{
    bool has_dashes =
        text.ptr[AT_ID - 1] == '-' && text.ptr[AT_SPAN - 1] == '-' && text.ptr[AT_FLAGS - 1] == '-';
    bool has_length = text.len == LENGTH || (version > 0 && text.len <= SB_TRACE_MAX_PARENT_BYTES &&
                                             text.ptr[LENGTH] == '-');
    return version != 0xff && has_dashes && has_length;
}

bool sb_trace_parse(struct sb_str text, struct sb_trace *ret_trace)
{
    struct sb_trace trace;
    uint8_t version = 0;
    memset(ret_trace, 0, sizeof *ret_trace);
    if (text.len < LENGTH || !read_hex(text.ptr, &version, 1) || !has_form(text, version) ||
        !read_hex(text.ptr + AT_ID, trace.trace_id, sizeof trace.trace_id) ||
        !read_hex(text.ptr + AT_SPAN, trace.span_id, sizeof trace.span_id) ||
        !read_hex(text.ptr + AT_FLAGS, &trace.flags, 1) ||
        is_zero(trace.trace_id, sizeof trace.trace_id) ||
        is_zero(trace.span_id, sizeof trace.span_id)) {
        return false;
    }
    trace.flags &= SB_TRACE_SAMPLED | SB_TRACE_RANDOM;
    *ret_trace = trace;
    return true;
}

static char *put_hex(char *at, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        *at++ = digits[bytes[i] >> 4];
        *at++ = digits[bytes[i] & 15];
    }
    return at;
}

const char *sb_trace_format(const struct sb_trace *trace, char out[SB_TRACE_TEXT_SIZE])
{
    char *at = out;
    *at++ = '0';
    *at++ = '0';
    *at++ = '-';
    at = put_hex(at, trace->trace_id, sizeof trace->trace_id);
    *at++ = '-';
    at = put_hex(at, trace->span_id, sizeof trace->span_id);
    *at++ = '-';
    at = put_hex(at, &trace->flags, 1);
    *at = '\0';
    return out;
}

const char *sb_trace_format_id(const struct sb_trace *trace, char out[SB_TRACE_ID_TEXT_SIZE])
{
    *put_hex(out, trace->trace_id, sizeof trace->trace_id) = '\0';
    return out;
}

/* ---- tracestate ---- */

enum { MAX_KEY_BYTES = 256, MAX_VALUE_BYTES = 256 };

static bool is_key(struct sb_str key)
{
    bool begins_well = key.len > 0 && ((key.ptr[0] >= 'a' && key.ptr[0] <= 'z') ||
                                       (key.ptr[0] >= '0' && key.ptr[0] <= '9'));
    size_t n_at = 0;
    for (size_t i = 0; i < key.len; i++) {
        char c = key.ptr[i];
        bool is_word =
            (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || memchr("_-*/@", c, 5) != NULL;
        n_at += c == '@';
        if (!is_word) {
            return false;
        }
    }
    return begins_well && key.len <= MAX_KEY_BYTES && n_at <= 1 && key.ptr[key.len - 1] != '@';
}

static bool is_value(struct sb_str value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c < ' ' || c > '~' || c == '=') {
            return false;
        }
    }
    return value.len > 0 && value.len <= MAX_VALUE_BYTES;
}

bool sb_trace_state_is_good(struct sb_str text)
{
    struct sb_str rest = text;
    struct sb_str member;
    size_t n = 0;
    if (text.len == 0 || text.len > SB_TRACE_MAX_STATE_BYTES) {
        return false;
    }
    while (sb_str_next(&rest, ',', &member)) {
        struct sb_str key;
        struct sb_str value;
        while (member.len > 0 && member.ptr[0] == ' ') { /* a tab cannot travel as metadata */
            member = sb_str_skip(member, 1);
        }
        while (member.len > 0 && member.ptr[member.len - 1] == ' ') {
            member.len--;
        }
        if (member.len == 0) {
            continue; /* allowed, and not counted */
        }
        if (++n > SB_TRACE_MAX_STATE_MEMBERS || !sb_str_split(member, '=', &key, &value) ||
            !is_key(key) || !is_value(value)) {
            return false;
        }
    }
    return n > 0;
}
