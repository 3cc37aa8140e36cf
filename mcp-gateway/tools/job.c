#include "mcp-gateway/tools/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/out.h"
#include "mcp-gateway/mcp/tool.h"
#include "mcp-gateway/tools/arg.h"
#include "proto/client/message.h"

/* ---- life ---- */

static bool copy_text(const char **text)
{
    if (*text != NULL) {
        *text = strdup(*text);
        return *text != NULL;
    }
    return true;
}

/* The caller's texts go with the call; what cleans up after it needs them still. */
static bool copy_caller(struct sb_backend_caller *caller)
{
    const char **texts[] = {&caller->key, &caller->identity, &caller->peer, &caller->tracestate};
    bool is_copied = true;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        is_copied = copy_text(texts[i]) && is_copied;
    }
    return is_copied;
}

static void free_job(struct sb_job *job)
{
    if (job->ops->done != NULL) {
        job->ops->done(job);
    }
    sb_list_remove(&job->node);
    free(sb_lend(job->caller.key));
    free(sb_lend(job->caller.identity));
    free(sb_lend(job->caller.peer));
    free(sb_lend(job->caller.tracestate));
    free(job);
}

static void on_cancel(void *ctx)
{
    struct sb_job *job = ctx;
    job->call = NULL;
    if (job->ops->cancelled != NULL) {
        job->ops->cancelled(job);
    } else if (job->rpc != NULL) {
        sb_backend_cancel(job->rpc);
    } else {
        free_job(job);
    }
}

void *sb_job_new(struct sb_tools *tools,
                 struct sb_mcp_call *call,
                 size_t size,
                 const struct sb_job_ops *ops)
{
    const struct sb_mcp_caller *caller = sb_mcp_caller(call);
    struct sb_job *job = calloc(1, size);
    if (job == NULL) {
        sb_mcp_error(call, SB_MCP_INTERNAL, SB_STR("out of memory"), (struct sb_str){NULL, 0});
        return NULL;
    }
    job->tools = tools;
    job->ops = ops;
    job->call = call;
    job->caller = (struct sb_backend_caller){.key = caller->key,
                                             .identity = caller->identity,
                                             .peer = caller->peer,
                                             .protocol = "mcp",
                                             .trace = caller->trace,
                                             .tracestate = caller->tracestate,
                                             .is_remote = caller->is_remote};
    sb_list_append(&tools->jobs, &job->node);
    if (!copy_caller(&job->caller)) {
        sb_mcp_error(call, SB_MCP_INTERNAL, SB_STR("out of memory"), (struct sb_str){NULL, 0});
        free_job(job);
        return NULL;
    }
    sb_mcp_on_cancel(call, on_cancel, job);
    return job;
}

void sb_job_finish(struct sb_job *job)
{
    struct sb_mcp_call *call = job->call;
    const struct sb_err no_key = job->no_key;
    free_job(job);
    if (call == NULL) {
        return;
    }
    sb_mcp_on_cancel(call, NULL, NULL);
    if (no_key.code != SB_OK) {
        sb_mcp_unauthenticated(call, sb_str_from(no_key.text));
    } else {
        sb_mcp_done(call);
    }
}

/* ---- what went wrong ---- */

static const struct {
    enum sb_code code;
    const char *what;
    const char *next;
} explanations[] = {
    {SB_INVALID, "The arguments cannot be used", "Mend the argument that is named and call again."},
    {SB_DENIED, "Not permitted", "Use something of your own, or ask the operator for the right."},
    {SB_NOT_FOUND, "Not there",
     "Check the name. A sandbox that is not there is gone with its files (time to live, idle "
     "limit, "
     "or destroyed): make a new one with sandbox_create; aisbx://profiles lists profiles."},
    {SB_EXISTS, "It exists already", "Use another name or request_id."},
    {SB_EXHAUSTED, "A limit of this service is reached",
     "Destroy sandboxes that are no longer needed (sandbox_list, sandbox_destroy), or wait."},
    {SB_PRECONDITION, "The sandbox is not in a state for this",
     "See sandbox_list; if it is gone, make a new one with sandbox_create."},
    {SB_RANGE, "Nothing lies in that range", "Use a smaller offset."},
    {SB_UNIMPLEMENTED, "This worker does not do it",
     "Do it by a program: use shell or run_code instead."},
    {SB_UNAVAILABLE, "The sandbox service cannot be reached",
     "Call again in a few seconds; if it stays so, the operator runs `aisbx-security doctor`."},
    {SB_DEADLINE, "It took too long", "Call again with less to do at once."},
    {SB_CANCELLED, "The connection to the worker broke", "Call again."},
};

static void put_explanation(struct sb_out *out, const struct sb_err *err, const char *after_ms)
{
    const char *what = "The sandbox service failed";
    const char *next = "Call again; if it stays so, make a new sandbox with sandbox_create.";
    for (size_t i = 0; i < sizeof explanations / sizeof *explanations; i++) {
        if (explanations[i].code == err->code) {
            what = explanations[i].what;
            next = explanations[i].next;
        }
    }
    sb_out_printf(out, "%s: %s.\nNext step: %s", what, err->text, next);
    if (after_ms != NULL) {
        unsigned long long ms = strtoull(after_ms, NULL, 10);
        sb_out_printf(out, " Possible again in %llu s.", (ms + 999) / 1000);
    }
}

void sb_job_tell(struct sb_job *job, const struct sb_err *err, const struct sb_backend_call *rpc)
{
    struct sb_out text;
    if (job->call == NULL) {
        return;
    }
    if (err->code == SB_UNAUTHENTICATED) {
        job->no_key = *err;
        return;
    }
    sb_out_init(&text, -1);
    put_explanation(&text, err, rpc == NULL ? NULL : sb_backend_trailer(rpc, "retry-after-ms"));
    sb_mcp_text(job->call, sb_buf_str(&text.buf));
    sb_mcp_fail(job->call);
    sb_out_done(&text);
}

void sb_job_refuse(struct sb_job *job, const char *why)
{
    struct sb_err err;
    (void)sb_err_set(&err, SB_INVALID, "arguments.%s", why);
    sb_job_tell(job, &err, NULL);
    sb_job_finish(job);
}

static void failed(struct sb_job *job, const struct sb_err *err, const struct sb_backend_call *rpc)
{
    if (job->ops->failed != NULL) {
        job->ops->failed(job, err, rpc);
        return;
    }
    sb_job_tell(job, err, rpc);
    sb_job_finish(job);
}

void sb_job_failed(struct sb_job *job, const struct sb_err *err)
{
    failed(job, err, NULL);
}

/* ---- calls of the worker ---- */

static void on_message(struct sb_backend_call *rpc, const ProtobufCMessage *message, void *user)
{
    struct sb_job *job = user;
    struct sb_err err;
    if (job->is_enough) {
        return;
    }
    if (job->piece == NULL) {
        job->reply = sb_message_copy(message, &err);
    } else if (job->piece(job, message)) {
        sb_backend_read(rpc);
    } else {
        job->is_enough = true;
        sb_backend_cancel(rpc);
    }
}

static void on_done(struct sb_backend_call *rpc, const struct sb_err *err, void *user)
{
    struct sb_job *job = user;
    ProtobufCMessage *reply = job->reply;
    bool is_stream = job->piece != NULL;
    bool is_well = err->code == SB_OK || job->is_enough;
    struct sb_err missing;
    job->rpc = NULL;
    job->reply = NULL;
    job->piece = NULL;
    job->is_enough = false;
    if (job->call != NULL && err->code == SB_OK) {
        sb_mcp_vouch(job->call);
    }
    if (job->call == NULL && job->ops->cancelled == NULL) {
        free_job(job);
    } else if (!is_well) {
        failed(job, err, rpc);
    } else if (!is_stream && reply == NULL) {
        (void)sb_err_set(&missing, SB_INTERNAL, "the worker's answer is missing");
        failed(job, &missing, rpc);
    } else {
        job->step(job, reply);
    }
    if (reply != NULL) {
        protobuf_c_message_free_unpacked(reply, NULL);
    }
}

static const struct sb_backend_callbacks callbacks = {.message = on_message, .done = on_done};

static bool start(struct sb_job *job,
                  const struct sb_rpc_method *method,
                  const ProtobufCMessage *request,
                  sb_job_step *step)
{
    struct sb_err err;
    const struct sb_backend_request to_worker = {
        .caller = &job->caller, .method = method, .message = request};
    job->step = step;
    if (sb_backend_start(job->tools->backend, &to_worker, &callbacks, job, &job->rpc, &err) < 0) {
        job->rpc = NULL;
        job->piece = NULL;
        failed(job, &err, NULL);
        return false;
    }
    return true;
}

void sb_job_ask(struct sb_job *job,
                const struct sb_rpc_method *method,
                const ProtobufCMessage *request,
                sb_job_step *step)
{
    job->piece = NULL;
    (void)start(job, method, request, step);
}

void sb_job_stream(struct sb_job *job,
                   const struct sb_rpc_method *method,
                   const ProtobufCMessage *request,
                   sb_job_piece *piece,
                   sb_job_step *step)
{
    job->piece = piece;
    if (start(job, method, request, step)) {
        sb_backend_read(job->rpc);
    }
}

bool sb_job_upload(struct sb_job *job, const struct sb_rpc_method *method, sb_job_step *step)
{
    job->piece = NULL;
    return start(job, method, NULL, step);
}
