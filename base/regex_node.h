#pragma once
/** Private to base/regex*.c. */
#include "base/regex.h"

enum sb_regex_type {
    SB_REGEX_JUMP,   /* to out */
    SB_REGEX_SPLIT,  /* to out and other */
    SB_REGEX_BYTE,   /* to out by a byte of the set */
    SB_REGEX_ASSERT, /* to out where it holds */
    SB_REGEX_ACCEPT,
};

enum sb_regex_assertion {
    SB_REGEX_BEGIN,
    SB_REGEX_END,
    SB_REGEX_WORD_EDGE,
    SB_REGEX_NO_WORD_EDGE,
    SB_REGEX_WORD_BEGIN,
    SB_REGEX_WORD_END,
};

static inline void sb_regex_set_add(struct sb_regex_set *set, unsigned byte)
{
    set->bits[byte / 64] |= 1ULL << (byte % 64);
}

static inline int sb_regex_set_has(const struct sb_regex_set *set, unsigned byte)
{
    return (set->bits[byte / 64] >> (byte % 64) & 1) != 0;
}

static inline int sb_regex_is_word(unsigned byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_';
}
