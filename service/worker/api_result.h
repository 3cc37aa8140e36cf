#pragma once
/** What an exec came to, in one message: of Run and of RunBatch. Loop thread. */
#include <stdbool.h>
#include <stddef.h>

#include "aisbx/v1/sandbox_service.pb-c.h"

struct sb_budget;
struct sb_err;
struct sb_exec;
struct sb_stage;

enum {
    SB_API_RESULT_OUTPUT = 64 << 10,    /* bytes of each stream, when nobody says how many */
    SB_API_RESULT_MAX_OUTPUT = 1 << 20, /* bytes */
    SB_API_RESULT_MAX_FILES = 1 << 20,  /* bytes of files that go in, or come out, with a call */
    SB_API_RESULT_FILES = 64,
};

/** @exec  has its verdict.   @max_output  bytes of each stream.   @files  that were brought back;
 *  NULL: none.
 *  Returns a heap message; NULL with err. Errors: SB_EXHAUSTED; of the spool. */
Aisbx__V1__RunResponse *sb_api_result(const struct sb_exec *exec,
                                      size_t max_output,
                                      bool is_here,
                                      const struct sb_stage *files,
                                      struct sb_err *err);

/** The files of a call as a stage; NULL when there are none.
 *  Errors: SB_INVALID naming the field; SB_EXHAUSTED. */
int sb_api_result_stage(Aisbx__V1__InlineFile *const *files,
                        size_t n_files,
                        struct sb_budget *budget,
                        struct sb_stage **ret_stage,
                        struct sb_err *err);
/** Paths that a call wants back, checked and made absolute: an owned list of owned texts.
 *  Errors: SB_INVALID naming the field; SB_EXHAUSTED. */
int sb_api_result_paths(char *const *fetch, size_t n_fetch, char ***ret_paths, struct sb_err *err);
void sb_api_result_free_paths(char **paths, size_t n);
