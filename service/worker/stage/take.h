#pragma once
/** Reads files of a sandbox into a stage: those that are named, or all below a directory. What
 * comes is the job's, so it is bounded and believed nothing. Loop thread. */
#include <stdbool.h>

#include "service/worker/stage/stage.h"

struct sb_err;
struct sb_sandbox;
struct sb_take;

struct sb_take_options {
    struct sb_sandbox *sandbox; /* runs */
    /** Absolute paths inside, copied; those that are not there are left out. */
    char *const *paths;
    size_t n_paths;
    /** Instead of paths: all regular files below it, with their permissions; NULL: none. */
    const char *directory;
    size_t max_bytes; /* together; at most SB_STAGE_MAX_BYTES */
    bool is_lenient;  /* a file that cannot be had is noted in errors of the stage */
};

/** Exactly once, never from inside sb_take_start. @stage  NULL with err->code; else borrowed: take
 * a reference. May free. */
typedef void sb_take_done_fn(void *ctx, struct sb_stage *stage, const struct sb_err *err);

/** Errors: of sb_fileop_start. */
int sb_take_start(const struct sb_take_options *options,
                  sb_take_done_fn *done,
                  void *ctx,
                  struct sb_take **ret_take,
                  struct sb_err *err);
/** Ends it, done or not. NULL is fine. */
void sb_take_free(struct sb_take *take);
