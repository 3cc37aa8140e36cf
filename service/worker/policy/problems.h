#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

#define SB_PROBLEMS_MAX       20
#define SB_PROBLEMS_TEXT_SIZE 384 /* bytes, with the NUL */

struct sb_err;

/** One thing wrong in a configuration text. */
struct sb_problem {
    unsigned line;                    /* from 1 */
    unsigned column;                  /* from 1, in characters */
    char text[SB_PROBLEMS_TEXT_SIZE]; /* without the place: `unknown key "memroy"; did you mean ...`
                                       */
};

/** Everything wrong in one text, in the order found. Zeroed is empty. Plain bytes. */
struct sb_problems {
    struct sb_problem items[SB_PROBLEMS_MAX];
    size_t n;
    size_t dropped; /* found, but past the maximum */
};

/** Adds one. The text becomes one printable line and is cut to fit. */
void sb_problems_add(struct sb_problems *problems,
                     unsigned line,
                     unsigned column,
                     const char *fmt,
                     ...) __attribute__((format(printf, 4, 5)));

/** Puts them in the order of the text. */
void sb_problems_sort(struct sb_problems *problems);

/** Fills *err (SB_INVALID) with the first: "config.yaml:12:7: unknown key ... (and 3 more
 * problems)".
 *  @problems  not empty. Returns -1. */
int sb_problems_err(const struct sb_problems *problems, const char *file, struct sb_err *err);
