#pragma once
/** State that a client carries for us: it is ours, unchanged, of this caller and for this request,
 *  or it is refused. Not secret. */
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct sb_buf;
struct sb_err;

/** @key, @key_len  of HMAC-SHA256.  @bound  what it is only good for.  @until_ms  real time.
 *  Appends text without blanks to ret_text. Errors: SB_EXHAUSTED, SB_INTERNAL. */
int sb_seal_make(struct sb_str key,
                 struct sb_str bound,
                 struct sb_str state,
                 uint64_t until_ms,
                 struct sb_buf *ret_text,
                 struct sb_err *err);
/** Fills buf; *ret_state is within it. False: not ours, not for this, or too old. */
bool sb_seal_open(struct sb_str key,
                  struct sb_str bound,
                  struct sb_str text,
                  uint64_t now_ms,
                  struct sb_buf *buf,
                  struct sb_str *ret_state);
