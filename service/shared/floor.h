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

/** What of a call init needs, and with it every job: allowed unless a rule of the profile or of the
 *  floor refuses it. */
enum sb_floor_need {
    SB_FLOOR_NOT_NEEDED,
    SB_FLOOR_NEEDS_SOME, /* with the arguments of sb_floor_init_args alone */
    SB_FLOOR_NEEDS_ALL,
};
enum sb_floor_need sb_floor_need(const char *name);

/** Calls that init needs whatever their arguments are. */
extern const char *const sb_floor_init_calls[];
extern const size_t sb_floor_n_init_calls;

/** Calls of which one argument says what they do, with what init needs of them. */
extern const struct sb_floor_init_arg {
    const char *name;
    struct sb_argcmp arg;
} sb_floor_init_args[];
extern const size_t sb_floor_n_init_args;

/** Number of a call on this architecture, at most 1023; negative: not known here. Knows calls that
 *  are newer than libseccomp. */
int sb_floor_resolve(const char *name);
/** Name of that call, for free(); NULL: not known here, or out of memory. */
char *sb_floor_name(int number);
