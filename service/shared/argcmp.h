#pragma once
#include <stdint.h>

/* Conditions on the arguments of a system call, as in seccomp_rule_add(3). */

enum sb_argcmp_op {
    SB_ARGCMP_NE,
    SB_ARGCMP_LT,
    SB_ARGCMP_LE,
    SB_ARGCMP_EQ,
    SB_ARGCMP_GE,
    SB_ARGCMP_GT,
    SB_ARGCMP_MASKED_EQ, /* what @value leaves of the argument is @value_two */
};

enum { SB_ARGCMP_MAX = 6 /* arguments of a call */ };

/** One condition; all comparisons are of 64 bits without sign. */
struct sb_argcmp {
    uint8_t arg; /* 0..5 */
    uint8_t op;  /* enum sb_argcmp_op */
    uint64_t value;
    uint64_t value_two; /* MASKED_EQ only */
};
