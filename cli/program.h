#pragma once
#include <stddef.h>

struct sb_err;
struct sb_verb;

/** One program of the command line: what main, help, completion and the manual page are made of. */
struct sb_program {
    const char *name;    /* "aisbx" */
    const char *summary; /* "run programs ..." */
    /* Tables in the order of help, ended by NULL; each is ended by a row without name. */
    const struct sb_verb *const *verbs;
    const char *const *examples;      /* command lines for the overview, ended by NULL */
    const char *const (*statuses)[2]; /* exit statuses: number or range, meaning; ended by NULL */
};

/** The row after @verb, the first one for NULL; NULL: there is none. */
const struct sb_verb *sb_program_next(const struct sb_program *program, const struct sb_verb *verb);

/** The row for words[0], or words[0] and words[1]; *ret_used is how many words its name took.
 *  Errors: SB_INVALID: the text suggests the nearest verb. */
int sb_program_find(const struct sb_program *program,
                    char *const *words,
                    const struct sb_verb **ret_verb,
                    size_t *ret_used,
                    struct sb_err *err);

/** What main does: finds the verb, parses its options by its rows, runs it, says what went wrong.
 *  Returns the exit status. */
int sb_program_main(const struct sb_program *program, int argc, char **argv);
