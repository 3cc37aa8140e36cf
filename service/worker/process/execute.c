#include "service/worker/process/execute.h"

#include <stdlib.h>

#include "base/err.h"
#include "proto/rpc/rpc.h"
#include "service/worker/api.h"
#include "service/worker/api_pb.h"
#include "service/worker/exec.h"
#include "service/worker/process/program.h"
#include "service/worker/worker.h"

enum { MAX_OUTPUT = 3 << 20 }; /* both streams; one message holds 4 MiB */

struct execute {
    struct sb_exec_observer observer;
    struct sb_rpc_call *call;
    struct sb_exec *exec;
    bool is_over;
};

static int check_size(const struct sb_exec *exec, struct sb_err *err)
{
    const struct sb_spool *out = &exec->out[0].spool;
    const struct sb_spool *errs = &exec->out[1].spool;
    if (sb_spool_dropped(out) > 0 || sb_spool_dropped(errs) > 0) {
        return sb_err_set(err, SB_EXHAUSTED,
                          "%s wrote more output than is kept, so there is no whole to return; use "
                          "Start, or write to a file",
                          exec->args[0]);
    }
    if (out->total > MAX_OUTPUT || errs->total > MAX_OUTPUT - out->total) {
        return sb_err_set(err, SB_EXHAUSTED,
                          "%s wrote more output than one message holds (%d bytes); use Start, or "
                          "write to a file",
                          exec->args[0], MAX_OUTPUT);
    }
    return 0;
}

static int take_all(const struct sb_spool *spool, ProtobufCBinaryData *ret_data, struct sb_err *err)
{
    size_t total = (size_t)spool->total;
    if (total == 0) {
        return 0;
    }
    ret_data->data = malloc(total);
    if (ret_data->data == NULL) {
        return sb_err_oom(err);
    }
    while (ret_data->len < total) {
        uint64_t at = 0;
        int64_t n = sb_spool_read(spool, ret_data->len, ret_data->data + ret_data->len,
                                  total - ret_data->len, &at, err);
        if (n <= 0) {
            return n < 0 ? -1 : sb_err_set(err, SB_DATA_LOSS, "output that was kept is gone");
        }
        ret_data->len += (size_t)n;
    }
    return 0;
}

static int
fill(const struct execute *execute, Process__V1__ExecuteResponse *msg, struct sb_err *err)
{
    const struct sb_exec *exec = execute->exec;
    if (sb_program_ended(execute->call, exec, &msg->exit_code, err) < 0 ||
        check_size(exec, err) < 0 || take_all(&exec->out[0].spool, &msg->stdout, err) < 0) {
        return -1;
    }
    return take_all(&exec->out[1].spool, &msg->stderr, err);
}

static void on_changed(struct sb_exec_observer *observer, struct sb_exec *exec)
{
    struct execute *execute = SB_LIST_ENTRY(observer, struct execute, observer);
    struct sb_err err = {.code = SB_OK};
    if (execute->is_over || !sb_exec_has_ended(exec)) {
        return;
    }
    Process__V1__ExecuteResponse *msg = sb_api_pb_new(&process__v1__execute_response__descriptor);
    if (msg != NULL) {
        (void)fill(execute, msg, &err);
    }
    execute->is_over = true;
    sb_api_finish(execute->call, msg, &err);
}

void sb_execute_start(struct sb_rpc_call *call, const Process__V1__ExecuteRequest *req, void *svc)
{
    struct sb_err err;
    struct sb_caller caller;
    struct sb_exec *exec = NULL;
    struct sb_rate rate = {0};
    if (!sb_api_identify(call, svc, &caller)) {
        return;
    }
    const struct sb_program program = {
        .call = call, .caller = &caller, .config = req->config, .rate = &rate};
    struct execute *execute = calloc(1, sizeof *execute);
    if (execute == NULL) {
        (void)sb_err_oom(&err);
        sb_rpc_call_fail(call, &err);
        return;
    }
    if (sb_program_start(svc, &program, &exec, &err) < 0) {
        free(execute);
        sb_api_refuse(call, &rate, &err);
        return;
    }
    execute->observer.changed = on_changed;
    execute->call = call;
    execute->exec = exec;
    sb_exec_observe(exec, &execute->observer);
    sb_rpc_call_set_user(call, execute);
    on_changed(&execute->observer, exec);
}

void sb_execute_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)svc;
    struct execute *execute = sb_rpc_call_user(call);
    if (execute == NULL) {
        return;
    }
    sb_rpc_call_set_user(call, NULL);
    sb_exec_unobserve(&execute->observer);
    if (cancelled && !sb_exec_has_ended(execute->exec)) {
        sb_exec_kill(execute->exec, SB_CAUSE_CLIENT_GONE);
    }
    free(execute);
}
