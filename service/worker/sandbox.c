#include "service/worker/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "service/worker/audit.h"
#include "service/worker/counters.h"
#include "service/worker/events.h"
#include "service/worker/exec.h"
#include "service/worker/metrics.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/request.h"
#include "service/worker/port/port.h"
#include "service/worker/snapshot/snapshot.h"
#include "service/worker/spawner.h"
#include "service/worker/timer.h"
#include "service/worker/tombs.h"
#include "service/worker/watch.h"
#include "service/worker/worker.h"

static const enum sb_cause causes[SB_REASON_END_] = {
    [SB_REASON_REQUESTED] = SB_CAUSE_DESTROYED,
    [SB_REASON_TTL] = SB_CAUSE_TTL,
    [SB_REASON_IDLE] = SB_CAUSE_IDLE,
    [SB_REASON_INIT_DIED] = SB_CAUSE_INIT_DIED,
    [SB_REASON_WORKER_LOST] = SB_CAUSE_WORKER_STOPPED,
    [SB_REASON_CANCELLED] = SB_CAUSE_CLIENT_GONE,
};

enum sb_cause sb_sandbox_cause(enum sb_reason reason)
{
    return reason < SB_REASON_END_ ? causes[reason] : SB_CAUSE_NONE;
}

void sb_sandbox_tell(struct sb_sandbox *sandbox)
{
    SB_FOREACH (node, &sandbox->observers) {
        struct sb_sandbox_observer *observer =
            SB_LIST_ENTRY(node, struct sb_sandbox_observer, link);
        observer->changed(observer, sandbox);
    }
}

void sb_sandbox_observe(struct sb_sandbox *sandbox, struct sb_sandbox_observer *observer)
{
    sb_list_append(&sandbox->observers, &observer->link);
}

void sb_sandbox_unobserve(struct sb_sandbox_observer *observer)
{
    sb_list_remove(&observer->link);
}

void sb_sandbox_move(struct sb_sandbox *sandbox, enum sb_state to)
{
    struct sb_err err;
    if (sb_state_move(&sandbox->state, to, &err) < 0) {
        SB_LOG_ERROR("bug: state", "sandbox=%s why=%s", sandbox->id, err.text);
    }
}

void sb_sandbox_set_reason(struct sb_sandbox *sandbox, enum sb_reason reason, const char *message)
{
    if (sandbox->reason == SB_REASON_NONE) {
        sandbox->reason = reason;
        (void)sb_utf8_sanitize(sandbox->destroy_message, sizeof sandbox->destroy_message,
                               sb_str_from(message), SB_UTF8_ONE_LINE);
    }
}

/* ---- timers ---- */

static void set(struct event *timer, uint64_t ms)
{
    if (ms == 0) {
        (void)event_del(timer);
    } else {
        sb_timer_arm(timer, ms);
    }
}

static void on_ttl(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    sb_sandbox_destroy(ctx, SB_REASON_TTL, "its ttl_ms passed");
}

static void on_idle(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    sb_sandbox_destroy(ctx, SB_REASON_IDLE, "idle_ms passed without an exec");
}

void sb_sandbox_timers_init(struct sb_sandbox *sandbox)
{
    struct event_base *base = sandbox->worker->base;
    (void)event_assign(&sandbox->ttl_timer, base, -1, 0, on_ttl, sandbox);
    (void)event_assign(&sandbox->idle_timer, base, -1, 0, on_idle, sandbox);
    sb_pause_init(sandbox);
}

void sb_sandbox_set_ttl(struct sb_sandbox *sandbox, uint64_t ttl_ms)
{
    sandbox->ttl_ms = ttl_ms;
    sandbox->expire_ms = ttl_ms == 0 ? 0 : sb_clock_real_ms() + ttl_ms;
    set(&sandbox->ttl_timer, ttl_ms);
}

static bool is_idle(const struct sb_sandbox *sandbox)
{
    return sandbox->n_active == 0 && sandbox->n_fileops == 0 && sandbox->n_tunnels == 0 &&
           sandbox->state == SB_STATE_RUNNING;
}

void sb_sandbox_set_idle(struct sb_sandbox *sandbox, uint64_t idle_ms)
{
    sandbox->idle_ms = idle_ms;
    set(&sandbox->idle_timer, is_idle(sandbox) ? idle_ms : 0);
}

void sb_sandbox_exec_joined(struct sb_sandbox *sandbox)
{
    sandbox->n_active++;
    set(&sandbox->idle_timer, 0);
}

void sb_sandbox_exec_left(struct sb_sandbox *sandbox)
{
    sandbox->n_active--;
    if (is_idle(sandbox)) {
        set(&sandbox->idle_timer, sandbox->idle_ms);
    }
}

void sb_sandbox_file_joined(struct sb_sandbox *sandbox)
{
    sandbox->n_fileops++;
    set(&sandbox->idle_timer, 0);
}

void sb_sandbox_file_left(struct sb_sandbox *sandbox)
{
    sandbox->n_fileops--;
    if (is_idle(sandbox)) {
        set(&sandbox->idle_timer, sandbox->idle_ms);
    }
}

void sb_sandbox_tunnel_joined(struct sb_sandbox *sandbox)
{
    sandbox->n_tunnels++;
    set(&sandbox->idle_timer, 0);
}

void sb_sandbox_tunnel_left(struct sb_sandbox *sandbox)
{
    sandbox->n_tunnels--;
    if (is_idle(sandbox)) {
        set(&sandbox->idle_timer, sandbox->idle_ms);
    }
}

/* ---- counters ---- */

static void hand_out(struct sb_sandbox *sandbox, const struct sb_counters *counters)
{
    SB_FOREACH (node, &sandbox->execs) {
        struct sb_exec *exec = SB_LIST_ENTRY(node, struct sb_exec, sandbox_link);
        if (exec->count == SB_EXEC_COUNT_ASKED) {
            sb_exec_counted(exec, counters);
        }
    }
}

static void on_counted(void *ctx,
                       const Spawn__V1__Reply *reply,
                       struct sb_frame *frame,
                       const struct sb_err *failure)
{
    (void)frame;
    (void)failure; /* gone, or the spawner is: both end the execs in their own way */
    struct sb_sandbox *sandbox = ctx;
    struct sb_counters counters;
    sb_counters_read(reply == NULL ? NULL : reply->counters, &counters);
    sandbox->is_counting = false;
    hand_out(sandbox, &counters);
    sb_sandbox_count(sandbox); /* who came meanwhile must not be told what is older */
    sb_sandbox_unref(sandbox);
}

void sb_sandbox_count(struct sb_sandbox *sandbox)
{
    static const struct sb_counters nothing = {0};
    struct sb_err err;
    bool is_wanted = false;
    if (sandbox->is_counting) {
        return;
    }
    SB_FOREACH (node, &sandbox->execs) {
        struct sb_exec *exec = SB_LIST_ENTRY(node, struct sb_exec, sandbox_link);
        if (exec->count == SB_EXEC_COUNT_WANTED) {
            exec->count = SB_EXEC_COUNT_ASKED;
            is_wanted = true;
        }
    }
    if (!is_wanted) {
        return;
    }
    if (sb_spawner_count(sandbox->worker->spawner, sandbox->slot, on_counted, sandbox, &err) < 0) {
        hand_out(sandbox, &nothing);
        return;
    }
    sandbox->refs++;
    sandbox->is_counting = true;
}

/* ---- the end ---- */

static void free_parts(struct sb_sandbox *sandbox)
{
    if (sandbox->peer_fd >= 0) {
        close(sandbox->peer_fd);
    }
    if (sandbox->init_fd >= 0) {
        (void)event_del(&sandbox->init_event);
        close(sandbox->init_fd);
    }
    sandbox->peer_fd = -1;
    sandbox->init_fd = -1;
    sb_warm_done(&sandbox->warm);
    sb_ports_done(sandbox);
    sb_handover_done(&sandbox->handover);
    sb_egress_leave(sandbox->worker->egress, sandbox);
    sb_packages_leave(sandbox);
    sb_notify_stop(&sandbox->notify);
    sb_snapshot_unref(sandbox->worker, SB_STEAL_PTR(sandbox->base));
    (void)event_del(&sandbox->ttl_timer);
    (void)event_del(&sandbox->idle_timer);
    sb_pause_stop(sandbox);
}

void sb_sandbox_unref(struct sb_sandbox *sandbox)
{
    if (--sandbox->refs > 0) {
        return;
    }
    free_parts(sandbox);
    sb_notify_done(&sandbox->notify);
    sb_warm_plan_done(&sandbox->warm_plan);
    sb_policy_free(sandbox->policy);
    sb_pairs_done(&sandbox->labels);
    sb_strings_done(&sandbox->degraded);
    free(sandbox->owner);
    free(sandbox->spec);
    free(sandbox);
}

/** Nothing of it is left. */
static void finish(struct sb_sandbox *sandbox, const struct sb_gone *gone)
{
    sb_egress_settle(sandbox->worker->egress); /* the last refusals */
    sb_audit_settle(sandbox->worker->audit);
    sb_sandbox_move(sandbox, SB_STATE_DESTROYED);
    sandbox->destroy_ms = sb_clock_real_ms();
    free_parts(sandbox);
    sb_registry_bury(&sandbox->worker->registry, sandbox);
    sb_tomb_write(sandbox);
    if (sandbox->start_err.code != SB_OK) {
        sb_idem_drop(&sandbox->worker->idem, sandbox->id);
    }
    SB_LOG_INFO("sandbox destroyed", "sandbox=%s reason=%d message=%s", sandbox->id,
                (int)sandbox->reason, sandbox->destroy_message);
    sandbox->refs++; /* the execs hold it too, and may be the last */
    SB_FOREACH (node, &sandbox->execs) {
        struct sb_exec *exec = SB_LIST_ENTRY(node, struct sb_exec, sandbox_link);
        if (sandbox->start_err.code != SB_OK) {
            sb_exec_fail(exec, &sandbox->start_err);
        } else {
            sb_exec_gone(exec, sb_sandbox_cause(sandbox->reason), gone);
        }
    }
    if (sandbox->start_err.code == SB_OK) {
        sb_worker_metrics_stopped(sandbox);
    } else {
        sb_worker_metrics_started(sandbox, true);
        sb_spans_sandbox_made(sandbox, true);
    }
    sb_event_sandbox_ended(sandbox);
    sb_watch_sandbox(sandbox->worker, SB_WATCH_DESTROYED, sandbox);
    sb_sandbox_tell(sandbox);
    sb_sandbox_unref(sandbox);
}

void sb_sandbox_fail(struct sb_sandbox *sandbox, const struct sb_err *err)
{
    static const struct sb_gone nothing = {0};
    if (sandbox->state == SB_STATE_STARTING) {
        sandbox->start_err = *err;
        sb_sandbox_set_reason(sandbox, SB_REASON_START_FAILED, err->text);
    }
    finish(sandbox, &nothing);
}

static void blame(struct sb_sandbox *sandbox, enum sb_cause cause)
{
    SB_FOREACH (node, &sandbox->execs) {
        struct sb_exec *exec = SB_LIST_ENTRY(node, struct sb_exec, sandbox_link);
        sb_exec_settle(exec); /* what ended by itself before is not ours */
        if (exec->state < SB_EXEC_EXITED && exec->facts.cause == SB_CAUSE_NONE) {
            exec->facts.cause = cause;
        }
    }
}

void sb_sandbox_destroy(struct sb_sandbox *sandbox, enum sb_reason reason, const char *message)
{
    bool is_running = sandbox->state == SB_STATE_RUNNING || sandbox->state == SB_STATE_PAUSED;
    if (!is_running && sandbox->state != SB_STATE_STARTING) {
        return;
    }
    sb_sandbox_set_reason(sandbox, reason, message);
    blame(sandbox, sb_sandbox_cause(reason));
    if (sandbox->state > SB_STATE_PAUSED) {
        return; /* its only exec turned out to be over */
    }
    sb_sandbox_move(sandbox, SB_STATE_STOPPING);
    set(&sandbox->ttl_timer, 0);
    set(&sandbox->idle_timer, 0);
    sb_ports_done(sandbox); /* before its servers end: a cut must not look like their end */
    sb_pause_stop(sandbox);
    if (is_running) {
        sb_spawner_kill(sandbox->worker->spawner, sandbox->slot);
    } else if (sb_packages_is_waiting(sandbox)) {
        sb_packages_stop(sandbox);
    } else if (sandbox->is_waiting) { /* nobody else would bring it to its end */
        static const struct sb_gone nothing = {0};
        sandbox->is_waiting = false;
        (void)sb_err_set(&sandbox->start_err, SB_CANCELLED, "%s", sandbox->destroy_message);
        finish(sandbox, &nothing);
        return;
    }
    sb_watch_sandbox(sandbox->worker, SB_WATCH_CHANGED, sandbox);
    sb_sandbox_tell(sandbox);
}

/* ---- back to a snapshot ---- */

int sb_sandbox_check_binder(const struct sb_sandbox *sandbox,
                            const char *caller,
                            int peer_fd,
                            struct sb_err *err)
{
    if (sandbox->policy->mounts.n == 0) {
        return 0;
    }
    if (peer_fd < 0) {
        return sb_err_set(err, SB_DENIED,
                          "mounts: sandbox %s binds directories of its host, which only callers on "
                          "the worker's unix socket can have opened again",
                          sandbox->id);
    }
    return strcmp(sandbox->owner, caller) == 0
               ? 0
               : sb_err_set(err, SB_DENIED,
                            "mounts: sandbox %s binds directories of its host, which are opened "
                            "with the rights of who asks, and only %s, who made it, may ask; make "
                            "another with aisbx create --snapshot",
                            sandbox->id, sandbox->owner);
}

static int check_rollback(const struct sb_sandbox *sandbox,
                          const char *caller,
                          int peer_fd,
                          struct sb_err *err)
{
    if (sandbox->state != SB_STATE_RUNNING) {
        return sb_err_set(err, SB_PRECONDITION, "sandbox %s is %s", sandbox->id,
                          sb_state_name(sandbox->state));
    }
    if (sandbox->is_only) {
        return sb_err_set(err, SB_PRECONDITION, "sandbox %s was made for one exec only",
                          sandbox->id);
    }
    return sb_sandbox_check_binder(sandbox, caller, peer_fd, err);
}

int sb_sandbox_rollback(struct sb_sandbox *sandbox,
                        struct sb_snapshot *base,
                        const char *caller,
                        int peer_fd,
                        struct sb_err *err)
{
    if (check_rollback(sandbox, caller, peer_fd, err) < 0) {
        return -1;
    }
    if (sandbox->policy->mounts.n > 0) {
        sandbox->peer_fd = fcntl(peer_fd, F_DUPFD_CLOEXEC, 3);
        if (sandbox->peer_fd < 0) {
            return sb_err_sys(err, errno, "keep the caller's connection");
        }
    }
    blame(sandbox, SB_CAUSE_ROLLED_BACK);
    sb_snapshot_unref(sandbox->worker, sandbox->base);
    sandbox->base = sb_snapshot_ref(base);
    sandbox->is_rolling = true;
    sb_sandbox_move(sandbox, SB_STATE_STARTING);
    set(&sandbox->idle_timer, 0);
    sb_spawner_kill(sandbox->worker->spawner, sandbox->slot);
    sb_watch_sandbox(sandbox->worker, SB_WATCH_CHANGED, sandbox);
    sb_sandbox_tell(sandbox);
    return 0;
}

/* What ran is gone, and the sandbox comes back. */
static void come_back(struct sb_sandbox *sandbox, const struct sb_gone *gone)
{
    sb_egress_settle(sandbox->worker->egress);
    sb_audit_settle(sandbox->worker->audit);
    sb_egress_part(sandbox->worker->egress, sandbox);
    sb_notify_stop(&sandbox->notify);
    sb_handover_done(&sandbox->handover);
    sb_warm_done(&sandbox->warm);
    if (sandbox->init_fd >= 0) {
        (void)event_del(&sandbox->init_event);
        close(sandbox->init_fd);
        sandbox->init_fd = -1;
    }
    sb_registry_remove_slot(&sandbox->worker->registry, sandbox);
    sandbox->refs++;
    SB_FOREACH (node, &sandbox->execs) {
        sb_exec_gone(SB_LIST_ENTRY(node, struct sb_exec, sandbox_link), SB_CAUSE_ROLLED_BACK, gone);
    }
    sb_strings_done(&sandbox->degraded);
    sandbox->is_rolling = false;
    sb_sandbox_respawn(sandbox);
    sb_sandbox_unref(sandbox);
}

void sb_sandbox_expect_gone(struct sb_sandbox *sandbox, enum sb_reason reason)
{
    bool is_paused = sandbox->state == SB_STATE_PAUSED;
    if (is_paused || sandbox->state == SB_STATE_RUNNING) {
        sb_sandbox_set_reason(sandbox, reason, NULL);
        sb_sandbox_move(sandbox, SB_STATE_STOPPING);
    }
    if (is_paused) { /* PID 1 cannot end while it is frozen */
        sb_spawner_kill(sandbox->worker->spawner, sandbox->slot);
    }
}

void sb_sandbox_gone(struct sb_sandbox *sandbox, const struct sb_gone *gone)
{
    SB_FOREACH (node, &sandbox->execs) {
        sb_exec_settle(SB_LIST_ENTRY(node, struct sb_exec, sandbox_link));
    }
    if (sandbox->is_rolling && sandbox->state == SB_STATE_STARTING) {
        come_back(sandbox, gone);
        return;
    }
    if (sandbox->state == SB_STATE_RUNNING || sandbox->state == SB_STATE_PAUSED) {
        sb_sandbox_set_reason(sandbox, SB_REASON_INIT_DIED,
                              "its PID 1 ended without being asked to");
    }
    finish(sandbox, gone);
}

void sb_sandbox_lost(struct sb_sandbox *sandbox)
{
    static const struct sb_gone nothing = {0};
    if (sandbox->state == SB_STATE_DESTROYED) {
        return;
    }
    SB_FOREACH (node, &sandbox->execs) {
        struct sb_exec *exec = SB_LIST_ENTRY(node, struct sb_exec, sandbox_link);
        sb_exec_settle(exec);
        if (exec->state < SB_EXEC_EXITED && exec->facts.cause == SB_CAUSE_NONE) {
            exec->facts.cause = SB_CAUSE_SPAWNER_DIED;
        }
    }
    sb_sandbox_set_reason(sandbox, SB_REASON_WORKER_LOST, "the worker's spawner died");
    finish(sandbox, &nothing);
}
