#include "service/worker/api_run.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "service/worker/api.h"
#include "service/worker/api_pb.h"
#include "service/worker/exec.h"
#include "service/worker/limits.h"
#include "service/worker/worker.h"

enum { DEFAULT_OUTPUT = 64 << 10, MAX_OUTPUT = 1 << 20, MAX_STDIN = 1 << 20 };

struct run {
    struct sb_exec_observer observer;
    struct sb_rpc_call *call;
    struct sb_exec *exec;
    size_t max_output;
    bool is_owner;
    bool is_here;
    bool is_over;
};

/** Reads [from, from + len) of a stream, as far as it is kept. */
static int read_range(const struct sb_spool *spool,
                      uint64_t from,
                      size_t len,
                      ProtobufCBinaryData *ret_data,
                      struct sb_err *err)
{
    if (len == 0) {
        return 0;
    }
    ret_data->data = malloc(len);
    if (ret_data->data == NULL) {
        return sb_err_oom(err);
    }
    while (ret_data->len < len) {
        uint64_t at = 0;
        int64_t n = sb_spool_read(spool, from, ret_data->data + ret_data->len, len - ret_data->len,
                                  &at, err);
        if (n < 0) {
            return -1;
        }
        if (n == 0 || at != from) {
            break;
        }
        ret_data->len += (size_t)n;
        from += (uint64_t)n;
    }
    return 0;
}

/** All of a stream, or half of `max` from its head and half from its tail. */
static int read_ends(const struct sb_spool *spool,
                     size_t max,
                     ProtobufCBinaryData *ret_head,
                     ProtobufCBinaryData *ret_tail,
                     uint64_t *ret_omitted,
                     struct sb_err *err)
{
    if (spool->total <= max && sb_spool_dropped(spool) == 0) {
        return read_range(spool, 0, (size_t)spool->total, ret_head, err);
    }
    uint64_t half = max / 2;
    uint64_t kept_half = spool->max / 2;
    half = half < kept_half ? half : kept_half;
    if (half > spool->total / 2) {
        half = spool->total / 2;
    }
    if (read_range(spool, 0, (size_t)half, ret_head, err) < 0 ||
        read_range(spool, spool->total - half, (size_t)half, ret_tail, err) < 0) {
        return -1;
    }
    *ret_omitted = spool->total - ret_head->len - ret_tail->len;
    return 0;
}

static int fill(const struct run *run, Aisbx__V1__RunResponse *msg, struct sb_err *err)
{
    const struct sb_exec *exec = run->exec;
    msg->exec = sb_api_pb_exec(exec);
    msg->sandbox = sb_api_pb_sandbox(exec->sandbox, run->is_here);
    if (msg->exec == NULL || msg->sandbox == NULL) {
        return sb_err_oom(err);
    }
    if (read_ends(&exec->out[0].spool, run->max_output, &msg->stdout, &msg->stdout_tail,
                  &msg->stdout_omitted_bytes, err) < 0) {
        return -1;
    }
    return read_ends(&exec->out[1].spool, run->max_output, &msg->stderr, &msg->stderr_tail,
                     &msg->stderr_omitted_bytes, err);
}

static void answer(struct run *run)
{
    struct sb_err err = run->exec->start_err;
    Aisbx__V1__RunResponse *msg = NULL;
    if (err.code == SB_OK) {
        msg = sb_api_pb_new(&aisbx__v1__run_response__descriptor);
        if (msg != NULL) {
            (void)fill(run, msg, &err);
        }
    }
    run->is_over = true;
    sb_api_finish(run->call, msg, &err);
}

static void on_changed(struct sb_exec_observer *observer, struct sb_exec *exec)
{
    struct run *run = SB_LIST_ENTRY(observer, struct run, observer);
    if (!run->is_over && sb_exec_has_ended(exec)) {
        answer(run);
    }
}

static int check(const Aisbx__V1__RunRequest *req, struct sb_err *err)
{
    if (req->n_files > 0 || req->n_fetch > 0) {
        return sb_err_set(
            err, SB_UNIMPLEMENTED,
            "files, fetch: this worker does not transfer files yet; mount a directory "
            "or use stdin and stdout");
    }
    if (req->stdin.len > MAX_STDIN) {
        return sb_err_set(err, SB_INVALID, "stdin: more than %d bytes", MAX_STDIN);
    }
    if (req->max_output_bytes > MAX_OUTPUT) {
        return sb_err_set(err, SB_INVALID, "max_output_bytes: more than %d", MAX_OUTPUT);
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
    const struct sb_api_start start = {
        .caller = caller,
        .target = req->target,
        .spec = req->exec,
        .has_stdin = req->stdin.len > 0,
        .rate = ret_rate,
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
    int is_first = start(worker, &caller, req, &rate, &exec, &err);
    struct run *run = is_first < 0 ? NULL : calloc(1, sizeof *run);
    if (run == NULL) {
        if (is_first >= 0) {
            (void)sb_err_oom(&err);
            sb_exec_kill(exec, SB_CAUSE_CANCELLED);
        }
        sb_api_refuse(call, &rate, &err);
        return;
    }
    *run = (struct run){
        .observer = {.changed = on_changed},
        .call = call,
        .exec = exec,
        .max_output = req->max_output_bytes == 0 ? DEFAULT_OUTPUT : req->max_output_bytes,
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
    if (cancelled && run->is_owner && !run->exec->is_background && !sb_exec_has_ended(run->exec)) {
        sb_exec_kill(run->exec, SB_CAUSE_CLIENT_GONE);
    }
    free(run);
}
