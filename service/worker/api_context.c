#include "service/worker/api_context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "proto/rpc/rpc.h"
#include "service/worker/api.h"
#include "service/worker/api_pb.h"
#include "service/worker/context/context.h"
#include "service/worker/context/interpreter.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/request.h"
#include "service/worker/sandbox.h"
#include "service/worker/worker.h"

static Aisbx__V1__Context *pb_context(const struct sb_context *context)
{
    Aisbx__V1__Context *msg = sb_api_pb_new(&aisbx__v1__context__descriptor);
    if (msg == NULL) {
        return NULL;
    }
    const char *cwd = context->cwd != NULL ? context->cwd : sb_policy_cwd(context->sandbox->policy);
    msg->state = (Aisbx__V1__ContextState)context->state;
    msg->execution_count = context->execution_count;
    bool is_dead = context->state == SB_CONTEXT_DEAD;
    if (!sb_api_pb_text(&msg->context_id, context->id) ||
        !sb_api_pb_text(&msg->sandbox_id, context->sandbox->id) ||
        !sb_api_pb_text(&msg->exec_id, context->exec_id) ||
        !sb_api_pb_text(&msg->language, context->language->name) ||
        !sb_api_pb_text(&msg->cwd, cwd) ||
        !sb_api_pb_text(&msg->reason, is_dead ? context->reason : "") ||
        !sb_api_pb_time(context->create_ms, &msg->create_time)) {
        aisbx__v1__context__free_unpacked(msg, NULL);
        return NULL;
    }
    return msg;
}

/** Identifies the caller and finds the context; otherwise the call is failed and NULL returned. */
static struct sb_context *find(struct sb_rpc_call *call, struct sb_worker *worker, const char *id)
{
    struct sb_err err;
    struct sb_caller caller;
    struct sb_context *context = NULL;
    if (!sb_api_identify(call, worker, &caller)) {
        return NULL;
    }
    if (sb_api_find_context(worker, &caller, id, &context, &err) < 0) {
        sb_rpc_call_fail(call, &err);
        return NULL;
    }
    return context;
}

/* ---- calls that wait ---- */

struct wait {
    struct sb_context_observer observer;
    struct sb_rpc_call *call;
    struct sb_context *context;
    bool is_found; /* it was made by an earlier call, and may be DEAD meanwhile */
    bool is_owner; /* the context goes when the call does, before it was answered */
    bool is_over;
};

static struct wait *wait_new(struct sb_rpc_call *call,
                             struct sb_context *context,
                             void (*changed)(struct sb_context_observer *observer,
                                             struct sb_context *context))
{
    struct sb_err err;
    struct wait *wait = calloc(1, sizeof *wait);
    if (wait == NULL) {
        (void)sb_err_oom(&err);
        sb_rpc_call_fail(call, &err);
        return NULL;
    }
    wait->observer.changed = changed;
    wait->call = call;
    wait->context = context;
    sb_context_observe(context, &wait->observer);
    sb_rpc_call_set_user(call, wait);
    return wait;
}

static void wait_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)svc;
    struct wait *wait = sb_rpc_call_user(call);
    if (wait == NULL) {
        return;
    }
    sb_rpc_call_set_user(call, NULL);
    sb_context_enter(wait->context);
    if (cancelled && wait->is_owner && !wait->is_over) {
        sb_context_delete(wait->context);
    }
    sb_context_unobserve(wait->context, &wait->observer);
    sb_context_leave(wait->context);
    free(wait);
}

/** IDLE, or what came of it instead. False: neither yet. */
static bool is_settled(const struct sb_context *context, struct sb_err *err)
{
    if (context->is_wanted || context->state == SB_CONTEXT_STARTING) {
        return false;
    }
    err->code = SB_OK;
    if (context->state == SB_CONTEXT_DEAD) {
        (void)sb_err_set(err, SB_PRECONDITION,
                         "the interpreter of %s did not start: %.200s; the profile must have the "
                         "program on its PATH, and room for it",
                         context->language->name, context->reason);
    }
    return true;
}

/* ---- CreateContext ---- */

static void on_created(struct sb_context_observer *observer, struct sb_context *context)
{
    struct wait *wait = SB_LIST_ENTRY(observer, struct wait, observer);
    struct sb_err err;
    if (wait->is_over || !is_settled(context, &err)) {
        return;
    }
    wait->is_over = true;
    Aisbx__V1__CreateContextResponse *msg = NULL;
    if (wait->is_found) {
        err.code = SB_OK;
    }
    if (err.code != SB_OK) {
        sb_context_delete(context);
    } else {
        msg = sb_api_pb_new(&aisbx__v1__create_context_response__descriptor);
        if (msg != NULL && (msg->context = pb_context(context)) == NULL) {
            (void)sb_err_oom(&err);
        }
    }
    sb_api_finish(wait->call, msg, &err);
}

static int
take_env(const Aisbx__V1__CreateContextRequest *req, struct sb_pairs *ret_env, struct sb_err *err)
{
    size_t total = 0;
    for (size_t i = 0; i < req->n_env; i++) {
        struct sb_str name = sb_str_from(req->env[i]->key);
        struct sb_str value = sb_str_from(req->env[i]->value);
        if (sb_request_check_env(name, value, "env", &total, err) < 0 ||
            sb_pairs_set(ret_env, name, value, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int make(struct sb_worker *worker,
                const struct sb_caller *caller,
                const Aisbx__V1__CreateContextRequest *req,
                struct sb_context **ret_context,
                struct sb_err *err)
{
    SB_CLEANUP(sb_pairs_done) struct sb_pairs env = {NULL, 0};
    struct sb_sandbox *sandbox = NULL;
    if (sb_api_find_sandbox(worker, caller, req->sandbox_id, &sandbox, err) < 0 ||
        take_env(req, &env, err) < 0) {
        return -1;
    }
    if (sandbox->is_only) {
        return sb_err_set(err, SB_PRECONDITION,
                          "sandbox %s was made for one exec only; create one first", sandbox->id);
    }
    const struct sb_context_options options = {
        .language = req->language,
        .cwd = req->cwd[0] == '\0' ? NULL : req->cwd,
        .env = &env,
    };
    return sb_context_new(sandbox, &options, ret_context, err);
}

/** Returns 1: made now, 0: the first call with this request_id made it, or -1. */
static int create(struct sb_worker *worker,
                  const struct sb_caller *caller,
                  const Aisbx__V1__CreateContextRequest *req,
                  struct sb_context **ret_context,
                  struct sb_err *err)
{
    char known[SB_ID_SIZE];
    const struct sb_idem_call id = {caller->actor, "CreateContext", req->request_id, &req->base};
    if (sb_idem_find(&worker->idem, &id, sb_clock_real_ms(), known, err) < 0) {
        return -1;
    }
    if (known[0] != '\0') {
        return sb_api_find_context(worker, caller, known, ret_context, err);
    }
    if (make(worker, caller, req, ret_context, err) < 0) {
        return -1;
    }
    if (sb_idem_add(&worker->idem, &id, sb_clock_real_ms(), (*ret_context)->id, err) < 0) {
        sb_context_delete(*ret_context);
        return -1;
    }
    return 1;
}

static void
create_context(struct sb_rpc_call *call, const Aisbx__V1__CreateContextRequest *req, void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_err err;
    struct sb_caller caller;
    struct sb_context *context = NULL;
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    int is_first = create(worker, &caller, req, &context, &err);
    if (is_first < 0) {
        sb_rpc_call_fail(call, &err);
        return;
    }
    struct wait *wait = wait_new(call, context, on_created);
    if (wait != NULL) {
        /* With a request_id the caller can come back for it. */
        wait->is_found = is_first == 0;
        wait->is_owner = is_first > 0 && req->request_id[0] == '\0';
        on_created(&wait->observer, context);
    }
}

/* ---- RestartContext, InterruptContext ---- */

static void on_restarted(struct sb_context_observer *observer, struct sb_context *context)
{
    struct wait *wait = SB_LIST_ENTRY(observer, struct wait, observer);
    struct sb_err err;
    if (wait->is_over || !is_settled(context, &err)) {
        return;
    }
    wait->is_over = true;
    Aisbx__V1__RestartContextResponse *msg =
        sb_api_pb_new(&aisbx__v1__restart_context_response__descriptor);
    if (msg != NULL && (msg->context = pb_context(context)) == NULL) {
        (void)sb_err_oom(&err);
    }
    sb_api_finish(wait->call, msg, &err);
}

static void
restart_context(struct sb_rpc_call *call, const Aisbx__V1__RestartContextRequest *req, void *svc)
{
    struct sb_err err;
    struct sb_context *context = find(call, svc, req->context_id);
    if (context == NULL) {
        return;
    }
    if (sb_context_restart(context, &err) < 0) {
        sb_rpc_call_fail(call, &err);
        return;
    }
    struct wait *wait = wait_new(call, context, on_restarted);
    if (wait != NULL) {
        on_restarted(&wait->observer, context);
    }
}

static void interrupt_context(struct sb_rpc_call *call,
                              const Aisbx__V1__InterruptContextRequest *req,
                              void *svc)
{
    const struct sb_err ok = {.code = SB_OK};
    struct sb_context *context = find(call, svc, req->context_id);
    if (context != NULL) {
        sb_context_interrupt(context, SB_CAUSE_CANCELLED);
        sb_api_finish(call, sb_api_pb_new(&aisbx__v1__interrupt_context_response__descriptor), &ok);
    }
}

/* ---- DeleteContext ---- */

static void on_deleted(struct sb_context_observer *observer, struct sb_context *context)
{
    const struct sb_err ok = {.code = SB_OK};
    struct wait *wait = SB_LIST_ENTRY(observer, struct wait, observer);
    if (!wait->is_over && sb_context_is_gone(context)) {
        wait->is_over = true;
        sb_api_finish(wait->call, sb_api_pb_new(&aisbx__v1__delete_context_response__descriptor),
                      &ok);
    }
}

static void
delete_context(struct sb_rpc_call *call, const Aisbx__V1__DeleteContextRequest *req, void *svc)
{
    struct sb_context *context = find(call, svc, req->context_id);
    if (context == NULL) {
        return;
    }
    struct wait *wait = wait_new(call, context, on_deleted);
    if (wait != NULL) {
        sb_context_enter(context);
        sb_context_delete(context);
        on_deleted(&wait->observer, context);
        sb_context_leave(context);
    }
}

/* ---- ListContexts ---- */

static uint64_t question_of(const struct sb_worker *worker,
                            const struct sb_caller *caller,
                            const struct sb_sandbox *sandbox)
{
    char text[SB_CALLER_ACTOR_SIZE + SB_ID_SIZE + 16];
    int n = snprintf(text, sizeof text, "contexts|%s|%s", caller->actor, sandbox->id);
    return sb_hash_sip13(worker->page_key.key, text, (size_t)n);
}

static int fill_page(const struct sb_worker *worker,
                     const struct sb_caller *caller,
                     const struct sb_sandbox *sandbox,
                     const Aisbx__V1__ListContextsRequest *req,
                     Aisbx__V1__ListContextsResponse *msg,
                     struct sb_err *err)
{
    uint64_t question = question_of(worker, caller, sandbox);
    uint64_t cursor = 0;
    uint64_t last = 0;
    size_t size = sb_page_size(req->page_size);
    if (sb_page_cursor(&worker->page_key, sb_str_from(req->page_token), question, &cursor, err) <
        0) {
        return -1;
    }
    msg->contexts = calloc(size, sizeof(Aisbx__V1__Context *));
    if (msg->contexts == NULL) {
        return sb_err_oom(err);
    }
    SB_FOREACH (node, &worker->contexts.list) {
        const struct sb_context *context = SB_LIST_ENTRY(node, struct sb_context, link);
        if (context->seq >= cursor || context->sandbox != sandbox) {
            continue;
        }
        if (msg->n_contexts == size) {
            char token[SB_PAGE_TOKEN_SIZE];
            sb_page_token(&worker->page_key, last, question, token);
            return sb_api_pb_text(&msg->next_page_token, token) ? 0 : sb_err_oom(err);
        }
        Aisbx__V1__Context *item = pb_context(context);
        if (item == NULL) {
            return sb_err_oom(err);
        }
        msg->contexts[msg->n_contexts++] = item;
        last = context->seq;
    }
    return 0;
}

static void
list_contexts(struct sb_rpc_call *call, const Aisbx__V1__ListContextsRequest *req, void *svc)
{
    struct sb_worker *worker = svc;
    struct sb_err err = {.code = SB_OK};
    struct sb_caller caller;
    struct sb_sandbox *sandbox = NULL;
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    if (sb_api_find_sandbox(worker, &caller, req->sandbox_id, &sandbox, &err) < 0) {
        sb_rpc_call_fail(call, &err);
        return;
    }
    Aisbx__V1__ListContextsResponse *msg =
        sb_api_pb_new(&aisbx__v1__list_contexts_response__descriptor);
    if (msg != NULL) {
        (void)fill_page(worker, &caller, sandbox, req, msg, &err);
    }
    sb_api_finish(call, msg, &err);
}

const struct aisbx__v1__context_service__server sb_api_context_service = {
    .create_context = {create_context, wait_done},
    .list_contexts = {list_contexts, NULL},
    .execute_code = {sb_api_code_start, sb_api_code_drained, sb_api_code_done},
    .interrupt_context = {interrupt_context, NULL},
    .restart_context = {restart_context, wait_done},
    .delete_context = {delete_context, wait_done},
};
