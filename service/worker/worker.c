#include "service/worker/worker.h"

#include <signal.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "proto/rpc/rpc.h"
#include "service/worker/counters.h"
#include "service/worker/pool/pool.h"
#include "service/worker/reload.h"
#include "service/worker/sandbox.h"
#include "service/worker/spawner.h"
#include "service/worker/store/store.h"

enum {
    LAME_MS = 300,        /* long enough for balancers to see NOT_SERVING, where one ever looked */
    LAST_WORDS_MS = 3000, /* for calls to tell the end of the sandboxes */
    EMPTY_WAIT_MS = 5000, /* for the last sandbox to be gone */
    IDLE_CHECKS = 4,      /* per idle_exit_ms */
};

static void arm(struct event *timer, uint64_t ms)
{
    const struct timeval tv = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
    (void)event_add(timer, &tv);
}

void sb_worker_tell_health(struct sb_worker *worker)
{
    static const char *const services[] = {"", "aisbx.v1.SandboxService", "aisbx.v1.FileService",
                                           "aisbx.v1.WorkerService", "process.v1.ProcessService"};
    struct sb_err ignored;
    bool works = sb_store_works(worker->store, &ignored) && !worker->is_stopping;
    for (size_t i = 0; i < sizeof services / sizeof *services && worker->server != NULL; i++) {
        bool is_serving = works && (i > 0 || !worker->is_draining);
        sb_rpc_server_set_health(worker->server, services[i],
                                 is_serving ? SB_RPC_HEALTH_SERVING : SB_RPC_HEALTH_NOT_SERVING);
    }
}

/* ---- what the spawner tells ---- */

static void on_gone(void *ctx, const Spawn__V1__Gone *gone)
{
    struct sb_worker *worker = ctx;
    struct sb_sandbox *sandbox = sb_registry_slot(&worker->registry, gone->slot);
    if (sandbox == NULL) { /* one that waited for its use, or was refused after it was spawned */
        (void)(worker->pool != NULL && sb_pool_gone(worker->pool, gone->slot));
        return;
    }
    struct sb_gone what = {
        .init_status = gone->wait_status,
        .cpu_user_us = gone->cpu_user_us,
        .cpu_system_us = gone->cpu_system_us,
        .max_rss_bytes = gone->max_rss_bytes,
    };
    sb_counters_read(gone->counters, &what.counters);
    sb_sandbox_gone(sandbox, &what);
    if (worker->is_stopping && worker->registry.n_live == 0) {
        sb_worker_stop(worker);
    }
}

static void on_lost(void *ctx, const struct sb_err *err)
{
    struct sb_worker *worker = ctx;
    worker->exit_code = 1;
    if (worker->pool != NULL) {
        sb_pool_lost(worker->pool, err);
    }
    SB_FOREACH (node, &worker->registry.sandbox_list) {
        sb_sandbox_lost(SB_LIST_ENTRY(node, struct sb_sandbox, link));
    }
    worker->options.drain_grace_ms = LAST_WORDS_MS;
    sb_worker_stop(worker);
}

int sb_worker_watch_spawner(struct sb_worker *worker, struct sb_err *err)
{
    static const struct sb_spawner_events events = {.gone = on_gone, .lost = on_lost};
    return sb_spawner_attach(worker->spawner, worker->base, &events, worker, err);
}

/* ---- stopping ----
 *
 *   sb_worker_stop          no new sandboxes; live calls may end     (drain_grace_ms)
 *   destroy_all             every sandbox ends, calls tell of it     (LAST_WORDS_MS)
 *   on_drained              no call is left
 *   finish_if_empty         no sandbox is left, or EMPTY_WAIT_MS passed: the loop ends */

static void finish_if_empty(struct sb_worker *worker)
{
    if (worker->is_drained && worker->registry.n_live == 0) {
        (void)event_base_loopbreak(worker->base);
    }
}

static void destroy_all(struct sb_worker *worker)
{
    SB_FOREACH (node, &worker->registry.sandbox_list) {
        struct sb_sandbox *sandbox = SB_LIST_ENTRY(node, struct sb_sandbox, link);
        sb_sandbox_destroy(sandbox, SB_REASON_WORKER_LOST, "the worker was stopped");
    }
    worker->has_destroyed_all = true;
    finish_if_empty(worker);
}

static void on_stop_timer(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_worker *worker = ctx;
    if (worker->has_destroyed_all) {
        SB_LOG_WARN("sandboxes left behind", "n=%zu", worker->registry.n_live);
        (void)event_base_loopbreak(worker->base);
        return;
    }
    arm(&worker->stop_timer, LAST_WORDS_MS + EMPTY_WAIT_MS);
    destroy_all(worker);
}

static void on_drained(void *ctx)
{
    struct sb_worker *worker = ctx;
    worker->is_drained = true;
    arm(&worker->stop_timer, EMPTY_WAIT_MS);
    destroy_all(worker);
}

void sb_worker_stop(struct sb_worker *worker)
{
    if (worker->is_stopping) {
        if (worker->registry.n_live == 0) {
            finish_if_empty(worker);
        }
        return;
    }
    SB_LOG_INFO("stopping", "sandboxes=%zu", worker->registry.n_live);
    worker->is_stopping = true;
    worker->is_draining = true;
    if (worker->pool != NULL) {
        sb_pool_close(worker->pool);
    }
    uint64_t grace_ms = worker->options.drain_grace_ms;
    arm(&worker->stop_timer, grace_ms);
    bool has_lookers = !worker->options.is_embedded && sb_rpc_server_was_looked_at(worker->server);
    sb_rpc_server_drain(worker->server, has_lookers ? LAME_MS : 0,
                        (unsigned)grace_ms + LAST_WORDS_MS, on_drained, worker);
}

static void on_signal(evutil_socket_t signal, short what, void *ctx)
{
    (void)what;
    struct sb_worker *worker = ctx;
    SB_LOG_INFO("signal", "number=%d", (int)signal);
    bool is_used = worker->registry.n_live > 0 || sb_rpc_server_live_calls(worker->server) > 0;
    if (signal == SIGHUP && worker->options.is_embedded && is_used) {
        return; /* its configuration changed: only an unused worker makes room for another */
    }
    if (signal == SIGHUP && !worker->options.is_embedded) {
        sb_worker_reload(worker);
        return;
    }
    if (worker->is_stopping && !worker->has_destroyed_all) {
        arm(&worker->stop_timer, 0); /* asked twice: in a hurry */
    }
    sb_worker_stop(worker);
}

/* ---- idle exit of an embedded worker ---- */

static void on_idle_check(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_worker *worker = ctx;
    uint64_t now_ms = sb_clock_mono_ms();
    bool is_busy = worker->registry.n_live > 0 || sb_rpc_server_live_calls(worker->server) > 0 ||
                   worker->registry.next_seq != worker->idle_seq;
    if (is_busy) {
        worker->idle_seq = worker->registry.next_seq;
        worker->idle_since_ms = now_ms;
    } else if (now_ms - worker->idle_since_ms >= worker->options.idle_exit_ms) {
        SB_LOG_INFO("idle");
        sb_worker_stop(worker);
        return;
    }
    arm(&worker->idle_timer, worker->options.idle_exit_ms / IDLE_CHECKS + 1);
}

int sb_worker_arm(struct sb_worker *worker, struct sb_err *err)
{
    static const int signals[SB_WORKER_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
    (void)event_assign(&worker->stop_timer, worker->base, -1, 0, on_stop_timer, worker);
    (void)event_assign(&worker->idle_timer, worker->base, -1, 0, on_idle_check, worker);
    for (int i = 0; i < SB_WORKER_SIGNALS; i++) {
        struct event *event = &worker->signals[i];
        (void)event_assign(event, worker->base, signals[i], EV_SIGNAL | EV_PERSIST, on_signal,
                           worker);
        if (event_add(event, NULL) < 0) {
            return sb_err_set(err, SB_INTERNAL, "signal %d: the event loop refused it", signals[i]);
        }
    }
    if (worker->options.is_embedded) {
        worker->idle_since_ms = sb_clock_mono_ms();
        arm(&worker->idle_timer, worker->options.idle_exit_ms / IDLE_CHECKS + 1);
    }
    return 0;
}
