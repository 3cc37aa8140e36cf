#pragma once
#include <stddef.h>

#include "base/str.h"

struct sb_err;

/** Memory that lives as long as one command and is freed in one go. Zeroed is empty. */
struct sb_arena {
    struct sb_arena_block *blocks; /* owned */
};

/** Zeroed memory for n things of @size bytes; n may be 0. NULL with SB_EXHAUSTED. */
void *sb_arena_alloc(struct sb_arena *arena, size_t n, size_t size, struct sb_err *err);
/** A NUL-terminated copy. NULL with SB_EXHAUSTED. */
char *sb_arena_text(struct sb_arena *arena, struct sb_str text, struct sb_err *err);
/** The texts joined, NUL-terminated. NULL with SB_EXHAUSTED. */
char *sb_arena_join(struct sb_arena *arena, struct sb_str a, struct sb_str b, struct sb_err *err);

void sb_arena_done(struct sb_arena *arena);
