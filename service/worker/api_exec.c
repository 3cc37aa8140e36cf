#include "service/worker/api_exec.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "proto/rpc/rpc.h"
#include "service/worker/api.h"
#include "service/worker/api_pb.h"
#include "service/worker/exec.h"
#include "service/worker/limits.h"
#include "service/worker/sandbox.h"
#include "service/worker/worker.h"

/** Identifies the caller and finds the exec; otherwise the call is failed and NULL returned. */
static struct sb_exec *find(struct sb_rpc_call *call, struct sb_worker *worker, const char *id)
{
    struct sb_err err;
    struct sb_caller caller;
    struct sb_exec *exec = NULL;
    if (!sb_api_identify(call, worker, &caller)) {
        return NULL;
    }
    if (sb_api_find_exec(worker, &caller, id, &exec, &err) < 0) {
        sb_rpc_call_fail(call, &err);
        return NULL;
    }
    return exec;
}

void sb_api_exec_get(struct sb_rpc_call *call, const Aisbx__V1__GetExecRequest *req, void *svc)
{
    struct sb_exec *exec = find(call, svc, req->exec_id);
    if (exec == NULL) {
        return;
    }
    struct sb_err err = {.code = SB_OK};
    Aisbx__V1__GetExecResponse *msg = sb_api_pb_new(&aisbx__v1__get_exec_response__descriptor);
    if (msg != NULL && (msg->exec = sb_api_pb_exec(exec)) == NULL) {
        (void)sb_err_oom(&err);
    }
    sb_api_finish(call, msg, &err);
}

/* ---- ListExecs ---- */

static uint64_t question_of(const struct sb_worker *worker,
                            const struct sb_caller *caller,
                            const Aisbx__V1__ListExecsRequest *req)
{
    char text[SB_CALLER_ACTOR_SIZE + SB_ID_SIZE + 16];
    int n = snprintf(text, sizeof text, "execs|%s|%.*s|%d", caller->actor, SB_ID_SIZE,
                     req->sandbox_id, req->running_only);
    return sb_hash_sip13(worker->page_key.key, text, (size_t)n);
}

static bool matches(const struct sb_exec *exec,
                    const struct sb_caller *caller,
                    const Aisbx__V1__ListExecsRequest *req)
{
    return !exec->sandbox->is_internal && sb_caller_sees(caller, exec->sandbox->tenant) &&
           (req->sandbox_id[0] == '\0' || strcmp(req->sandbox_id, exec->sandbox->id) == 0) &&
           (!req->running_only || !sb_exec_has_ended(exec));
}

static int fill_page(const struct sb_worker *worker,
                     const struct sb_caller *caller,
                     const Aisbx__V1__ListExecsRequest *req,
                     Aisbx__V1__ListExecsResponse *msg,
                     struct sb_err *err)
{
    uint64_t question = question_of(worker, caller, req);
    uint64_t cursor = 0;
    size_t size = sb_page_size(req->page_size);
    if (sb_page_cursor(&worker->page_key, sb_str_from(req->page_token), question, &cursor, err) <
        0) {
        return -1;
    }
    msg->execs = calloc(size, sizeof(Aisbx__V1__Exec *));
    if (msg->execs == NULL) {
        return sb_err_oom(err);
    }
    uint64_t last = 0;
    SB_FOREACH (node, &worker->registry.exec_list) {
        const struct sb_exec *exec = SB_LIST_ENTRY(node, struct sb_exec, link);
        if (exec->seq >= cursor || !matches(exec, caller, req)) {
            continue;
        }
        if (msg->n_execs == size) {
            char token[SB_PAGE_TOKEN_SIZE];
            sb_page_token(&worker->page_key, last, question, token);
            return sb_api_pb_text(&msg->next_page_token, token) ? 0 : sb_err_oom(err);
        }
        Aisbx__V1__Exec *item = sb_api_pb_exec(exec);
        if (item == NULL) {
            return sb_err_oom(err);
        }
        msg->execs[msg->n_execs++] = item;
        last = exec->seq;
    }
    return 0;
}

void sb_api_exec_list(struct sb_rpc_call *call, const Aisbx__V1__ListExecsRequest *req, void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_caller caller;
    struct sb_err err = {.code = SB_OK};
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    struct sb_sandbox *sandbox = NULL;
    if (req->sandbox_id[0] != '\0' &&
        sb_api_find_sandbox(worker, &caller, req->sandbox_id, &sandbox, &err) < 0) {
        sb_rpc_call_fail(call, &err);
        return;
    }
    Aisbx__V1__ListExecsResponse *msg = sb_api_pb_new(&aisbx__v1__list_execs_response__descriptor);
    if (msg != NULL) {
        (void)fill_page(worker, &caller, req, msg, &err);
    }
    sb_api_finish(call, msg, &err);
}

/* ---- calls that wait ---- */

struct wait {
    struct sb_exec_observer observer;
    struct sb_rpc_call *call;
    struct sb_exec *exec;
    bool is_over;
    /* ReadExecOutput */
    struct event timer;
    bool has_timer;
    int stream;
    int64_t offset;
    size_t max_bytes;
};

static struct wait *wait_new(struct sb_rpc_call *call, struct sb_exec *exec)
{
    struct sb_err err;
    struct wait *wait = calloc(1, sizeof *wait);
    if (wait == NULL) {
        (void)sb_err_oom(&err);
        sb_rpc_call_fail(call, &err);
        return NULL;
    }
    wait->call = call;
    wait->exec = exec;
    sb_exec_observe(exec, &wait->observer);
    sb_rpc_call_set_user(call, wait);
    return wait;
}

void sb_api_exec_wait_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)cancelled;
    (void)svc;
    struct wait *wait = sb_rpc_call_user(call);
    if (wait == NULL) {
        return;
    }
    sb_rpc_call_set_user(call, NULL);
    sb_exec_unobserve(&wait->observer);
    if (wait->has_timer) {
        (void)event_del(&wait->timer);
    }
    free(wait);
}

/* ---- ReadExecOutput ---- */

/** Offset from the start: a negative one counts from the end of what came so far. */
static uint64_t absolute(const struct wait *wait)
{
    uint64_t total = wait->exec->out[wait->stream].spool.total;
    if (wait->offset >= 0) {
        return (uint64_t)wait->offset;
    }
    uint64_t back = (uint64_t)0 - (uint64_t)wait->offset;
    return back > total ? 0 : total - back;
}

static int
read_output(const struct wait *wait, Aisbx__V1__ReadExecOutputResponse *msg, struct sb_err *err)
{
    const struct sb_spool *spool = &wait->exec->out[wait->stream].spool;
    uint64_t from = absolute(wait);
    uint64_t first = from;
    msg->data.data = malloc(wait->max_bytes);
    if (msg->data.data == NULL) {
        return sb_err_oom(err);
    }
    while (msg->data.len < wait->max_bytes) {
        uint64_t at = 0;
        int64_t n = sb_spool_read(spool, from, msg->data.data + msg->data.len,
                                  wait->max_bytes - msg->data.len, &at, err);
        if (n < 0) {
            return -1;
        }
        if (at != from && msg->data.len > 0) {
            break; /* bytes are missing here: the next call says so */
        }
        first = msg->data.len == 0 ? at : first;
        if (n == 0) {
            break;
        }
        msg->data.len += (size_t)n;
        from = at + (uint64_t)n;
    }
    msg->offset = first;
    msg->total_bytes = spool->total;
    msg->end_of_stream = sb_exec_has_ended(wait->exec) && first + msg->data.len >= msg->total_bytes;
    return 0;
}

static void answer_read(struct wait *wait)
{
    struct sb_err err = {.code = SB_OK};
    Aisbx__V1__ReadExecOutputResponse *msg =
        sb_api_pb_new(&aisbx__v1__read_exec_output_response__descriptor);
    if (msg != NULL) {
        (void)read_output(wait, msg, &err);
    }
    wait->is_over = true;
    sb_api_finish(wait->call, msg, &err);
}

static bool has_output(const struct wait *wait)
{
    return sb_exec_has_ended(wait->exec) ||
           absolute(wait) < wait->exec->out[wait->stream].spool.total;
}

static void on_output(struct sb_exec_observer *observer, struct sb_exec *exec)
{
    (void)exec;
    struct wait *wait = SB_LIST_ENTRY(observer, struct wait, observer);
    if (!wait->is_over && has_output(wait)) {
        answer_read(wait);
    }
}

static void on_read_timeout(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct wait *wait = ctx;
    if (!wait->is_over) {
        answer_read(wait);
    }
}

static int check_read(const Aisbx__V1__ReadExecOutputRequest *req,
                      const struct sb_exec *exec,
                      struct sb_err *err)
{
    if (exec->is_passed) {
        return sb_err_set(err, SB_PRECONDITION,
                          "exec %s wrote to its caller's own descriptors; nothing was kept",
                          exec->id);
    }
    if (req->stream > AISBX__V1__OUTPUT_STREAM__OUTPUT_STREAM_STDERR) {
        return sb_err_set(err, SB_INVALID, "stream: no such stream");
    }
    if (req->wait_ms > SB_MAX_READ_WAIT_MS) {
        return sb_err_set(err, SB_INVALID, "wait_ms: more than %d", SB_MAX_READ_WAIT_MS);
    }
    return 0;
}

void sb_api_exec_read(struct sb_rpc_call *call,
                      const Aisbx__V1__ReadExecOutputRequest *req,
                      void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_err err;
    struct sb_exec *exec = find(call, worker, req->exec_id);
    if (exec == NULL) {
        return;
    }
    if (check_read(req, exec, &err) < 0) {
        sb_rpc_call_fail(call, &err);
        return;
    }
    struct wait *wait = wait_new(call, exec);
    if (wait == NULL) {
        return;
    }
    wait->observer.changed = on_output;
    wait->stream = req->stream == AISBX__V1__OUTPUT_STREAM__OUTPUT_STREAM_STDERR ? 1 : 0;
    wait->offset = req->offset;
    wait->max_bytes = req->max_bytes == 0 ? SB_MAX_CHUNK_BYTES : req->max_bytes;
    if (wait->max_bytes > SB_MAX_READ_BYTES) {
        wait->max_bytes = SB_MAX_READ_BYTES;
    }
    if (req->wait_ms == 0 || has_output(wait)) {
        answer_read(wait);
        return;
    }
    const struct timeval tv = {(time_t)(req->wait_ms / 1000),
                               (suseconds_t)(req->wait_ms % 1000 * 1000)};
    (void)event_assign(&wait->timer, worker->base, -1, 0, on_read_timeout, wait);
    wait->has_timer = true;
    (void)event_add(&wait->timer, &tv);
}

/* ---- CancelExec ---- */

static bool is_quiet(const struct sb_exec *exec)
{
    return sb_exec_is_empty(exec) && (!exec->is_only || exec->sandbox->state == SB_STATE_DESTROYED);
}

static void answer_cancel(struct wait *wait)
{
    struct sb_err err = {.code = SB_OK};
    Aisbx__V1__CancelExecResponse *msg =
        sb_api_pb_new(&aisbx__v1__cancel_exec_response__descriptor);
    if (msg != NULL && (msg->exec = sb_api_pb_exec(wait->exec)) == NULL) {
        (void)sb_err_oom(&err);
    }
    wait->is_over = true;
    sb_api_finish(wait->call, msg, &err);
}

static void on_maybe_empty(struct sb_exec_observer *observer, struct sb_exec *exec)
{
    struct wait *wait = SB_LIST_ENTRY(observer, struct wait, observer);
    if (!wait->is_over && is_quiet(exec)) {
        answer_cancel(wait);
    }
}

void sb_api_exec_cancel(struct sb_rpc_call *call,
                        const Aisbx__V1__CancelExecRequest *req,
                        void *svc)
{
    struct sb_exec *exec = find(call, svc, req->exec_id);
    if (exec == NULL) {
        return;
    }
    bool is_frozen = exec->sandbox->state == SB_STATE_PAUSED && !exec->is_only && exec->sock >= 0;
    if (is_frozen) {
        struct sb_err err;
        (void)sb_err_set(
            &err, SB_PRECONDITION,
            "sandbox %s is paused, and nothing in it can end alone: resume it first, or "
            "destroy it",
            exec->sandbox->id);
        sb_rpc_call_fail(call, &err);
        return;
    }
    struct wait *wait = wait_new(call, exec);
    if (wait == NULL) {
        return;
    }
    wait->observer.changed = on_maybe_empty;
    sb_exec_kill(exec, SB_CAUSE_CANCELLED);
    if (!wait->is_over && is_quiet(exec)) {
        answer_cancel(wait);
    }
}

/* ---- input and signals ---- */

void sb_api_exec_send_input(struct sb_rpc_call *call,
                            const Aisbx__V1__SendExecInputRequest *req,
                            void *svc)
{
    struct sb_exec *exec = find(call, svc, req->exec_id);
    if (exec == NULL) {
        return;
    }
    struct sb_err err = {.code = SB_OK};
    if (sb_exec_write(exec, req->data.data, req->data.len, &err) == 0 && req->eof) {
        sb_exec_write_eof(exec);
    }
    sb_api_finish(call, sb_api_pb_new(&aisbx__v1__send_exec_input_response__descriptor), &err);
}

void sb_api_exec_signal(struct sb_rpc_call *call,
                        const Aisbx__V1__SignalExecRequest *req,
                        void *svc)
{
    struct sb_exec *exec = find(call, svc, req->exec_id);
    if (exec == NULL) {
        return;
    }
    struct sb_err err = {.code = SB_OK};
    if (req->signal < 1 || req->signal > 64) {
        (void)sb_err_set(&err, SB_INVALID, "signal: %d is not in 1..64", req->signal);
    } else {
        (void)sb_exec_signal(exec, req->signal, req->tree, &err);
    }
    sb_api_finish(call, sb_api_pb_new(&aisbx__v1__signal_exec_response__descriptor), &err);
}

void sb_api_exec_resize(struct sb_rpc_call *call,
                        const Aisbx__V1__ResizeExecRequest *req,
                        void *svc)
{
    struct sb_exec *exec = find(call, svc, req->exec_id);
    if (exec == NULL) {
        return;
    }
    struct sb_err err = {.code = SB_OK};
    if (req->terminal == NULL) {
        (void)sb_err_set(&err, SB_INVALID, "terminal: is missing (rows, columns)");
    } else {
        (void)sb_exec_terminal_resize(exec, req->terminal->rows, req->terminal->columns, &err);
    }
    sb_api_finish(call, sb_api_pb_new(&aisbx__v1__resize_exec_response__descriptor), &err);
}
