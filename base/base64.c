#include "base/base64.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/out.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum { GROUPS = 256 }; /* that are written at once */

void sb_base64_put(struct sb_out *out, struct sb_str data)
{
    char text[GROUPS * 4];
    size_t len = 0;
    for (size_t at = 0; at < data.len; at += 3) {
        size_t n = data.len - at < 3 ? data.len - at : 3;
        uint32_t bits = 0;
        for (size_t i = 0; i < 3; i++) {
            bits = bits << 8 | (i < n ? (unsigned char)data.ptr[at + i] : 0U);
        }
        for (size_t i = 0; i < 4; i++) {
            text[len++] = i <= n ? alphabet[bits >> (18 - 6 * i) & 63] : '=';
        }
        if (len == sizeof text) {
            sb_out_write(out, text, len);
            len = 0;
        }
    }
    sb_out_write(out, text, len);
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four characters with n of them meant. */
static bool decode_group(const char *text, size_t n, char bytes[3])
{
    uint32_t bits = 0;
    for (size_t i = 0; i < 4; i++) {
        int value = i < n ? value_of(text[i]) : 0;
        if (value < 0) {
            return false;
        }
        bits = bits << 6 | (uint32_t)value;
    }
    bytes[0] = (char)(bits >> 16 & 255);
    bytes[1] = (char)(bits >> 8 & 255);
    bytes[2] = (char)(bits & 255);
    return (bits & ((1U << (8 * (4 - n))) - 1)) == 0; /* bits that no byte takes */
}

int sb_base64_decode(struct sb_str text, struct sb_buf *buf)
{
    size_t before = buf->len;
    for (size_t at = 0; at < text.len; at += 4) {
        char bytes[3];
        size_t n = 4;
        if (text.len - at == 4 && text.ptr[at + 3] == '=') {
            n = text.ptr[at + 2] == '=' ? 2 : 3;
        }
        if (text.len - at < 4 || !decode_group(text.ptr + at, n, bytes)) {
            sb_buf_truncate(buf, before);
            errno = EINVAL;
            return -1;
        }
        if (sb_buf_append(buf, bytes, n - 1) < 0) {
            int saved = errno;
            sb_buf_truncate(buf, before);
            errno = saved;
            return -1;
        }
    }
    return 0;
}
