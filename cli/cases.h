#pragma once
/** The cases of a judge's folder: NAME.in with what a program reads, and beside it NAME.out (or
 *  NAME.ans) with what it has to print, if that is known. */
#include <stddef.h>

#include "cli/arena.h"

struct sb_err;

struct sb_cases_item {
    char *name; /* without the ending */
    char *input;
    char *expected; /* path; NULL: not known */
};

struct sb_cases {
    struct sb_cases_item *items; /* by name, numbers by their value; memory is the arena's */
    size_t n;
};

/** Errors: by errno; SB_INVALID: no case, a name that is too long. */
int sb_cases_find(struct sb_cases *ret_cases,
                  const char *dir,
                  struct sb_arena *arena,
                  struct sb_err *err);
