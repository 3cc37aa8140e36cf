#include "mcp-gateway/ports/body.h"

#include <limits.h>
#include <string.h>

void sb_answer_reader_init(struct sb_answer_reader *reader, const struct sb_answer *answer)
{
    memset(reader, 0, sizeof *reader);
    reader->kind = answer->body;
    reader->left = answer->length;
    reader->chunked.drops_trailers = true;
    reader->is_done = answer->body == SB_ANSWER_NO_BODY ||
                      (answer->body == SB_ANSWER_SIZED && answer->length == 0);
}

static int
read_sized(struct sb_answer_reader *reader, struct sb_str bytes, struct sb_str *ret_piece)
{
    size_t n = bytes.len < reader->left ? bytes.len : (size_t)reader->left;
    *ret_piece = sb_str_head(bytes, n);
    reader->left -= n;
    reader->is_done = reader->left == 0;
    return (int)n;
}

int sb_answer_read(struct sb_answer_reader *reader,
                   struct sb_str bytes,
                   struct sb_str *ret_piece,
                   struct sb_err *err)
{
    *ret_piece = sb_str_head(bytes, 0);
    bytes = sb_str_head(bytes, INT_MAX / 2);
    if (reader->is_done || bytes.len == 0) {
        return 0;
    }
    switch (reader->kind) {
    case SB_ANSWER_SIZED:
        return read_sized(reader, bytes, ret_piece);
    case SB_ANSWER_UNTIL_CLOSE:
        *ret_piece = bytes;
        return (int)bytes.len;
    case SB_ANSWER_CHUNKED: {
        int taken = sb_chunked_step(&reader->chunked, bytes.ptr, bytes.len, ret_piece, err);
        reader->is_done = reader->chunked.state == SB_CHUNKED_DONE;
        return taken;
    }
    case SB_ANSWER_NO_BODY:
    default:
        return 0;
    }
}

bool sb_answer_end(struct sb_answer_reader *reader)
{
    reader->is_done = reader->is_done || reader->kind == SB_ANSWER_UNTIL_CLOSE;
    return reader->is_done;
}
