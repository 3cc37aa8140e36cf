#include "service/worker/pause.h"

#include "base/clock.h"
#include "base/log.h"
#include "service/worker/exec.h"
#include "service/worker/exec_pause.h"
#include "service/worker/limits.h"
#include "service/worker/sandbox.h"
#include "service/worker/spawner.h"
#include "service/worker/timer.h"
#include "service/worker/watch.h"
#include "service/worker/worker.h"

enum { AGAIN_MS = 5 };

static void ask(struct sb_sandbox *sandbox);

bool sb_pause_is_frozen(const struct sb_sandbox *sandbox)
{
    return sandbox->state == SB_STATE_PAUSED && sandbox->pause.is_frozen && sandbox->pause.wants;
}

/* ---- into it and out of it ---- */

static void hold(struct sb_sandbox *sandbox)
{
    sandbox->pause.since_ms = sb_clock_mono_ms();
    SB_FOREACH (node, &sandbox->execs) {
        sb_exec_pause(SB_LIST_ENTRY(node, struct sb_exec, sandbox_link));
    }
    sb_sandbox_move(sandbox, SB_STATE_PAUSED);
    sb_sandbox_set_idle(sandbox, sandbox->idle_ms); /* a paused one is not idle */
}

/* Clocks run on. */
static void release(struct sb_sandbox *sandbox)
{
    SB_FOREACH (node, &sandbox->execs) {
        sb_exec_resume(SB_LIST_ENTRY(node, struct sb_exec, sandbox_link), sandbox->pause.since_ms);
    }
    sandbox->pause.since_ms = 0;
}

static void let_go(struct sb_sandbox *sandbox)
{
    sandbox->pause.is_frozen = false;
    sb_sandbox_move(sandbox, SB_STATE_RUNNING);
    sb_sandbox_set_idle(sandbox, sandbox->idle_ms);
    release(sandbox);
    SB_FOREACH (node, &sandbox->execs) {
        sb_exec_begin(SB_LIST_ENTRY(node, struct sb_exec, sandbox_link));
    }
    sb_watch_sandbox(sandbox->worker, SB_WATCH_CHANGED, sandbox);
    sb_sandbox_tell(sandbox);
}

/* ---- what the spawner says ---- */

static void on_failed(struct sb_sandbox *sandbox, const struct sb_err *err)
{
    struct sb_pause *pause = &sandbox->pause;
    if (!pause->wants && pause->is_frozen) { /* one that cannot be thawed has no future */
        sb_sandbox_destroy(sandbox, SB_REASON_WORKER_LOST, err->text);
        return;
    }
    SB_LOG_WARN("a sandbox cannot be paused", "sandbox=%s why=%s", sandbox->id, err->text);
    pause->err = pause->wants ? *err : pause->err;
    pause->wants = false;
    let_go(sandbox);
}

static void on_not_frozen(struct sb_sandbox *sandbox)
{
    struct sb_pause *pause = &sandbox->pause;
    if (sb_clock_mono_ms() < pause->deadline_ms) {
        sb_timer_arm(&pause->timer, AGAIN_MS);
        return;
    }
    (void)sb_err_set(&pause->err, SB_DEADLINE,
                     "sandbox %s: the kernel did not freeze all of it within %d s (a program waits "
                     "for a disk or a network file system); it runs on, try again",
                     sandbox->id, SB_MAX_FREEZE_MS / 1000);
    pause->wants = false;
    ask(sandbox);
}

static void on_answer(void *ctx,
                      const Spawn__V1__Reply *reply,
                      struct sb_frame *frame,
                      const struct sb_err *failure)
{
    (void)frame;
    struct sb_sandbox *sandbox = ctx;
    struct sb_pause *pause = &sandbox->pause;
    bool was_freeze = pause->asked_to_freeze;
    pause->is_asking = false;
    if (sandbox->state != SB_STATE_PAUSED) {
        /* It ends. */
    } else if (reply == NULL) {
        on_failed(sandbox, failure);
    } else if (was_freeze != pause->wants) {
        ask(sandbox); /* the wish has changed meanwhile */
    } else if (!was_freeze) {
        let_go(sandbox);
    } else if (!reply->frozen->done) {
        on_not_frozen(sandbox);
    } else {
        pause->is_frozen = true;
        sb_watch_sandbox(sandbox->worker, SB_WATCH_CHANGED, sandbox);
        sb_sandbox_tell(sandbox);
    }
    sb_sandbox_unref(sandbox);
}

static void ask(struct sb_sandbox *sandbox)
{
    struct sb_pause *pause = &sandbox->pause;
    struct sb_err err;
    if (pause->is_asking) {
        return;
    }
    (void)event_del(&pause->timer);
    pause->asked_to_freeze = pause->wants;
    if (sb_spawner_freeze(sandbox->worker->spawner, sandbox->slot, pause->wants, on_answer, sandbox,
                          &err) < 0) {
        on_failed(sandbox, &err);
        return;
    }
    sandbox->refs++;
    pause->is_asking = true;
}

static void on_again(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    ask(ctx);
}

/* ---- wishes ---- */

int sb_pause_begin(struct sb_sandbox *sandbox, struct sb_err *err)
{
    struct sb_pause *pause = &sandbox->pause;
    if (sandbox->state != SB_STATE_RUNNING && sandbox->state != SB_STATE_PAUSED) {
        return sb_err_set(err, SB_PRECONDITION, "sandbox %s is %s", sandbox->id,
                          sb_state_name(sandbox->state));
    }
    if (sandbox->state == SB_STATE_PAUSED && pause->wants) {
        return 0;
    }
    pause->err.code = SB_OK;
    pause->wants = true;
    pause->is_frozen = false;
    pause->deadline_ms = sb_clock_mono_ms() + SB_MAX_FREEZE_MS;
    if (sandbox->state == SB_STATE_RUNNING) {
        hold(sandbox);
    }
    ask(sandbox);
    return 0;
}

int sb_pause_end(struct sb_sandbox *sandbox, struct sb_err *err)
{
    if (sandbox->state == SB_STATE_RUNNING) {
        return 0;
    }
    if (sandbox->state != SB_STATE_PAUSED) {
        return sb_err_set(err, SB_PRECONDITION, "sandbox %s is %s", sandbox->id,
                          sb_state_name(sandbox->state));
    }
    if (sandbox->pause.wants) {
        sandbox->pause.wants = false;
        ask(sandbox);
    }
    return 0;
}

void sb_pause_init(struct sb_sandbox *sandbox)
{
    (void)event_assign(&sandbox->pause.timer, sandbox->worker->base, -1, 0, on_again, sandbox);
}

void sb_pause_stop(struct sb_sandbox *sandbox)
{
    (void)event_del(&sandbox->pause.timer);
    if (sandbox->pause.since_ms != 0) {
        release(sandbox);
    }
}
