#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/out.h"
#include "base/utf8.h"

static void put_char(struct sb_out *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char shorts[] = {['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
                                  ['\n'] = 'n', ['\r'] = 'r',  ['\t'] = 't'};
    if (c < sizeof shorts && shorts[c] != 0) {
        sb_out_write(out, (char[]){'\\', shorts[c]}, 2);
    } else {
        sb_out_write(out, (char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
    }
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c != '"' && c != '\\' && c != 0x7f;
}

/* Also of C1, which terminals obey in UTF-8, too. */
static bool is_control(int32_t code)
{
    return code >= 0x7f && code < 0xa0;
}

/* Escapes C0, DEL, C1, quote and backslash; replaces bytes that are not UTF-8. */
static void put_quoted(struct sb_out *out, struct sb_str text)
{
    sb_out_put(out, "\"");
    const char *run = text.ptr; /* bytes from here to text.ptr go out as they are */
    while (text.len > 0) {
        const char *at = text.ptr;
        if (is_plain((unsigned char)*at) && (unsigned char)*at < 0x80) { /* most are */
            text.ptr++;
            text.len--;
            continue;
        }
        int32_t code = sb_utf8_next(&text);
        if (code >= 0x80 ? !is_control(code) : code >= 0 && is_plain((unsigned char)code)) {
            continue;
        }
        sb_out_write(out, run, (size_t)(at - run));
        if (code < 0) {
            sb_out_put(out, "\xef\xbf\xbd");
        } else {
            put_char(out, (unsigned char)code);
        }
        run = text.ptr;
    }
    if (text.ptr != NULL && run != NULL) {
        sb_out_write(out, run, (size_t)(text.ptr - run));
    }
    sb_out_put(out, "\"");
}

static void begin(struct sb_json *json, const char *key)
{
    if (json->needs_comma) {
        sb_out_put(json->out, ",");
    }
    json->needs_comma = true;
    if (key != NULL) {
        put_quoted(json->out, sb_str_from(key));
        sb_out_put(json->out, ":");
    }
}

void sb_json_open(struct sb_json *json, const char *key, char bracket)
{
    begin(json, key);
    sb_out_write(json->out, &bracket, 1);
    json->needs_comma = false;
}

void sb_json_close(struct sb_json *json, char bracket)
{
    sb_out_write(json->out, &bracket, 1);
    json->needs_comma = true;
}

void sb_json_str(struct sb_json *json, const char *key, struct sb_str value)
{
    begin(json, key);
    put_quoted(json->out, value);
}

void sb_json_cstr(struct sb_json *json, const char *key, const char *value)
{
    sb_json_str(json, key, sb_str_from(value));
}

void sb_json_u64(struct sb_json *json, const char *key, uint64_t value)
{
    begin(json, key);
    sb_out_printf(json->out, "%" PRIu64, value);
}

void sb_json_i64(struct sb_json *json, const char *key, int64_t value)
{
    begin(json, key);
    sb_out_printf(json->out, "%" PRId64, value);
}

void sb_json_double(struct sb_json *json, const char *key, double value)
{
    if (!isfinite(value)) {
        sb_json_null(json, key); /* JSON has no such number */
        return;
    }
    /* Seventeen digits tell each number from all others, most of them need fewer. */
    char text[32];
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    begin(json, key);
    sb_out_put(json->out, text);
}

void sb_json_bool(struct sb_json *json, const char *key, bool value)
{
    begin(json, key);
    sb_out_put(json->out, value ? "true" : "false");
}

void sb_json_null(struct sb_json *json, const char *key)
{
    begin(json, key);
    sb_out_put(json->out, "null");
}

void sb_json_raw(struct sb_json *json, const char *key, struct sb_str value)
{
    begin(json, key);
    sb_out_write(json->out, value.ptr, value.len);
}

void sb_json_base64(struct sb_json *json, const char *key, struct sb_str data)
{
    begin(json, key);
    sb_out_put(json->out, "\"");
    sb_base64_put(json->out, data);
    sb_out_put(json->out, "\"");
}

void sb_json_key(struct sb_json *json, struct sb_str key)
{
    begin(json, NULL);
    put_quoted(json->out, key);
    sb_out_put(json->out, ":");
    json->needs_comma = false;
}
