#pragma once
/** Writes the files of a stage into a sandbox, one after the other. Loop thread. */
#include "service/worker/stage/stage.h"

struct sb_err;
struct sb_put;
struct sb_sandbox;

/** Exactly once, never from inside sb_put_start. err->code SB_OK: all are there. May free. */
typedef void sb_put_done_fn(void *ctx, const struct sb_err *err);

/** @sandbox  runs.   @stage  a reference is taken.
 *  Errors: of sb_fileop_start. */
int sb_put_start(struct sb_sandbox *sandbox,
                 struct sb_stage *stage,
                 sb_put_done_fn *done,
                 void *ctx,
                 struct sb_put **ret_put,
                 struct sb_err *err);
/** Ends it, done or not. NULL is fine. */
void sb_put_free(struct sb_put *put);
