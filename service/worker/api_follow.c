#include "service/worker/api_follow.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/list.h"
#include "proto/rpc/rpc.h"
#include "service/worker/api_pb.h"
#include "service/worker/exec.h"
#include "service/worker/limits.h"
#include "service/worker/sandbox.h"
#include "service/worker/worker.h"

struct sb_follow {
    struct sb_exec_observer observer;
    struct sb_rpc_call *call;
    struct sb_exec *exec;
    struct sb_follow_options options;
    size_t n_denials; /* sent */
    bool has_started; /* the started event was sent */
    bool is_blocked;  /* until drained */
    bool is_over;     /* the call was ended */
    void (*on_change)(void *ctx);
    void *ctx;
};

static void fail(struct sb_follow *follow, const struct sb_err *err)
{
    follow->is_over = true;
    sb_rpc_call_fail(follow->call, err);
}

static void fail_oom(struct sb_follow *follow)
{
    struct sb_err err;
    (void)sb_err_oom(&err);
    fail(follow, &err);
}

static bool send_event(struct sb_follow *follow, Aisbx__V1__ExecEvent *event)
{
    follow->is_blocked = !follow->options.send(follow->call, event);
    return !follow->is_blocked;
}

static void send_started(struct sb_follow *follow)
{
    follow->has_started = true;
    if (follow->exec->pid == 0) {
        return; /* it never ran */
    }
    Aisbx__V1__ExecStarted started = AISBX__V1__EXEC_STARTED__INIT;
    Aisbx__V1__ExecEvent event = AISBX__V1__EXEC_EVENT__INIT;
    started.exec = sb_api_pb_exec(follow->exec);
    started.sandbox = sb_api_pb_sandbox(follow->exec->sandbox, follow->options.is_here);
    event.event_case = AISBX__V1__EXEC_EVENT__EVENT_STARTED;
    event.started = &started;
    if (started.exec == NULL || started.sandbox == NULL) {
        fail_oom(follow);
    } else {
        (void)send_event(follow, &event);
    }
    aisbx__v1__exec__free_unpacked(started.exec, NULL);
    aisbx__v1__sandbox__free_unpacked(started.sandbox, NULL);
}

/** Sends one piece. False: there is none, or the call takes no more. */
static bool send_output(struct sb_follow *follow, int stream)
{
    struct sb_exec *exec = follow->exec;
    uint64_t *offset = &follow->options.offsets[stream];
    uint64_t from = 0;
    struct sb_err err;
    if (*offset >= exec->out[stream].spool.total) {
        return false;
    }
    int64_t n = sb_spool_read(&exec->out[stream].spool, *offset, exec->worker->chunk,
                              SB_MAX_CHUNK_BYTES, &from, &err);
    if (n < 0) {
        fail(follow, &err);
        return false;
    }
    Aisbx__V1__ExecOutput output = AISBX__V1__EXEC_OUTPUT__INIT;
    Aisbx__V1__ExecEvent event = AISBX__V1__EXEC_EVENT__INIT;
    output.stream = (Aisbx__V1__OutputStream)(AISBX__V1__OUTPUT_STREAM__OUTPUT_STREAM_STDOUT +
                                              (unsigned)stream);
    output.offset = from;
    output.data.data = exec->worker->chunk;
    output.data.len = (size_t)n;
    output.dropped_bytes = from - *offset;
    event.event_case = AISBX__V1__EXEC_EVENT__EVENT_OUTPUT;
    event.output = &output;
    *offset = from + (uint64_t)n;
    return send_event(follow, &event);
}

/** Sends one. False: there is none, or the call takes no more. */
static bool send_denial(struct sb_follow *follow)
{
    const struct sb_denials *denials = &follow->exec->denials;
    if (follow->n_denials >= denials->n || !follow->has_started) {
        return false;
    }
    Aisbx__V1__ExecEvent event = AISBX__V1__EXEC_EVENT__INIT;
    event.event_case = AISBX__V1__EXEC_EVENT__EVENT_VIOLATION;
    event.violation =
        sb_api_pb_violation(follow->exec->sandbox->policy, &denials->items[follow->n_denials++]);
    if (event.violation == NULL) {
        fail_oom(follow);
        return false;
    }
    bool takes_more = send_event(follow, &event);
    aisbx__v1__violation__free_unpacked(event.violation, NULL);
    return takes_more;
}

static bool has_sent_all(const struct sb_follow *follow)
{
    return follow->n_denials >= follow->exec->denials.n &&
           follow->options.offsets[0] >= follow->exec->out[0].spool.total &&
           follow->options.offsets[1] >= follow->exec->out[1].spool.total;
}

static void send_ended(struct sb_follow *follow)
{
    if (follow->exec->start_err.code != SB_OK) {
        fail(follow, &follow->exec->start_err);
        return;
    }
    Aisbx__V1__ExecEnded ended = AISBX__V1__EXEC_ENDED__INIT;
    Aisbx__V1__ExecEvent event = AISBX__V1__EXEC_EVENT__INIT;
    ended.exec = sb_api_pb_exec(follow->exec);
    if (ended.exec == NULL) {
        fail_oom(follow);
        return;
    }
    event.event_case = AISBX__V1__EXEC_EVENT__EVENT_ENDED;
    event.ended = &ended;
    (void)send_event(follow, &event);
    aisbx__v1__exec__free_unpacked(ended.exec, NULL);
    follow->is_over = true;
    sb_rpc_call_reply(follow->call, NULL);
}

static void pump(struct sb_follow *follow)
{
    bool has_ended = sb_exec_has_ended(follow->exec);
    bool is_running = follow->exec->state >= SB_EXEC_RUNNING;
    if (!follow->has_started && is_running && !follow->is_over) {
        send_started(follow);
    }
    /* In turns, so that neither stream starves. */
    bool has_more = true;
    while (has_more && !follow->is_over && !follow->is_blocked) {
        has_more = send_output(follow, 0);
        if (!follow->is_over && !follow->is_blocked) {
            has_more = send_output(follow, 1) || has_more;
        }
        if (!follow->is_over && !follow->is_blocked) {
            has_more = send_denial(follow) || has_more;
        }
    }
    if (follow->is_over || follow->is_blocked || !has_sent_all(follow)) {
        return;
    }
    if (has_ended) {
        send_ended(follow);
    } else if (follow->options.is_no_follow) {
        follow->is_over = true;
        sb_rpc_call_reply(follow->call, NULL);
    }
}

static void on_changed(struct sb_exec_observer *observer, struct sb_exec *exec)
{
    (void)exec;
    struct sb_follow *follow = SB_LIST_ENTRY(observer, struct sb_follow, observer);
    if (!follow->is_blocked) {
        pump(follow);
    }
    if (follow->on_change != NULL) {
        follow->on_change(follow->ctx);
    }
}

struct sb_follow *sb_follow_start(struct sb_rpc_call *call,
                                  struct sb_exec *exec,
                                  const struct sb_follow_options *options)
{
    struct sb_err err;
    if (sb_list_count(&exec->observers) >= SB_MAX_FOLLOWERS) {
        (void)sb_err_set(&err, SB_EXHAUSTED, "exec %s is followed by %d calls already", exec->id,
                         SB_MAX_FOLLOWERS);
        sb_rpc_call_fail(call, &err);
        return NULL;
    }
    struct sb_follow *follow = calloc(1, sizeof *follow);
    if (follow == NULL) {
        (void)sb_err_oom(&err);
        sb_rpc_call_fail(call, &err);
        return NULL;
    }
    follow->call = call;
    follow->exec = exec;
    follow->options = *options;
    follow->observer.changed = on_changed;
    sb_exec_observe(exec, &follow->observer);
    sb_rpc_call_set_user(call, follow);
    pump(follow);
    return follow;
}

void sb_follow_drained(struct sb_follow *follow)
{
    follow->is_blocked = false;
    pump(follow);
}

void sb_follow_done(struct sb_follow *follow, bool is_cancelled)
{
    if (follow == NULL) {
        return;
    }
    sb_exec_unobserve(&follow->observer);
    if (is_cancelled && follow->options.is_owner && !follow->exec->is_background &&
        !sb_exec_has_ended(follow->exec)) {
        sb_exec_kill(follow->exec, SB_CAUSE_CLIENT_GONE);
    }
    free(follow);
}

struct sb_exec *sb_follow_exec(const struct sb_follow *follow)
{
    return follow->exec;
}

void sb_follow_on_change(struct sb_follow *follow, void (*on_change)(void *ctx), void *ctx)
{
    follow->on_change = on_change;
    follow->ctx = ctx;
}
