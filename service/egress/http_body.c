#include "service/egress/http_body.h"

#include <string.h>

#include "base/err.h"
#include "base/mutate.h"
#include "base/num.h"

enum { SIZE_DIGITS = 12 }; /* of a chunk: up to 256 TiB */

void sb_http_body_start(struct sb_http_body_reader *reader, const struct sb_http_head *head)
{
    *reader = (struct sb_http_body_reader){.state = SB_HTTP_BODY_DONE};
    if (head->body == SB_HTTP_CHUNKED) {
        reader->is_chunked = true;
        reader->state = SB_HTTP_BODY_SIZE;
    } else if (head->body == SB_HTTP_LENGTH && head->body_bytes > 0) {
        reader->left = head->body_bytes;
        reader->state = SB_HTTP_BODY_DATA;
    }
}

/* "hex digits CR LF", and nothing else. */
static ptrdiff_t
take_size(struct sb_http_body_reader *reader, struct sb_str bytes, struct sb_err *err)
{
    uint64_t size = 0;
    size_t n = 0;
    while (n < bytes.len && n <= SIZE_DIGITS && sb_num_hex_digit(bytes.ptr[n]) >= 0) {
        size = size << 4 | (uint64_t)sb_num_hex_digit(bytes.ptr[n]);
        n++;
    }
    bool is_bad = n > SIZE_DIGITS || (n == 0 && bytes.len > 0) ||
                  (bytes.len > n && bytes.ptr[n] != '\r') ||
                  (bytes.len > n + 1 && bytes.ptr[n + 1] != '\n');
    if (is_bad) {
        return sb_err_set(err, SB_INVALID, "the size of a chunk is not a plain number");
    }
    if (bytes.len < n + 2) {
        return 0;
    }
    reader->left = size;
    reader->state = size == 0 ? SB_HTTP_BODY_LAST : SB_HTTP_BODY_DATA;
    return (ptrdiff_t)n + 2;
}

static ptrdiff_t take_line_end(struct sb_http_body_reader *reader,
                               struct sb_str bytes,
                               enum sb_http_body_state next,
                               struct sb_err *err)
{
    size_t n = bytes.len < 2 ? bytes.len : 2;
    if (n > 0 && !sb_mutated("egress.chunk-end") && memcmp(bytes.ptr, "\r\n", n) != 0) {
        return sb_err_set(err, SB_INVALID, "a chunk does not end in CR LF, or a trailer follows");
    }
    if (n < 2) {
        return 0;
    }
    reader->state = next;
    return 2;
}

ptrdiff_t
sb_http_body_take(struct sb_http_body_reader *reader, struct sb_str bytes, struct sb_err *err)
{
    switch (reader->state) {
    case SB_HTTP_BODY_DATA: {
        size_t n = reader->left < bytes.len ? (size_t)reader->left : bytes.len;
        reader->left -= n;
        if (reader->left == 0) {
            reader->state = reader->is_chunked ? SB_HTTP_BODY_AFTER : SB_HTTP_BODY_DONE;
        }
        return (ptrdiff_t)n;
    }
    case SB_HTTP_BODY_SIZE:
        return take_size(reader, bytes, err);
    case SB_HTTP_BODY_AFTER:
        return take_line_end(reader, bytes, SB_HTTP_BODY_SIZE, err);
    case SB_HTTP_BODY_LAST:
        return take_line_end(reader, bytes, SB_HTTP_BODY_DONE, err);
    case SB_HTTP_BODY_DONE:
        return 0;
    }
    return 0;
}
