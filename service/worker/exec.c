#include "service/worker/exec.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "service/shared/filepart.h"
#include "service/shared/initproto.h"
#include "service/worker/audit.h"
#include "service/worker/events.h"
#include "service/worker/exec_init.h"
#include "service/worker/exec_io.h"
#include "service/worker/exec_pause.h"
#include "service/worker/exec_stage.h"
#include "service/worker/limits.h"
#include "service/worker/metrics.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/request.h"
#include "service/worker/sandbox.h"
#include "service/worker/spawner.h"
#include "service/worker/watch.h"
#include "service/worker/worker.h"

void sb_exec_notify(struct sb_exec *exec)
{
    SB_FOREACH (node, &exec->observers) {
        struct sb_exec_observer *observer = SB_LIST_ENTRY(node, struct sb_exec_observer, link);
        observer->changed(observer, exec);
    }
}

void sb_exec_observe(struct sb_exec *exec, struct sb_exec_observer *observer)
{
    sb_list_append(&exec->observers, &observer->link);
}

void sb_exec_unobserve(struct sb_exec_observer *observer)
{
    sb_list_remove(&observer->link);
}

bool sb_exec_has_ended(const struct sb_exec *exec)
{
    return exec->state == SB_EXEC_ENDED;
}

bool sb_exec_is_empty(const struct sb_exec *exec)
{
    return exec->state == SB_EXEC_ENDED && exec->sock < 0;
}

/* ---- the end ---- */

/** Nothing of it lives and nothing will change: from now on only remembered. */
static void retire(struct sb_exec *exec)
{
    if (!sb_exec_is_empty(exec) || !sb_list_is_linked(&exec->sandbox_link)) {
        return;
    }
    sb_exec_io_close(exec);
    sb_list_remove(&exec->sandbox_link);
    sb_registry_exec_ended(&exec->worker->registry, exec);
}

/* The spawner sets the lesser limit. */
static void note_files(struct sb_exec *exec)
{
    const struct sb_limits *limits = &exec->sandbox->policy->limits;
    exec->facts.files_by_memory =
        !exec->sandbox->has_group && limits->mem_bytes != 0 &&
        (limits->file_bytes == 0 || limits->mem_bytes / SB_FILE_PART < limits->file_bytes);
}

/* A disk that is full is the operator's to know. */
static void note_store(struct sb_exec *exec)
{
    const struct sb_spool *out = &exec->out[0].spool;
    const struct sb_spool *err = &exec->out[1].spool;
    exec->facts.store_errno = out->broken_errno != 0 ? out->broken_errno : err->broken_errno;
    if (exec->facts.store_errno != 0) {
        SB_LOG_WARN("output cannot be stored", "exec=%s sandbox=%s why=%s", exec->id,
                    exec->sandbox->id, strerrordesc_np(exec->facts.store_errno));
    }
}

void sb_exec_end(struct sb_exec *exec)
{
    assert(exec->state != SB_EXEC_ENDED);
    sb_egress_settle(exec->worker->egress); /* what it was refused is said by now */
    sb_audit_settle(exec->worker->audit);
    exec->state = SB_EXEC_ENDED;
    sb_exec_stage_done(exec);
    (void)event_del(&exec->wall_timer);
    (void)event_del(&exec->grace_timer);
    if (exec->packet != NULL) {
        free(exec->packet);
        exec->packet = NULL;
        sb_fd_close_all(exec->stdio, 3);
        sb_fd_close_all(&exec->channel, 1);
    }
    if (exec->end_real_ms == 0) {
        exec->end_real_ms = sb_clock_real_ms();
    }
    struct sb_facts *facts = &exec->facts;
    if (!facts->has_exited && exec->start_mono_ms != 0) {
        facts->wall_ms = sb_clock_mono_ms() - exec->start_mono_ms;
    }
    facts->stdout_bytes = exec->out[0].spool.total;
    facts->stderr_bytes = exec->out[1].spool.total;
    facts->stdout_dropped = sb_spool_dropped(&exec->out[0].spool);
    facts->stderr_dropped = sb_spool_dropped(&exec->out[1].spool);
    note_store(exec);
    note_files(exec);
    if (exec->start_err.code == SB_OK) {
        sb_verdict_decide(facts, &exec->verdict);
    }
    SB_LOG_DEBUG("exec ended", "exec=%s sandbox=%s verdict=%s", exec->id, exec->sandbox->id,
                 exec->verdict.message);
    exec->worker->registry.n_active_execs--;
    if (!exec->is_context) {
        sb_sandbox_exec_left(exec->sandbox);
    }
    sb_spans_exec_end(exec);
    retire(exec);
    sb_event_exec_ended(exec);
    if (exec->start_err.code == SB_OK) {
        sb_worker_metrics_exec(exec);
        sb_watch_exec(exec->worker, SB_WATCH_EXEC_ENDED, exec);
    } else {
        sb_idem_drop(&exec->worker->idem, exec->id);
    }
    sb_exec_notify(exec);
}

/** We killed it, and the verdict waits for the whole tree: who is told "timed out" may count on it.
 */
static bool is_dying(const struct sb_exec *exec)
{
    return exec->facts.cause != SB_CAUSE_NONE && exec->sock >= 0 && !exec->is_overdue;
}

/** The main process has ended: is the output complete? */
static void maybe_end(struct sb_exec *exec)
{
    if (exec->state == SB_EXEC_EXITED && !exec->is_only && exec->count == SB_EXEC_COUNT_NONE &&
        !is_dying(exec) && sb_exec_io_is_drained(exec)) {
        sb_exec_end(exec);
    }
}

static void on_grace(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_exec *exec = ctx;
    if (exec->is_only || sb_exec_has_ended(exec) || is_dying(exec)) {
        return;
    }
    if (exec->state != SB_EXEC_EXITED && exec->facts.cause == SB_CAUSE_NONE) {
        exec->facts.cause = SB_CAUSE_STUB_DIED;
    }
    sb_exec_io_drain(exec);
    sb_exec_end(exec);
}

void sb_exec_on_drained(struct sb_exec *exec)
{
    maybe_end(exec);
}

/* ---- the beginning ---- */

/* Init is gone, or as good as: the sandbox has no future. What took it is told by whoever is heard
 * of next: its own end, or the spawner's, which takes all of them along. */
static void lose_init(const struct sb_exec *exec, const struct sb_err *err)
{
    SB_LOG_WARN("cannot reach init", "sandbox=%s why=%s", exec->sandbox->id, err->text);
    sb_spawner_kill(exec->sandbox->worker->spawner, exec->sandbox->slot);
}

bool sb_exec_send(struct sb_exec *exec)
{
    if (exec->state != SB_EXEC_STARTING || exec->packet == NULL) {
        return true;
    }
    struct sb_err err;
    int sent = sb_exec_init_send(exec, exec->sandbox->init_fd, &err);
    if (sent < 0) {
        lose_init(exec, &err);
    }
    return sent != 0;
}

/* The interpreter that waits in its sandbox becomes the exec. False: none does. */
static bool take_warm(struct sb_exec *exec)
{
    struct sb_warm *warm = &exec->sandbox->warm;
    struct sb_err err;
    if (warm->sock < 0) {
        return false;
    }
    if (!exec->is_awaited) { /* it is the first, and of another kind */
        sb_warm_done(warm);
        return false;
    }
    char parent[SB_TRACE_TEXT_SIZE] = "";
    if (exec->spans.is_told) {
        sb_trace_format(&exec->spans.span.trace, parent);
    }
    const struct sb_warm_program program = {
        .args = exec->args,
        .n_args = exec->n_args,
        .traceparent = parent,
        .tracestate = exec->spans.state == NULL ? "" : exec->spans.state,
    };
    if (sb_warm_run(warm, exec->language, &program, &err) < 0) {
        sb_warm_done(warm);
        if (exec->is_only) { /* PID 1 ends with it */
            lose_init(exec, &err);
        }
        return exec->is_only;
    }
    sb_exec_io_replace(exec, warm->out_fds, warm->in_fd);
    sb_exec_init_adopt(exec, warm->sock);
    int64_t pid = warm->pid;
    int none = -1;
    *warm = SB_WARM_NONE;
    sb_exec_on_started(exec, pid, &none);
    return true;
}

static void start(struct sb_exec *exec)
{
    exec->state = SB_EXEC_STARTING;
    exec->start_real_ms = sb_clock_real_ms();
    exec->start_mono_ms = sb_clock_mono_ms();
    sb_spans_note(&exec->spans, &exec->spans.asked_ns);
    if (exec->wall_ms != 0) {
        sb_exec_arm(exec, &exec->wall_timer, exec->wall_ms);
    }
    if (!take_warm(exec) && !sb_exec_send(exec)) {
        sb_sandbox_want_write(exec->sandbox);
    }
}

/* ---- counters ---- */

static void want_count(struct sb_exec *exec)
{
    exec->count = SB_EXEC_COUNT_WANTED;
    sb_sandbox_count(exec->sandbox);
}

/** What was counted since it started. The peak has no beginning. */
static void take_counters(struct sb_exec *exec, const struct sb_counters *now)
{
    const struct sb_counters *base = &exec->base;
    if (!exec->has_base || now->version == 0) {
        return;
    }
    exec->facts.counters = *now;
    exec->facts.counters.oom_kills -= base->oom_kills;
    exec->facts.counters.pids_refused -= base->pids_refused;
    exec->facts.counters.cpu_throttled -= base->cpu_throttled;
}

void sb_exec_counted(struct sb_exec *exec, const struct sb_counters *counters)
{
    exec->count = SB_EXEC_COUNT_NONE;
    if (exec->state == SB_EXEC_WAITING && exec->sandbox->state == SB_STATE_PAUSED) {
        return; /* it begins anew */
    }
    if (exec->state == SB_EXEC_WAITING) {
        exec->has_base = counters->version != 0;
        exec->base = *counters;
        start(exec);
    } else if (exec->state == SB_EXEC_EXITED) {
        take_counters(exec, counters);
        if (exec->sock < 0) { /* its tree is gone, and its output read */
            sb_exec_end(exec);
        } else {
            maybe_end(exec);
        }
    }
}

/* ---- what init says ---- */

static enum sb_reason end_reason(const struct sb_exec *exec)
{
    enum sb_cause cause = exec->facts.cause;
    bool is_cancelled = cause == SB_CAUSE_CANCELLED || cause == SB_CAUSE_CLIENT_GONE;
    return is_cancelled ? SB_REASON_CANCELLED : SB_REASON_EXEC_ENDED;
}

void sb_exec_expect_gone(struct sb_exec *exec)
{
    sb_sandbox_expect_gone(exec->sandbox, end_reason(exec));
}

void sb_exec_on_started(struct sb_exec *exec, int64_t pid, int *terminal_fd)
{
    struct sb_err err;
    if (exec->state != SB_EXEC_STARTING) {
        return;
    }
    exec->state = SB_EXEC_RUNNING;
    exec->pid = pid;
    sb_spans_note(&exec->spans, &exec->spans.ran_ns);
    if (exec->terminal.is_wanted && sb_exec_terminal_adopt(exec, terminal_fd, &err) < 0) {
        SB_LOG_WARN("no terminal", "exec=%s sandbox=%s why=%s", exec->id, exec->sandbox->id,
                    err.text);
        sb_exec_kill(exec, SB_CAUSE_STUB_DIED);
    }
    sb_exec_io_start(exec);
    sb_watch_exec(exec->worker, SB_WATCH_EXEC_STARTED, exec);
    sb_exec_notify(exec);
}

void sb_exec_on_signaled(struct sb_exec *exec)
{
    exec->is_interrupting = false;
    sb_exec_notify(exec);
}

void sb_exec_on_failed(struct sb_exec *exec, int sys, unsigned stage)
{
    if (exec->state != SB_EXEC_STARTING) {
        return;
    }
    exec->facts.has_failed = true;
    exec->facts.fail_errno = sys;
    exec->facts.fail_stage = stage;
    exec->state = SB_EXEC_EXITED;
    sb_exec_init_close(exec);
    if (exec->is_only) {
        sb_sandbox_destroy(exec->sandbox, SB_REASON_EXEC_ENDED, NULL);
        return;
    }
    sb_exec_end(exec);
}

static void take_usage(struct sb_exec *exec, uint64_t user, uint64_t system, uint64_t rss)
{
    struct sb_facts *facts = &exec->facts;
    facts->cpu_user_us = user > facts->cpu_user_us ? user : facts->cpu_user_us;
    facts->cpu_system_us = system > facts->cpu_system_us ? system : facts->cpu_system_us;
    facts->max_rss_bytes = rss > facts->max_rss_bytes ? rss : facts->max_rss_bytes;
}

/** What the caller put in place of the sandbox's own is not bounded by it. */
static void take_spaces(struct sb_exec *exec,
                        const struct sb_init_space spaces[SB_INIT_SPACES],
                        const struct sb_init_seen *seen)
{
    static const char *const paths[SB_INIT_SPACES] = {"/tmp", "/dev/shm", "/workspace"};
    _Static_assert((int)SB_INIT_SPACES == (int)SB_SPACES, "one row each");
    for (size_t i = 0; i < SB_INIT_SPACES; i++) {
        const struct sb_mount *mount =
            sb_mounts_find(&exec->sandbox->policy->mounts, sb_str_from(paths[i]));
        if (mount == NULL || mount->is_overlay) {
            exec->facts.spaces[i] = (struct sb_space){
                .bytes = spaces[i].bytes,
                .bytes_free = spaces[i].bytes_free,
                .inodes = spaces[i].inodes,
                .inodes_free = spaces[i].inodes_free,
            };
            exec->facts.seen_bytes_full |= seen->bytes_full & 1U << i;
            exec->facts.seen_inodes_full |= seen->inodes_full & 1U << i;
        }
    }
}

void sb_exec_on_exited(struct sb_exec *exec, const struct sb_init_exited *exited)
{
    if (exec->state != SB_EXEC_RUNNING && exec->state != SB_EXEC_STARTING) {
        return;
    }
    exec->state = SB_EXEC_EXITED;
    exec->facts.has_exited = true;
    exec->facts.wait_status = exited->wait_status;
    exec->facts.wall_ms = sb_clock_mono_ms() - exec->start_mono_ms;
    exec->end_real_ms = sb_clock_real_ms();
    take_spaces(exec, exited->spaces, &exited->seen);
    exec->facts.most_files = exited->seen.most_files;
    exec->facts.most_signals = exited->seen.most_signals;
    exec->facts.signals_limit = exited->seen.max_signals;
    take_usage(exec, exited->user_us, exited->system_us, exited->max_rss_bytes);
    (void)event_del(&exec->wall_timer);
    if (exec->is_only || exec->terminal.is_hung_up) {
        /* Its sandbox ends with it: what it left behind has no home. Or it was to end anyway. */
        sb_exec_kill_now(exec);
    }
    if (exec->is_only) {
        return;
    }
    sb_exec_io_drain(exec);
    sb_exec_arm(exec, &exec->grace_timer, SB_MAX_OUTPUT_GRACE_MS);
    if (exec->has_base && exited->wait_status != 0) {
        want_count(exec); /* may say why */
    }
    maybe_end(exec);
}

/** No process of it is left, or nobody who knows. */
static void on_tree_end(struct sb_exec *exec)
{
    sb_exec_init_close(exec);
    if (exec->is_only) {
        sb_exec_arm(exec, &exec->kill_timer,
                    SB_MAX_KILL_WAIT_MS); /* PID 1 ends by itself, or else */
        sb_exec_expect_gone(exec);
        return;
    }
    (void)event_del(&exec->kill_timer);
    sb_exec_io_drain(exec);
    if (exec->state == SB_EXEC_ENDED) {
        retire(exec);
        sb_exec_notify(exec);
        return;
    }
    exec->state = SB_EXEC_EXITED;
    if (exec->count == SB_EXEC_COUNT_NONE) {
        sb_exec_end(exec);
    } /* else sb_exec_counted does, or the grace timer */
}

void sb_exec_on_empty(struct sb_exec *exec, const struct sb_init_empty *empty)
{
    exec->facts.has_empty = true;
    exec->facts.killed = empty->killed;
    take_usage(exec, empty->user_us, empty->system_us, empty->max_rss_bytes);
    on_tree_end(exec);
}

void sb_exec_on_hangup(struct sb_exec *exec)
{
    if (exec->is_only) {
        sb_exec_init_close(exec); /* Gone follows, and says why */
        sb_exec_arm(exec, &exec->kill_timer, SB_MAX_KILL_WAIT_MS);
        return;
    }
    if (exec->facts.has_exited || sb_exec_has_ended(exec)) {
        on_tree_end(exec);
        return;
    }
    /* Either its supervisor alone is dead or PID 1 is: then Gone says so in a moment. */
    sb_exec_init_close(exec);
    sb_exec_arm(exec, &exec->grace_timer, SB_MAX_OUTPUT_GRACE_MS);
}

void sb_exec_timers_init(struct sb_exec *exec)
{
    struct event_base *base = exec->worker->base;
    (void)event_assign(&exec->wall_timer, base, -1, 0, sb_exec_on_wall_timeout, exec);
    (void)event_assign(&exec->grace_timer, base, -1, 0, on_grace, exec);
    (void)event_assign(&exec->kill_timer, base, -1, 0, sb_exec_on_kill_timeout, exec);
}

/* ---- what its sandbox says ---- */

void sb_exec_begin(struct sb_exec *exec)
{
    if (exec->state != SB_EXEC_WAITING || exec->count != SB_EXEC_COUNT_NONE ||
        exec->sandbox->state != SB_STATE_RUNNING || !sb_exec_stage_ready(exec)) {
        return;
    }
    if (exec->is_only || !exec->sandbox->has_group) {
        start(exec);
    } else {
        want_count(exec);
    }
}

void sb_exec_fail(struct sb_exec *exec, const struct sb_err *err)
{
    if (exec->state != SB_EXEC_ENDED) {
        exec->start_err = *err;
        sb_exec_end(exec);
    }
}

void sb_exec_settle(struct sb_exec *exec)
{
    sb_exec_init_read(exec);
}

void sb_exec_gone(struct sb_exec *exec, enum sb_cause cause, const struct sb_gone *gone)
{
    (void)event_del(&exec->kill_timer);
    sb_exec_init_close(exec);
    sb_exec_io_drain(exec);
    sb_exec_io_close(exec);
    if (exec->state == SB_EXEC_ENDED) {
        retire(exec);
        sb_exec_notify(exec);
        return;
    }
    struct sb_facts *facts = &exec->facts;
    facts->has_gone = true;
    facts->init_status = gone->init_status;
    if (exec->is_only) {
        facts->counters = gone->counters;
    } else {
        take_counters(exec, &gone->counters);
    }
    if (exec->is_only && !facts->has_empty) {
        take_usage(exec, gone->counters.cpu_user_us, gone->counters.cpu_system_us, 0);
        take_usage(exec, gone->cpu_user_us, gone->cpu_system_us, gone->max_rss_bytes);
    }
    if (!facts->has_exited && !facts->has_failed && facts->cause == SB_CAUSE_NONE) {
        facts->cause = cause;
    }
    sb_exec_end(exec);
}
