#pragma once
/** System calls that a sandbox made and that nothing refused, by number. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SB_LEARNT_MAX = 512 }; /* numbers; Linux has fewer */

/** Zeroed memory is an empty table. */
struct sb_learnt {
    uint32_t counts[SB_LEARNT_MAX]; /* stop at their largest value */
};

/** Counts one; numbers that no system call has are left out. */
void sb_learnt_add(struct sb_learnt *learnt, int number);
bool sb_learnt_has(const struct sb_learnt *learnt, int number);
