#pragma once
/** The head of an answer that a server in a sandbox gives (RFC 9112). Whoever wrote it is hostile:
 *  what two readers could understand differently is refused. Pure, for the fuzzer too. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mcp-gateway/http/head.h"

struct sb_err;

enum {
    SB_ANSWER_MAX_FIELDS = 128,
    SB_ANSWER_MAX_BYTES = 32 << 10, /* of a head */
    SB_ANSWER_MAX_INTERIM = 16,     /* 1xx before the answer */
};

enum sb_answer_body {
    SB_ANSWER_NO_BODY,
    SB_ANSWER_SIZED,
    SB_ANSWER_CHUNKED,
    SB_ANSWER_UNTIL_CLOSE,
};

/** What it answers. */
struct sb_answer_asked {
    bool is_head;    /* HEAD: no body, whatever the fields say */
    bool is_upgrade; /* a WebSocket was asked for */
};

struct sb_answer {
    int status; /* 100..599 */
    bool is_http10;
    struct sb_head_field fields[SB_ANSWER_MAX_FIELDS];
    size_t n_fields;
    const char *connection; /* value of Connection; NULL: none. Twice is refused */
    enum sb_answer_body body;
    bool has_length;
    uint64_t length; /* of Content-Length */
};

/** Reads a whole head (sb_head_find_end). @text  changed in place; *ret_answer points into it.
 *  A status below 200 other than 101 is interim: another head follows.
 *  Errors: SB_INVALID; the text says what is wrong. */
int sb_answer_parse(char *text,
                    size_t len,
                    const struct sb_answer_asked *asked,
                    struct sb_answer *ret_answer,
                    struct sb_err *err);
