#pragma once
/** The chunked transfer coding of a body (RFC 9112, 7.1), without extensions' meaning; trailers are
 *  refused, or dropped. Pure, for the fuzzer too. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct sb_buf;
struct sb_err;

enum sb_chunked_state {
    SB_CHUNKED_SIZE,
    SB_CHUNKED_DATA,
    SB_CHUNKED_DATA_END, /* the CR LF after a chunk */
    SB_CHUNKED_LAST,     /* the empty line after the last */
    SB_CHUNKED_DONE,
};

struct sb_chunked {
    enum sb_chunked_state state;
    uint64_t left; /* of the chunk */
    bool drops_trailers;
    size_t trailer_bytes;
};

/** Takes one line, or the bytes of a chunk that are there: *ret_piece, in place; else it is empty.
 *  Returns how many were taken, 0: more must come, or it is done; or -1: SB_INVALID. */
int sb_chunked_step(struct sb_chunked *chunked,
                    const char *bytes,
                    size_t len,
                    struct sb_str *ret_piece,
                    struct sb_err *err);

/** Takes what it can of the bytes. Returns how many were taken, or -1: SB_INVALID, or SB_EXHAUSTED
 *  when the body outgrows the buffer's maximum. A line is only taken when it is whole; one longer
 *  than 256 bytes is SB_INVALID. */
int sb_chunked_take(struct sb_chunked *chunked,
                    const char *bytes,
                    size_t len,
                    struct sb_buf *body,
                    struct sb_err *err);
