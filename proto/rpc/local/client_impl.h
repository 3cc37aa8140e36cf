#pragma once
/** What the files of the local transport's client share. Nobody else includes this. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#include "base/err.h"
#include "base/list.h"
#include "proto/rpc/internal.h"
#include "proto/rpc/local/envelope.h"
#include "proto/rpc/local/link.h"

struct sb_local_channel {
    struct sb_rpc_channel base; /* first */
    struct sockaddr_un address;
    unsigned connect_timeout_ms;
    bool lends_nothing;
    bool is_open;
    struct sb_link link;
    uint32_t next_id;
    struct sb_list streams; /* struct sb_local_stream, in_streams */
    struct sb_list due;     /* struct sb_local_stream, in_due */
};

struct sb_local_stream {
    struct sb_rpc_stream base; /* first */
    struct sb_flow flow;
    struct sb_list in_streams;
    struct sb_list in_due;
    uint64_t deadline_ms; /* CLOCK_MONOTONIC; UINT64_MAX: none */
    struct sb_envelope_metadata trailers;
    struct sb_err status; /* final once is_over */
    bool is_reading;
    bool is_half_closed;
    bool is_accepted; /* accepted() is owed */
    bool is_over;     /* the status is known */
};

static inline struct sb_local_channel *sb_local_channel_of(const struct sb_rpc_channel *base)
{
    union {
        const struct sb_rpc_channel *in;
        struct sb_local_channel *out;
    } u = {.in = base};
    return u.out;
}

/* ---- client.c ---- */

/** Sends what it can; a failure closes the link. */
void sb_local_channel_flush(struct sb_local_channel *channel);

/* ---- stream.c ---- */

/** What a frame of the server does. */
extern const struct sb_link_ops sb_local_stream_link_ops;

/** Without an id yet, and in no list. NULL: out of memory. */
struct sb_local_stream *sb_local_stream_new(struct sb_local_channel *channel,
                                            const struct sb_rpc_start *start);
void sb_local_stream_free(struct sb_local_stream *stream);
/** The status is known; done() follows from a turn. */
void sb_local_stream_set_over(struct sb_local_stream *stream, const struct sb_err *status);
/** Ends a stream whatever its state was, unless done() has run. */
void sb_local_stream_give_up(struct sb_local_stream *stream, enum sb_code code, const char *why);
/** Runs done() and frees. */
void sb_local_stream_finish(struct sb_local_stream *stream);
/** Runs the callbacks that are due. */
void sb_local_stream_turn(struct sb_local_stream *stream);
