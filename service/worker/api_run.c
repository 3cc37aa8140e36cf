#include "service/worker/api_run.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "service/worker/api.h"
#include "service/worker/api_result.h"
#include "service/worker/exec.h"
#include "service/worker/limits.h"
#include "service/worker/sandbox.h"
#include "service/worker/stage/take.h"
#include "service/worker/worker.h"

enum { MAX_STDIN = 1 << 20 };

struct run {
    struct sb_exec_observer observer;
    struct sb_rpc_call *call;
    struct sb_exec *exec;
    struct sb_take *take; /* brings files back */
    char **fetch;         /* owned */
    size_t n_fetch;
    size_t max_output;
    bool owns_sandbox; /* it was made for this call, and stays for its files */
    bool is_owner;
    bool is_here;
    bool is_over;
};

static void answer(struct run *run, const struct sb_stage *files)
{
    struct sb_err err = run->exec->start_err;
    Aisbx__V1__RunResponse *msg = NULL;
    if (err.code == SB_OK) {
        msg = sb_api_result(run->exec, run->max_output, run->is_here, files, &err);
    }
    run->is_over = true;
    sb_api_finish(run->call, msg, &err);
}

static void on_taken(void *ctx, struct sb_stage *files, const struct sb_err *err)
{
    struct run *run = ctx;
    (void)err; /* files that cannot be had are told with those that can */
    answer(run, files);
}

static void on_changed(struct sb_exec_observer *observer, struct sb_exec *exec)
{
    struct run *run = SB_LIST_ENTRY(observer, struct run, observer);
    struct sb_err err;
    if (run->is_over || run->take != NULL || !sb_exec_has_ended(exec)) {
        return;
    }
    const struct sb_take_options options = {
        .sandbox = exec->sandbox,
        .paths = run->fetch,
        .n_paths = run->n_fetch,
        .max_bytes = SB_API_RESULT_MAX_FILES,
        .is_lenient = true,
    };
    bool has_files = run->n_fetch > 0 && exec->start_err.code == SB_OK &&
                     sb_take_start(&options, on_taken, run, &run->take, &err) == 0;
    if (!has_files) { /* there are none, or no sandbox any more */
        answer(run, NULL);
    }
}

static int check(const Aisbx__V1__RunRequest *req, struct sb_err *err)
{
    bool is_new = req->target != NULL &&
                  req->target->sandbox_case == AISBX__V1__EXEC_TARGET__SANDBOX_NEW_SANDBOX;
    if (is_new && req->n_fetch > 0 && req->request_id[0] != '\0') {
        return sb_err_set(err, SB_INVALID,
                          "request_id: a repeated call could not fetch from a sandbox that is made "
                          "for the first one only; make the sandbox before, or leave one out");
    }
    if (req->stdin.len > MAX_STDIN) {
        return sb_err_set(err, SB_INVALID, "stdin: more than %d bytes", MAX_STDIN);
    }
    if (req->max_output_bytes > SB_API_RESULT_MAX_OUTPUT) {
        return sb_err_set(err, SB_INVALID, "max_output_bytes: more than %d",
                          SB_API_RESULT_MAX_OUTPUT);
    }
    if (req->exec != NULL && req->exec->stdio == AISBX__V1__STDIO_MODE__STDIO_MODE_PASSED) {
        return sb_err_set(err, SB_INVALID,
                          "exec.stdio: Run returns the output; use InteractExec for PASSED");
    }
    return 0;
}

/** Returns 1: started now, 0: the first call with this request_id started it, or -1. */
static int start(struct sb_worker *worker,
                 const struct sb_caller *caller,
                 const Aisbx__V1__RunRequest *req,
                 struct sb_rate *ret_rate,
                 struct sb_exec **ret_exec,
                 struct sb_err *err)
{
    char known[SB_ID_SIZE];
    const struct sb_idem_call id = {caller->actor, "Run", req->request_id, &req->base};
    if (check(req, err) < 0 ||
        sb_idem_find(&worker->idem, &id, sb_clock_real_ms(), known, err) < 0) {
        return -1;
    }
    if (known[0] != '\0') {
        return sb_api_find_exec(worker, caller, known, ret_exec, err);
    }
    SB_CLEANUP(sb_stage_unrefp) struct sb_stage *stage = NULL;
    if (sb_api_result_stage(req->files, req->n_files, &worker->budget, &stage, err) < 0) {
        return -1;
    }
    const struct sb_api_start start = {
        .caller = caller,
        .target = req->target,
        .spec = req->exec,
        .has_stdin = req->stdin.len > 0,
        .rate = ret_rate,
        .stage = stage,
        .keeps_sandbox = req->n_fetch > 0,
    };
    if (sb_api_start_exec(worker, &start, ret_exec, err) < 0) {
        return -1;
    }
    struct sb_exec *exec = *ret_exec;
    if (sb_exec_write(exec, req->stdin.data, req->stdin.len, err) < 0 && req->stdin.len > 0) {
        sb_exec_kill(exec, SB_CAUSE_CANCELLED);
        return -1;
    }
    if (!req->exec->open_stdin) {
        sb_exec_write_eof(exec);
    }
    if (sb_idem_add(&worker->idem, &id, sb_clock_real_ms(), exec->id, err) < 0) {
        sb_exec_kill(exec, SB_CAUSE_CANCELLED);
        return -1;
    }
    return 1;
}

void sb_api_run_start(struct sb_rpc_call *call, const Aisbx__V1__RunRequest *req, void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_err err;
    struct sb_caller caller;
    struct sb_exec *exec = NULL;
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    struct sb_rate rate = {0};
    char **fetch = NULL;
    if (sb_api_result_paths(req->fetch, req->n_fetch, &fetch, &err) < 0) {
        sb_rpc_call_fail(call, &err);
        return;
    }
    int is_first = start(worker, &caller, req, &rate, &exec, &err);
    struct run *run = is_first < 0 ? NULL : calloc(1, sizeof *run);
    if (run == NULL) {
        if (is_first >= 0) {
            (void)sb_err_oom(&err);
            sb_exec_kill(exec, SB_CAUSE_CANCELLED);
        }
        sb_api_result_free_paths(fetch, req->n_fetch);
        sb_api_refuse(call, &rate, &err);
        return;
    }
    *run = (struct run){
        .observer = {.changed = on_changed},
        .call = call,
        .exec = exec,
        .fetch = fetch,
        .n_fetch = req->n_fetch,
        .owns_sandbox = req->n_fetch > 0 &&
                        req->target->sandbox_case == AISBX__V1__EXEC_TARGET__SANDBOX_NEW_SANDBOX,
        .max_output = req->max_output_bytes == 0 ? SB_API_RESULT_OUTPUT : req->max_output_bytes,
        .is_owner = is_first > 0,
        .is_here = caller.is_here,
    };
    sb_exec_observe(exec, &run->observer);
    sb_rpc_call_set_user(call, run);
    on_changed(&run->observer, exec);
}

void sb_api_run_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)svc;
    struct run *run = sb_rpc_call_user(call);
    if (run == NULL) {
        return;
    }
    sb_rpc_call_set_user(call, NULL);
    sb_exec_unobserve(&run->observer);
    sb_take_free(run->take);
    sb_api_result_free_paths(run->fetch, run->n_fetch);
    if (cancelled && run->is_owner && !run->exec->is_background && !sb_exec_has_ended(run->exec)) {
        sb_exec_kill(run->exec, SB_CAUSE_CLIENT_GONE);
    }
    if (run->owns_sandbox) {
        sb_sandbox_destroy(run->exec->sandbox,
                           cancelled ? SB_REASON_CANCELLED : SB_REASON_EXEC_ENDED, NULL);
    }
    free(run);
}
