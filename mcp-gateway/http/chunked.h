#pragma once
/** The chunked transfer coding of a request's body (RFC 9112, 7.1), without extensions' meaning and
 *  without trailers. Pure, for the fuzzer too. */
#include <stddef.h>
#include <stdint.h>

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
};

/** Takes what it can of the bytes. Returns how many were taken, or -1: SB_INVALID, or SB_EXHAUSTED
 *  when the body outgrows the buffer's maximum. A line is only taken when it is whole; one longer
 *  than 256 bytes is SB_INVALID. */
int sb_chunked_take(struct sb_chunked *chunked,
                    const char *bytes,
                    size_t len,
                    struct sb_buf *body,
                    struct sb_err *err);
