#pragma once
/** Pieces of a client's stream, handed on to a file helper.
 *
 *  Theory of operation. One piece is on its way at most: the next message is asked for when the
 *  helper took the last, so a helper that is slow slows its caller down, and nothing piles up. */
#include <stdbool.h>
#include <stddef.h>

#include "service/worker/fileop.h"

struct sb_err;
struct sb_rpc_call;

struct sb_push {
    struct sb_rpc_call *call; /* borrowed */
    struct sb_fileop *op;     /* owned */
    bool is_over;             /* the call was ended */
    bool is_ready;            /* the helper takes a piece */
    bool has_half_closed;
    bool has_committed;
    unsigned char *piece; /* owned; what waits to be sent */
    size_t piece_len;     /* 0: nothing */
};

/** The helper takes something. */
void sb_push_ready(struct sb_push *push);
/** The client sent a piece. SB_INVALID: it is too long. */
int sb_push_take(struct sb_push *push, const void *data, size_t len, struct sb_err *err);
/** The client sends no more. */
void sb_push_half_close(struct sb_push *push);
/** Ends the call, once. */
void sb_push_fail(struct sb_push *push, const struct sb_err *err);
/** Gives up what is still going on. */
void sb_push_done(struct sb_push *push);
