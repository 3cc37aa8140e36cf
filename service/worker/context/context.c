#include "service/worker/context/context.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "service/worker/context/answer.h"
#include "service/worker/context/interpreter.h"
#include "service/worker/exec.h"
#include "service/worker/limits.h"
#include "service/worker/sandbox.h"
#include "service/worker/timer.h"
#include "service/worker/worker.h"

/* ---- all of a worker ---- */

void sb_contexts_init(struct sb_contexts *contexts)
{
    *contexts = (struct sb_contexts){.next_seq = 1};
    sb_map_init(&contexts->by_id, SB_MAX_ALL_CONTEXTS);
    sb_list_init(&contexts->list);
}

struct sb_context *sb_contexts_get(const struct sb_contexts *contexts, const char *id)
{
    return sb_map_get(&contexts->by_id, sb_str_from(id));
}

static size_t count_of(const struct sb_contexts *contexts, const struct sb_sandbox *sandbox)
{
    size_t n = 0;
    SB_FOREACH (node, &contexts->list) {
        n += SB_LIST_ENTRY(node, struct sb_context, link)->sandbox == sandbox;
    }
    return n;
}

static int enlist(struct sb_context *context, struct sb_err *err)
{
    struct sb_contexts *contexts = &context->worker->contexts;
    if (count_of(contexts, context->sandbox) >= SB_MAX_CONTEXTS) {
        return sb_err_set(err, SB_EXHAUSTED, "sandbox %s has %d contexts already; delete one",
                          context->sandbox->id, SB_MAX_CONTEXTS);
    }
    if (contexts->n >= SB_MAX_ALL_CONTEXTS) {
        return sb_err_set(err, SB_EXHAUSTED, "this worker has %d contexts already; delete some",
                          SB_MAX_ALL_CONTEXTS);
    }
    if (sb_map_put(&contexts->by_id, sb_str_from(context->id), context, err) < 0) {
        return -1;
    }
    context->seq = contexts->next_seq++;
    sb_list_prepend(&contexts->list, &context->link);
    contexts->n++;
    return 0;
}

/** Nobody finds it any more. */
static void forget(struct sb_context *context)
{
    struct sb_contexts *contexts = &context->worker->contexts;
    if (sb_list_is_linked(&context->link)) {
        (void)sb_map_remove(&contexts->by_id, sb_str_from(context->id));
        sb_list_remove(&context->link);
        contexts->n--;
        sb_idem_drop(&context->worker->idem, context->id); /* who asks again gets a new one */
    }
}

/* ---- the life of one ---- */

static bool is_active(enum sb_context_state state)
{
    return state == SB_CONTEXT_STARTING || state == SB_CONTEXT_BUSY;
}

static void unobserve_exec(struct sb_context *context)
{
    if (context->exec != NULL) {
        sb_exec_unobserve(&context->exec_observer);
        context->exec = NULL;
    }
}

static void context_free(struct sb_context *context)
{
    if (is_active(context->state)) {
        sb_sandbox_exec_left(context->sandbox);
    }
    unobserve_exec(context);
    sb_channel_close(context);
    (void)event_del(&context->start_timer);
    (void)event_del(&context->wall_timer);
    (void)event_del(&context->grace_timer);
    (void)event_del(&context->again_timer);
    (void)event_del(&context->more_timer);
    SB_FOREACH (node, &context->pieces) {
        struct sb_piece *piece = SB_LIST_ENTRY(node, struct sb_piece, link);
        free(piece->code);
        free(piece);
    }
    sb_buf_done(&context->in);
    sb_buf_done(&context->out);
    sb_pairs_done(&context->env);
    free(context->cwd);
    sb_sandbox_unref(context->sandbox);
    free(context);
}

void sb_contexts_done(struct sb_contexts *contexts)
{
    SB_FOREACH (node, &contexts->list) {
        struct sb_context *context = SB_LIST_ENTRY(node, struct sb_context, link);
        sb_list_remove(&context->link);
        context_free(context);
    }
    sb_map_done(&contexts->by_id);
}

void sb_context_enter(struct sb_context *context)
{
    context->depth++;
}

void sb_context_leave(struct sb_context *context)
{
    if (--context->depth == 0 && !sb_list_is_linked(&context->link) && context->exec == NULL &&
        sb_list_is_empty(&context->observers) && sb_list_is_empty(&context->pieces)) {
        context_free(context);
    }
}

static void tell(struct sb_context *context)
{
    SB_FOREACH (node, &context->observers) {
        struct sb_context_observer *observer =
            SB_LIST_ENTRY(node, struct sb_context_observer, link);
        observer->changed(observer, context);
    }
}

void sb_context_set_state(struct sb_context *context, enum sb_context_state state)
{
    if (is_active(state) && !is_active(context->state)) {
        sb_sandbox_exec_joined(context->sandbox);
    } else if (!is_active(state) && is_active(context->state)) {
        sb_sandbox_exec_left(context->sandbox);
    }
    context->state = state;
    tell(context);
}

void sb_context_observe(struct sb_context *context, struct sb_context_observer *observer)
{
    sb_list_append(&context->observers, &observer->link);
}

void sb_context_unobserve(struct sb_context *context, struct sb_context_observer *observer)
{
    sb_context_enter(context);
    sb_list_remove(&observer->link);
    sb_context_leave(context);
}

bool sb_context_is_gone(const struct sb_context *context)
{
    return context->exec == NULL;
}

/* ---- the interpreter ---- */

void sb_context_refuse(struct sb_context *context, const char *why)
{
    if (context->reason[0] == '\0') {
        (void)snprintf(context->reason, sizeof context->reason, "%s", why);
    }
    sb_channel_close(context);
    if (context->exec != NULL) {
        sb_exec_kill(context->exec, SB_CAUSE_CANCELLED);
    }
}

static void on_start_timeout(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_context *context = ctx;
    if (context->sandbox->state == SB_STATE_PAUSED) {
        sb_timer_arm(&context->start_timer, SB_MAX_CONTEXT_START_MS);
        return;
    }
    sb_context_enter(context);
    if (context->state == SB_CONTEXT_STARTING) {
        sb_context_refuse(context, "the interpreter was not ready in time");
        sb_context_pump(context);
    }
    sb_context_leave(context);
}

static void on_exec_changed(struct sb_exec_observer *observer, struct sb_exec *exec)
{
    (void)exec;
    struct sb_context *context = SB_LIST_ENTRY(observer, struct sb_context, exec_observer);
    sb_context_enter(context);
    sb_context_pump(context);
    sb_context_leave(context);
}

int sb_context_start(struct sb_context *context, struct sb_err *err)
{
    const struct sb_interpreter *language = context->language;
    char *args[SB_INTERPRETER_MAX_ARGS + 2];
    size_t n_args = 0;
    SB_CLEANUP(sb_closep) int theirs = -1;
    while (language->before[n_args] != NULL) {
        args[n_args] = (char *)(uintptr_t)language->before[n_args]; /* copied */
        n_args++;
    }
    args[n_args++] = (char *)(uintptr_t)language->start;
    const struct sb_exec_options options = {
        .args = args,
        .n_args = n_args,
        .env = &context->env,
        .cwd = context->cwd,
        .is_background = true,
        .channel = &theirs,
    };
    struct sb_exec *exec = NULL;
    if (sb_channel_open(context, &theirs, err) < 0) {
        return -1;
    }
    if (sb_exec_new(context->sandbox, &options, false, &exec, err) < 0) {
        sb_channel_close(context);
        return -1;
    }
    theirs = -1;
    context->exec = exec;
    context->reason[0] = '\0';
    memcpy(context->exec_id, exec->id, sizeof context->exec_id);
    memset(context->offsets, 0, sizeof context->offsets);
    context->exec_observer.changed = on_exec_changed;
    sb_exec_observe(exec, &context->exec_observer);
    sb_timer_arm(&context->start_timer, SB_MAX_CONTEXT_START_MS);
    sb_context_set_state(context, SB_CONTEXT_STARTING);
    return 0;
}

static int check(const struct sb_context_options *options, struct sb_err *err)
{
    if (sb_interpreter_find(options->language) == NULL) {
        return sb_err_set(err, SB_INVALID, "language: must be one of %s", sb_interpreter_names());
    }
    return 0;
}

static int
fill(struct sb_context *context, const struct sb_context_options *options, struct sb_err *err)
{
    context->language = sb_interpreter_find(options->language);
    if (options->cwd != NULL && (context->cwd = strdup(options->cwd)) == NULL) {
        return sb_err_oom(err);
    }
    if (options->env != NULL && sb_pairs_merge(&context->env, options->env, err) < 0) {
        return -1;
    }
    return sb_id_make_kin(context->id, "cx_", context->worker->id, err);
}

int sb_context_new(struct sb_sandbox *sandbox,
                   const struct sb_context_options *options,
                   struct sb_context **ret_context,
                   struct sb_err *err)
{
    if (check(options, err) < 0) {
        return -1;
    }
    struct sb_context *context = calloc(1, sizeof *context);
    if (context == NULL) {
        return sb_err_oom(err);
    }
    context->worker = sandbox->worker;
    context->sandbox = sandbox;
    sandbox->refs++;
    context->state = SB_CONTEXT_DEAD;
    context->channel = -1;
    context->create_ms = sb_clock_real_ms();
    sb_buf_init(&context->in, SB_ANSWER_MAX + SB_MAX_CHUNK_BYTES);
    sb_buf_init(&context->out, SB_MAX_CODE_BYTES + 1);
    sb_list_init(&context->pieces);
    sb_list_init(&context->observers);
    (void)event_assign(&context->start_timer, context->worker->base, -1, 0, on_start_timeout,
                       context);
    sb_pieces_timers_init(context);
    if (fill(context, options, err) < 0 || enlist(context, err) < 0) {
        context_free(context);
        return -1;
    }
    if (sb_context_start(context, err) < 0) {
        forget(context);
        context_free(context);
        return -1;
    }
    *ret_context = context;
    return 0;
}

static bool is_over(const struct sb_sandbox *sandbox)
{
    return sandbox->state >= SB_STATE_STOPPING;
}

int sb_context_restart(struct sb_context *context, struct sb_err *err)
{
    int rc = 0;
    if (is_over(context->sandbox)) {
        return sb_err_set(err, SB_PRECONDITION, "sandbox %s is %s", context->sandbox->id,
                          sb_state_name(context->sandbox->state));
    }
    sb_context_enter(context);
    sb_pieces_fail(context, "it was restarted");
    if (context->exec != NULL) {
        context->is_wanted = true;
        sb_exec_kill(context->exec, SB_CAUSE_CANCELLED);
        sb_context_pump(context);
    } else {
        rc = sb_context_start(context, err);
    }
    sb_context_leave(context);
    return rc;
}

void sb_context_delete(struct sb_context *context)
{
    sb_context_enter(context);
    forget(context);
    context->is_wanted = false;
    sb_pieces_fail(context, "it was deleted");
    if (context->exec != NULL) {
        sb_exec_kill(context->exec, SB_CAUSE_CANCELLED);
        sb_context_pump(context);
    }
    sb_context_leave(context);
}

void sb_context_interrupt(struct sb_context *context, enum sb_cause cause)
{
    struct sb_piece *piece = sb_pieces_running(context);
    if (piece != NULL && !piece->is_over) {
        piece->cause = piece->cause == SB_CAUSE_NONE ? cause : piece->cause;
        sb_exec_interrupt(context->exec);
        if (context->language->interrupt_again_ms != 0) {
            sb_timer_arm(&context->again_timer, context->language->interrupt_again_ms);
        }
    }
}

/* ---- its end ---- */

/** Its exec has a verdict, and no piece waits to be told of it. */
static void die(struct sb_context *context)
{
    const struct sb_exec *exec = context->exec;
    const char *why = exec->start_err.code != SB_OK ? exec->start_err.text : exec->verdict.message;
    (void)event_del(&context->start_timer);
    sb_channel_close(context);
    if (context->reason[0] == '\0') {
        (void)snprintf(context->reason, sizeof context->reason, "%s", why);
    }
    if (context->state != SB_CONTEXT_DEAD) {
        SB_LOG_DEBUG("context died", "context=%s why=%s", context->id, context->reason);
        sb_pieces_fail(context, "its interpreter has ended");
        sb_context_set_state(context, SB_CONTEXT_DEAD);
    }
}

/** No process of it is left: another one may start. */
static void detach(struct sb_context *context)
{
    struct sb_err err;
    unobserve_exec(context);
    if (is_over(context->sandbox)) {
        forget(context);
        context->is_wanted = false;
    }
    if (context->is_wanted) {
        context->is_wanted = false;
        if (sb_context_start(context, &err) == 0) {
            return;
        }
        (void)snprintf(context->reason, sizeof context->reason, "%s", err.text);
    }
    tell(context);
}

void sb_context_settle(struct sb_context *context)
{
    if (context->exec != NULL && sb_exec_has_ended(context->exec) &&
        sb_pieces_running(context) == NULL) {
        die(context);
        if (sb_exec_is_empty(context->exec)) {
            detach(context);
        }
    }
}
