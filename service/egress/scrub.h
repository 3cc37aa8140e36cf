#pragma once
/** Takes secrets out of what comes back: each is written over by what stands for it, byte for byte,
 *  so that no length changes. */
#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

enum { SB_SCRUB_PAIRS = 48 };

/** Texts and what they are written over with; borrowed. */
struct sb_scrub {
    struct {
        struct sb_str from; /* not empty */
        struct sb_str to;   /* its first from.len bytes are used; "x" where it is shorter */
    } pairs[SB_SCRUB_PAIRS];
    size_t n;
};

/** False: there is no room for more. */
bool sb_scrub_add(struct sb_scrub *scrub, struct sb_str from, struct sb_str to);

/** Writes over what it finds in the bytes. Returns how many of them are clean: behind those begins
 *  what may be a secret of which the rest has not come. Call again with those and more.
 *  @is_end  no more comes: all are clean. */
size_t sb_scrub_pass(const struct sb_scrub *scrub, char *bytes, size_t len, bool is_end);
