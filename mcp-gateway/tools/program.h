#pragma once
/** What a tool runs: a source, which the worker knows how to run, or a shell's command. */
#include <stddef.h>

struct cJSON;

enum { SB_PROGRAM_MAX_ARGS = 64 + 8 };

struct sb_program {
    const char *profile;  /* that the language wants, when nobody names one */
    const char *language; /* NULL: args are all of it */
    const char *source;
    char *args[SB_PROGRAM_MAX_ARGS];
    size_t n_args;
};

/** @language  one of the schema's.  @args  list of strings, or NULL. All borrowed. */
void sb_program_of_code(const char *language,
                        const char *code,
                        const struct cJSON *args,
                        struct sb_program *ret_program);
void sb_program_of_shell(const char *command, struct sb_program *ret_program);
