#pragma once
/** One program of a batch, in a sandbox of its own, from its files to what it leaves. Loop thread.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "service/worker/api.h"
#include "service/worker/exec.h"

struct sb_cell;
struct sb_stage;
struct sb_take;
struct sb_worker;

struct sb_cell_options {
    /** Where and what; its target is a new sandbox. */
    struct sb_api_start start;
    const void *stdin_data;
    size_t stdin_len;
    /** Absolute paths to bring back, borrowed as long as the cell; or, when it ends with status 0,
     *  all files below a directory. */
    char *const *fetch;
    size_t n_fetch;
    const char *directory; /* NULL: none */
    /** Something happened: look at is_over. May come from inside sb_cell_start. */
    void (*wake)(void *ctx);
    void *ctx;
};

struct sb_cell {
    struct sb_exec_observer observer;
    struct sb_exec *exec;
    struct sb_take *take;
    struct sb_stage *files; /* what it left; a reference, NULL: nothing was asked for */
    struct sb_err err;      /* not SB_OK: there is no result, or no files of the directory */
    bool is_over;
    struct sb_cell_options options;
};

/** Errors: of sb_api_start_exec. */
int sb_cell_start(struct sb_worker *worker,
                  const struct sb_cell_options *options,
                  struct sb_cell **ret_cell,
                  struct sb_err *err);
/** Ends what still runs, and its sandbox. NULL is fine. */
void sb_cell_free(struct sb_cell *cell);
/** It ended by itself with status 0. */
bool sb_cell_has_succeeded(const struct sb_cell *cell);
