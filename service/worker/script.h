#pragma once
/** A source becomes a program of a sandbox: how each language is compiled and run.
 *
 *  Theory of operation. A source that fits into an argument travels as one, which costs nothing. A
 *  longer one is a file of the exec's own below /tmp, written before the program starts; what runs
 * it takes it away where it can, and behaves the same. Where the compiled program is to be kept
 * (many runs of one program), source, compiler and program are apart: sb_script_split. */
#include <stdbool.h>
#include <stddef.h>

#include "proto/json/language.h"
#include "service/worker/stage/stage.h"

struct sb_err;
struct sb_policy;

enum {
    SB_SCRIPT_MAX_SOURCE = 1 << 20,  /* bytes */
    SB_SCRIPT_MAX_INLINE = 16 << 10, /* of those that travel as an argument */
};

/** What is to be run; all texts are its own. */
struct sb_script {
    char **args; /* owned block, ends with NULL; NULL: nothing to run */
    size_t n_args;
};

void sb_script_done(struct sb_script *script);

/** @source  without NUL.   @args  of the program.   @token  of the file's name, unique in the
 * sandbox.
 *  @stage  takes the file of a long source; *stage is made when it is NULL then.
 *  Errors: SB_INVALID; SB_EXHAUSTED. */
int sb_script_make(enum sb_language language,
                   struct sb_str source,
                   char *const *args,
                   size_t n_args,
                   const char *token,
                   struct sb_budget *budget,
                   struct sb_stage **stage,
                   struct sb_script *ret_script,
                   struct sb_err *err);

/** The source as a file of @directory, which is added to @stage; how it is compiled there
 *  (ret_compile->args NULL: it is not), and how the result is run.
 *  @directory  "/workspace". Errors: as above. */
int sb_script_split(enum sb_language language,
                    struct sb_str source,
                    char *const *args,
                    size_t n_args,
                    const char *directory,
                    struct sb_stage *stage,
                    struct sb_script *ret_compile,
                    struct sb_script *ret_run,
                    struct sb_err *err);

/** Whether a sandbox of the policy can run the language at all.
 *  Errors: SB_PRECONDITION: the text says what is missing, and names the profile that has it. */
int sb_script_check(enum sb_language language, const struct sb_policy *policy, struct sb_err *err);
