#pragma once
#include <stddef.h>
#include <stdint.h>

#include "service/shared/argcmp.h"

/* The two tables that no profile can change. */

enum { SB_FLOOR_MAX_ARGS = 2 };

/** One refusal: the call @name, when all conditions hold. */
struct sb_floor_rule {
    const char *name;
    uint16_t error; /* errno it gives */
    uint8_t n_args;
    struct sb_argcmp args[SB_FLOOR_MAX_ARGS];
};

/** What is refused whatever a profile says. */
extern const struct sb_floor_rule sb_floor_rules[];
extern const size_t sb_floor_n_rules;

/** Calls init needs, and with them every job: allowed unless a rule of the profile or of the floor
 *  refuses them. */
extern const char *const sb_floor_init_calls[];
extern const size_t sb_floor_n_init_calls;

/** Number of a call on this architecture, at most 1023; negative: not known here. Knows calls that
 *  are newer than libseccomp. */
int sb_floor_resolve(const char *name);
/** Name of that call, for free(); NULL: not known here, or out of memory. */
char *sb_floor_name(int number);
