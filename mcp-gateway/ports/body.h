#pragma once
/** The body of an answer, as bytes without their framing. Pure, for the fuzzer too. */
#include "base/str.h"
#include "mcp-gateway/http/chunked.h"
#include "mcp-gateway/ports/answer.h"

struct sb_answer_reader {
    enum sb_answer_body kind;
    uint64_t left; /* SIZED */
    struct sb_chunked chunked;
    bool is_done;
};

void sb_answer_reader_init(struct sb_answer_reader *reader, const struct sb_answer *answer);
/** Takes some of the bytes, at least one unless more must come first. *ret_piece: those that belong
 *  to the body, in place; may be empty. Returns how many were taken, 0: more must come, or it is
 *  done. -1: SB_INVALID. */
int sb_answer_read(struct sb_answer_reader *reader,
                   struct sb_str bytes,
                   struct sb_str *ret_piece,
                   struct sb_err *err);
/** The server sends no more. False: the body was cut. */
bool sb_answer_end(struct sb_answer_reader *reader);
