#pragma once
/** Pages of lists: opaque tokens that hold where the last page ended, and for which question. */
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/str.h"

struct sb_err;

#define SB_PAGE_TOKEN_SIZE 33 /* bytes, with the NUL */

/** Secret of this worker's life, so that tokens cannot be made up. */
struct sb_page_key {
    struct sb_hash_key key;
};

/** @cursor  sequence number of the last item shown (never 0).   @question  hash of who asks for
 * what. */
void sb_page_token(const struct sb_page_key *key,
                   uint64_t cursor,
                   uint64_t question,
                   char ret_token[SB_PAGE_TOKEN_SIZE]);

/** @token  empty: the first page, *ret_cursor UINT64_MAX. Items with a smaller number follow.
 *  SB_INVALID: not one of ours, or for another question. */
int sb_page_cursor(const struct sb_page_key *key,
                   struct sb_str token,
                   uint64_t question,
                   uint64_t *ret_cursor,
                   struct sb_err *err);

/** Items on a page: 0 asks for 50, more than SB_MAX_PAGE is SB_MAX_PAGE. */
size_t sb_page_size(uint32_t wanted);
