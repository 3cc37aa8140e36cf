#include "mcp-gateway/http/chunked.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"

enum { MAX_LINE = 256, MAX_DIGITS = 8, MAX_TRAILERS = 8 << 10 };

/* Length of the line with CR LF; 0: not whole; -1: bad. */
static int line_length(const char *bytes, size_t len, struct sb_err *err)
{
    size_t seen = len < MAX_LINE ? len : MAX_LINE;
    const char *lf = memchr(bytes, '\n', seen);
    if (lf == NULL) {
        return seen == MAX_LINE ? sb_err_set(err, SB_INVALID, "a chunk's line is too long") : 0;
    }
    if (lf == bytes || lf[-1] != '\r') {
        return sb_err_set(err, SB_INVALID, "a chunk's line does not end with CR LF");
    }
    return (int)(lf - bytes) + 1;
}

static int read_size(const char *line, int len, uint64_t *ret_size, struct sb_err *err)
{
    uint64_t size = 0;
    int at = 0;
    for (; at < len; at++) {
        char c = line[at];
        char low = (char)(c | 0x20);
        int digit = c >= '0' && c <= '9' ? c - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
        if (digit < 0) {
            break;
        }
        size = size << 4 | (uint64_t)digit;
        if (at == MAX_DIGITS) {
            return sb_err_set(err, SB_INVALID, "a chunk's size has too many digits");
        }
    }
    if (at == 0 || (at < len && line[at] != ';')) {
        return sb_err_set(err, SB_INVALID, "a chunk's size is not hexadecimal");
    }
    for (; at < len; at++) {
        unsigned char c = (unsigned char)line[at];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return sb_err_set(err, SB_INVALID, "a chunk's line has a control character");
        }
    }
    *ret_size = size;
    return 0;
}

static int take_line(struct sb_chunked *chunked, const char *bytes, size_t len, struct sb_err *err)
{
    int taken = line_length(bytes, len, err);
    if (taken <= 0) {
        return taken;
    }
    if (chunked->state == SB_CHUNKED_SIZE) {
        if (read_size(bytes, taken - 2, &chunked->left, err) < 0) {
            return -1;
        }
        chunked->state = chunked->left == 0 ? SB_CHUNKED_LAST : SB_CHUNKED_DATA;
        return taken;
    }
    if (taken != 2 && chunked->state == SB_CHUNKED_LAST && chunked->drops_trailers) {
        chunked->trailer_bytes += (size_t)taken;
        return chunked->trailer_bytes <= MAX_TRAILERS
                   ? taken
                   : sb_err_set(err, SB_INVALID, "the trailers are too long");
    }
    if (taken != 2) {
        return sb_err_set(err, SB_INVALID,
                          chunked->state == SB_CHUNKED_LAST ? "trailers are not taken here"
                                                            : "a chunk is longer than its size");
    }
    chunked->state = chunked->state == SB_CHUNKED_LAST ? SB_CHUNKED_DONE : SB_CHUNKED_SIZE;
    return taken;
}

int sb_chunked_step(struct sb_chunked *chunked,
                    const char *bytes,
                    size_t len,
                    struct sb_str *ret_piece,
                    struct sb_err *err)
{
    *ret_piece = sb_str_of(bytes, 0);
    if (len == 0 || chunked->state == SB_CHUNKED_DONE) {
        return 0;
    }
    if (chunked->state != SB_CHUNKED_DATA) {
        return take_line(chunked, bytes, len, err);
    }
    size_t n = len < INT_MAX / 2 ? len : INT_MAX / 2;
    n = n < chunked->left ? n : (size_t)chunked->left;
    *ret_piece = sb_str_of(bytes, n);
    chunked->left -= n;
    chunked->state = chunked->left == 0 ? SB_CHUNKED_DATA_END : SB_CHUNKED_DATA;
    return (int)n;
}

int sb_chunked_take(struct sb_chunked *chunked,
                    const char *bytes,
                    size_t len,
                    struct sb_buf *body,
                    struct sb_err *err)
{
    size_t at = 0;
    while (at < len && at < INT_MAX / 2) {
        struct sb_str piece;
        struct sb_chunked before = *chunked;
        int taken = sb_chunked_step(chunked, bytes + at, len - at, &piece, err);
        if (taken < 0) {
            return -1;
        }
        if (taken == 0) {
            break;
        }
        if (sb_buf_append_str(body, piece) < 0) {
            *chunked = before;
            return sb_err_sys(err, errno, "the body");
        }
        at += (size_t)taken;
    }
    return (int)at;
}
