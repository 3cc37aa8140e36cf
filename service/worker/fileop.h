#pragma once
/** One operation on the files of a sandbox, by a helper inside (service/shared/fileproto.h).
 *
 *  Theory of operation. A helper that is not read from blocks in the socket, which holds a few
 *  packets: that is all the flow control reading needs. Writing goes packet by packet, and is told
 *  when the next one fits. Freeing an operation closes the socket; the helper then takes away what
 *  was half written, and ends. Loop thread. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "service/shared/fileproto.h"

struct sb_err;
struct sb_fileframe;
struct sb_fileop;
struct sb_sandbox;

/** What it tells. A callback may free the operation. */
struct sb_fileop_events {
    /** INFO, DATA, MATCH, EVENT or REFUSED. Borrowed. */
    void (*frame)(void *ctx, const struct sb_fileframe *frame);
    /** WRITE, REPLACE, IMPORT: sb_fileop_send takes the next piece. WATCH: what happens from now on
     *  is told. */
    void (*ready)(void *ctx);
    /** Exactly once, last; err->code SB_OK: it is done. @done  counts; zeros on failure. */
    void (*done)(void *ctx, const struct sb_file_done *done, const struct sb_err *err);
};

struct sb_fileop_options {
    struct sb_sandbox *sandbox;
    bool is_ours; /* of the worker itself, before the one exec of a sandbox starts */
    struct sb_file_request request; /* type is filled in */
    struct sb_str path;             /* absolute, less than SB_FILE_MAX_PATH bytes, without NUL */
    struct sb_str second;
    struct sb_str third;
    const struct sb_fileop_events *events; /* static */
    void *ctx;
};

/** Errors: SB_PRECONDITION: the sandbox does not run, or has one exec only; SB_EXHAUSTED: too many
 *  at once; SB_UNAVAILABLE: init does not take requests now. */
int sb_fileop_start(const struct sb_fileop_options *options,
                    struct sb_fileop **ret_op,
                    struct sb_err *err);
/** NULL is fine. */
void sb_fileop_free(struct sb_fileop *op);

/** Sends one piece, 1..SB_FILE_MAX_DATA bytes. False: it was not taken, ready() follows (or
 *  done()). */
bool sb_fileop_send(struct sb_fileop *op, const void *data, size_t len);
/** All pieces were sent. False: as above. */
bool sb_fileop_commit(struct sb_fileop *op);
/** What a REFUSED says of its entry, as text. */
const char *sb_fileop_why(const struct sb_file_failed *failed);
/** Reads no further, or reads on. */
void sb_fileop_pause(struct sb_fileop *op, bool is_paused);
