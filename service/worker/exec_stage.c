#include "service/worker/exec_stage.h"

#include "base/err.h"
#include "service/worker/exec.h"
#include "service/worker/sandbox.h"
#include "service/worker/stage/put.h"

static void fail(struct sb_exec *exec, const struct sb_err *why)
{
    struct sb_sandbox *sandbox = exec->sandbox;
    struct sb_err err = *why;
    bool is_only = exec->is_only;
    (void)sb_err_wrap(&err, "files");
    sandbox->refs++; /* the exec may be the last to hold it */
    sb_exec_fail(exec, &err);
    if (is_only) {
        sb_sandbox_destroy(sandbox, SB_REASON_CANCELLED, err.text);
    }
    sb_sandbox_unref(sandbox);
}

static void on_put(void *ctx, const struct sb_err *err)
{
    struct sb_exec *exec = ctx;
    sb_exec_stage_done(exec);
    if (err->code == SB_OK) {
        sb_exec_begin(exec);
    } else {
        fail(exec, err);
    }
}

bool sb_exec_stage_ready(struct sb_exec *exec)
{
    struct sb_err err;
    if (exec->stage == NULL) {
        return true;
    }
    if (exec->put == NULL &&
        sb_put_start(exec->sandbox, exec->stage, on_put, exec, &exec->put, &err) < 0) {
        sb_exec_stage_done(exec);
        fail(exec, &err);
    }
    return false;
}

void sb_exec_stage_done(struct sb_exec *exec)
{
    sb_put_free(exec->put);
    sb_stage_unref(exec->stage);
    exec->put = NULL;
    exec->stage = NULL;
}
