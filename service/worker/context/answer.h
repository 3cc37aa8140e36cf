#pragma once
/** What an interpreter says, on the way from descriptor 3 of its process.
 *
 *  A frame is one byte of kind, four of length (little-endian), and that many of payload:
 *
 *      'H'  ready                     nothing
 *      'R'  a value                   flags, length of the type, MIME type, data
 *      'E'  an error                  name, value and lines of the traceback, a NUL between them
 *      'D'  the piece is over         its status, four bytes (little-endian)
 *
 *  The other way goes nothing but code, each piece with a NUL behind it. The sender is a program in
 * a sandbox: a frame that is anything else ends it. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct sb_err;

enum {
    SB_ANSWER_MAX_DATA = 1 << 20, /* bytes of a value, and of an error */
    SB_ANSWER_MAX_MIME = 127,     /* bytes */
    SB_ANSWER_MAX_LINES = 256,    /* of a traceback */
    SB_ANSWER_MAX = SB_ANSWER_MAX_DATA + SB_ANSWER_MAX_MIME + 7, /* bytes of a frame */
};

enum sb_answer_kind {
    SB_ANSWER_READY = 'H',
    SB_ANSWER_RESULT = 'R',
    SB_ANSWER_ERROR = 'E',
    SB_ANSWER_DONE = 'D',
};

/** All texts lie in the bytes it was read from, and are UTF-8 without NUL. */
struct sb_answer {
    enum sb_answer_kind kind;

    bool is_main;       /* a value: of the last expression */
    bool is_other_form; /* a value: the one before once more, in another form */
    struct sb_str mime;
    struct sb_str data; /* UTF-8 when the type is a text's */

    struct sb_str name; /* an error */
    struct sb_str value;
    struct sb_str lines[SB_ANSWER_MAX_LINES];
    size_t n_lines;

    uint32_t status; /* a piece: 0 when it ran through */
};

/** Reads the first frame.
 *  @ret_len  its bytes.
 *  Returns 1; 0: there is less than a frame, and the first of the bytes may become one; -1 with
 *  SB_INVALID: never. */
int sb_answer_read(struct sb_str bytes,
                   struct sb_answer *ret_answer,
                   size_t *ret_len,
                   struct sb_err *err);
