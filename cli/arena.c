#include "cli/arena.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

struct sb_arena_block {
    struct sb_arena_block *next;
    max_align_t data[];
};

void *sb_arena_alloc(struct sb_arena *arena, size_t n, size_t size, struct sb_err *err)
{
    size_t bytes;
    struct sb_arena_block *block = NULL;
    if (!__builtin_mul_overflow(n, size, &bytes) &&
        !__builtin_add_overflow(bytes, sizeof *block, &bytes)) {
        block = calloc(1, bytes);
    }
    if (block == NULL) {
        (void)sb_err_oom(err);
        return NULL;
    }
    block->next = arena->blocks;
    arena->blocks = block;
    return block->data;
}

char *sb_arena_text(struct sb_arena *arena, struct sb_str text, struct sb_err *err)
{
    return sb_arena_join(arena, text, SB_STR(""), err);
}

char *sb_arena_join(struct sb_arena *arena, struct sb_str a, struct sb_str b, struct sb_err *err)
{
    char *text = sb_arena_alloc(arena, a.len + b.len + 1, 1, err);
    if (text != NULL) {
        memcpy(text, a.len == 0 ? "" : a.ptr, a.len);
        memcpy(text + a.len, b.len == 0 ? "" : b.ptr, b.len);
    }
    return text;
}

void sb_arena_done(struct sb_arena *arena)
{
    while (arena->blocks != NULL) {
        struct sb_arena_block *block = arena->blocks;
        arena->blocks = block->next;
        free(block);
    }
}
