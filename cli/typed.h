#pragma once
/** Watches what is typed for the way out of an attached program: "~." at the beginning of a line,
 *  as in ssh. "~~" there is one "~" for the program. */
#include <stdbool.h>
#include <stddef.h>

enum sb_typed_state { SB_TYPED_BEGIN, SB_TYPED_TILDE, SB_TYPED_WITHIN };

struct sb_typed {
    enum sb_typed_state state;
};

#define SB_TYPED_INIT ((struct sb_typed){SB_TYPED_BEGIN})

/** Takes len bytes.
 *  @out  gets what is for the program: room for len + 1 bytes; *ret_len of them.
 *  Returns true when the way out was typed; what follows it is dropped. */
bool sb_typed_take(
    struct sb_typed *typed, const char *data, size_t len, char *out, size_t *ret_len);
