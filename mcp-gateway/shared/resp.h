#pragma once
/** What a Redis or Valkey server says, by hiredis' reader, bounded.
 *
 *  Nothing that we ask for has a list as its answer, nor one of more than SB_RESP_TEXT bytes: so a
 *  server that sends such things is none of ours, and cannot make us keep them. */
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct sb_err;
struct sb_resp;

enum {
    SB_RESP_TEXT = 1024,    /* bytes of one answer */
    SB_RESP_PENDING = 4096, /* bytes that are no whole answer yet */
};

enum sb_resp_kind {
    SB_RESP_TEXT_IS,   /* text: a string or a status */
    SB_RESP_ERROR_IS,  /* text: "NOSCRIPT No matching script" */
    SB_RESP_NUMBER_IS, /* number */
    SB_RESP_NOTHING_IS,
};

struct sb_resp_answer {
    enum sb_resp_kind kind;
    struct sb_str text; /* borrowed until the next one */
    long long number;
};

/** NULL: memory is out. */
struct sb_resp *sb_resp_new(void);
void sb_resp_free(struct sb_resp *resp);
/** Takes bytes as they come; sb_resp_next is to be called until it has no more.
 *  @bytes  at most SB_RESP_PENDING a time.   Errors: SB_EXHAUSTED. */
int sb_resp_feed(struct sb_resp *resp, const void *bytes, size_t n, struct sb_err *err);
/** 1: *ret_answer is the next one; 0: there is none yet.
 *  Errors: SB_INVALID: this is no such protocol, or more than we ever ask for; it stays so. */
int sb_resp_next(struct sb_resp *resp, struct sb_resp_answer *ret_answer, struct sb_err *err);

/** One command. The result is heap memory. NULL: memory is out. */
char *sb_resp_command(const struct sb_str *words, size_t n, size_t *ret_len);
