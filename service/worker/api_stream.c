#include "service/worker/api_stream.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "service/worker/api.h"
#include "service/worker/api_follow.h"
#include "service/worker/exec.h"
#include "service/worker/worker.h"

enum { INPUT_MARK = 64 << 10 }; /* bytes waiting for the program before we stop reading the call */

static bool send_start_exec(struct sb_rpc_call *call, Aisbx__V1__ExecEvent *event)
{
    Aisbx__V1__StartExecResponse msg = AISBX__V1__START_EXEC_RESPONSE__INIT;
    msg.event = event;
    return aisbx__v1__sandbox_service__start_exec__send(call, &msg);
}

static bool send_interact(struct sb_rpc_call *call, Aisbx__V1__ExecEvent *event)
{
    Aisbx__V1__InteractExecResponse msg = AISBX__V1__INTERACT_EXEC_RESPONSE__INIT;
    msg.event = event;
    return aisbx__v1__sandbox_service__interact_exec__send(call, &msg);
}

static bool send_attach(struct sb_rpc_call *call, Aisbx__V1__ExecEvent *event)
{
    Aisbx__V1__AttachExecResponse msg = AISBX__V1__ATTACH_EXEC_RESPONSE__INIT;
    msg.event = event;
    return aisbx__v1__sandbox_service__attach_exec__send(call, &msg);
}

/** Starts what req asks for, or finds what the first call with its request_id started.
 *  Returns 1: started now, 0: found, or -1. */
static int start_or_find(struct sb_worker *worker,
                         const struct sb_api_start *start,
                         const struct sb_idem_call *id,
                         struct sb_exec **ret_exec,
                         struct sb_err *err)
{
    char known[SB_ID_SIZE];
    if (sb_idem_find(&worker->idem, id, sb_clock_real_ms(), known, err) < 0) {
        return -1;
    }
    if (known[0] != '\0') {
        return sb_api_find_exec(worker, start->caller, known, ret_exec, err);
    }
    if (sb_api_start_exec(worker, start, ret_exec, err) < 0) {
        return -1;
    }
    if (sb_idem_add(&worker->idem, id, sb_clock_real_ms(), (*ret_exec)->id, err) < 0) {
        sb_exec_kill(*ret_exec, SB_CAUSE_CANCELLED);
        return -1;
    }
    return 1;
}

static struct sb_follow *begin(struct sb_rpc_call *call,
                               struct sb_worker *worker,
                               const Aisbx__V1__StartExecRequest *req,
                               bool is_interactive)
{
    struct sb_err err;
    struct sb_caller caller;
    struct sb_exec *exec = NULL;
    struct sb_rate rate = {0};
    if (!sb_api_identify(call, worker, &caller)) {
        return NULL;
    }
    const struct sb_api_start start = {
        .caller = &caller,
        .target = req->target,
        .spec = req->exec,
        .has_stdin = is_interactive,
        .call = call,
        .rate = &rate,
    };
    const struct sb_idem_call id = {
        .owner = caller.actor,
        .method = is_interactive ? "InteractExec" : "StartExec",
        .request_id = req->request_id,
        .content = &req->base,
    };
    int is_first = start_or_find(worker, &start, &id, &exec, &err);
    if (is_first < 0) {
        sb_api_refuse(call, &rate, &err);
        return NULL;
    }
    const struct sb_follow_options options = {
        .send = is_interactive ? send_interact : send_start_exec,
        .is_owner = is_first > 0,
        .is_here = caller.is_here,
    };
    return sb_follow_start(call, exec, &options);
}

void sb_api_stream_start_exec(struct sb_rpc_call *call,
                              const Aisbx__V1__StartExecRequest *req,
                              void *svc)
{
    (void)begin(call, svc, req, false);
}

void sb_api_stream_attach(struct sb_rpc_call *call,
                          const Aisbx__V1__AttachExecRequest *req,
                          void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_err err;
    struct sb_caller caller;
    struct sb_exec *exec = NULL;
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    if (sb_api_find_exec(worker, &caller, req->exec_id, &exec, &err) < 0) {
        sb_rpc_call_fail(call, &err);
        return;
    }
    const struct sb_follow_options options = {
        .send = send_attach,
        .offsets = {req->stdout_offset, req->stderr_offset},
        .is_no_follow = req->no_follow,
        .is_here = caller.is_here,
    };
    (void)sb_follow_start(call, exec, &options);
}

void sb_api_stream_drained(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    struct sb_follow *follow = sb_rpc_call_user(call);
    if (follow != NULL) {
        sb_follow_drained(follow);
    }
}

void sb_api_stream_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)svc;
    struct sb_follow *follow = sb_rpc_call_user(call);
    sb_rpc_call_set_user(call, NULL);
    sb_follow_done(follow, cancelled);
}

/* ---- InteractExec ---- */

void sb_api_stream_interact(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    sb_rpc_call_read(call);
}

/** Reads on as soon as the program has taken enough of its input. */
static void read_on(void *ctx)
{
    struct sb_rpc_call *call = ctx;
    struct sb_follow *follow = sb_rpc_call_user(call);
    if (sb_exec_waiting_input(sb_follow_exec(follow)) < INPUT_MARK) {
        sb_follow_on_change(follow, NULL, NULL);
        sb_rpc_call_read(call);
    }
}

static void read_next(struct sb_rpc_call *call, struct sb_follow *follow)
{
    if (sb_exec_waiting_input(sb_follow_exec(follow)) < INPUT_MARK) {
        sb_rpc_call_read(call);
    } else {
        sb_follow_on_change(follow, read_on, call);
    }
}

/** The program may end at any time: what comes too late is nobody's fault. */
static int resize(struct sb_exec *exec, const Aisbx__V1__Terminal *size, struct sb_err *err)
{
    return sb_exec_terminal_resize(exec, size->rows, size->columns, err) < 0 &&
                   (err->code != SB_PRECONDITION || !exec->terminal.is_wanted)
               ? -1
               : 0;
}

static int act(struct sb_exec *exec, const Aisbx__V1__InteractExecRequest *msg, struct sb_err *err)
{
    switch (msg->message_case) {
    case AISBX__V1__INTERACT_EXEC_REQUEST__MESSAGE_STDIN:
        return sb_exec_has_ended(exec) ? 0
                                       : sb_exec_write(exec, msg->stdin.data, msg->stdin.len, err);
    case AISBX__V1__INTERACT_EXEC_REQUEST__MESSAGE_STDIN_EOF:
        sb_exec_write_eof(exec);
        return 0;
    case AISBX__V1__INTERACT_EXEC_REQUEST__MESSAGE_SIGNAL:
        if (msg->signal < 1 || msg->signal > 64) {
            return sb_err_set(err, SB_INVALID, "signal: %d is not in 1..64", msg->signal);
        }
        (void)sb_exec_signal(exec, msg->signal, false, err);
        return 0;
    case AISBX__V1__INTERACT_EXEC_REQUEST__MESSAGE_RESIZE:
        return resize(exec, msg->resize, err);
    case AISBX__V1__INTERACT_EXEC_REQUEST__MESSAGE_START:
        return sb_err_set(err, SB_INVALID, "start: only the first message may start");
    case AISBX__V1__INTERACT_EXEC_REQUEST__MESSAGE__NOT_SET:
    case _AISBX__V1__INTERACT_EXEC_REQUEST__MESSAGE__CASE_IS_INT_SIZE:
    default:
        return sb_err_set(err, SB_INVALID, "an empty message");
    }
}

void sb_api_stream_interact_message(struct sb_rpc_call *call,
                                    const Aisbx__V1__InteractExecRequest *msg,
                                    void *svc)
{
    struct sb_err err;
    struct sb_follow *follow = sb_rpc_call_user(call);
    if (follow != NULL) {
        if (act(sb_follow_exec(follow), msg, &err) < 0) {
            sb_rpc_call_fail(call, &err);
            return;
        }
        read_next(call, follow);
        return;
    }
    if (msg->message_case != AISBX__V1__INTERACT_EXEC_REQUEST__MESSAGE_START) {
        (void)sb_err_set(&err, SB_INVALID, "start: must be the first message");
        sb_rpc_call_fail(call, &err);
        return;
    }
    follow = begin(call, svc, msg->start, true);
    if (follow != NULL) {
        sb_rpc_call_read(call);
    }
}

void sb_api_stream_interact_half_close(struct sb_rpc_call *call, void *svc)
{
    (void)svc;
    struct sb_follow *follow = sb_rpc_call_user(call);
    if (follow != NULL) {
        sb_exec_write_eof(sb_follow_exec(follow));
        return;
    }
    struct sb_err err;
    (void)sb_err_set(&err, SB_INVALID, "start: must be the first message");
    sb_rpc_call_fail(call, &err);
}
