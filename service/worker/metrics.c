#include "service/worker/metrics.h"

#include "base/clock.h"
#include "proto/rpc/rpc.h"
#include "service/worker/denials.h"
#include "service/worker/exec.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/profile.h"
#include "service/worker/sandbox.h"
#include "service/worker/worker.h"

#define SECONDS sb_metrics_seconds, SB_METRICS_N_SECONDS
#define ONLY    NULL, 0

static const double lifetimes[] = {0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400, 86400};

/* By name. */
const struct sb_metric_family sb_worker_metrics[SB_M_END_] = {
    [SB_M_ACTIVE_CONNECTIONS] = {"aisbx_active_connections",
                                 "Connections of the local transport and calls under way.",
                                 SB_METRIC_GAUGE,
                                 {"kind"},
                                 ONLY},
    [SB_M_AUTH_FAILURES] = {"aisbx_auth_failures_total",
                            "Calls refused because of who called, by reason.",
                            SB_METRIC_COUNTER,
                            {"reason"},
                            ONLY},
    [SB_M_BUILD_INFO] = {"aisbx_build_info",
                         "Always 1; the labels tell what runs.",
                         SB_METRIC_GAUGE,
                         {"version"},
                         ONLY},
    [SB_M_CPU_USAGE] = {"aisbx_cpu_usage_percent",
                        "CPU used since the scrape before, in percent of one processor.",
                        SB_METRIC_GAUGE,
                        {"scope"},
                        ONLY},
    [SB_M_DISK_USAGE] = {"aisbx_disk_usage_bytes",
                         "Space that the worker's files take, in bytes.",
                         SB_METRIC_GAUGE,
                         {"scope"},
                         ONLY},
    [SB_M_ERRORS] = {"aisbx_errors_total",
                     "Calls that failed, by gRPC code.",
                     SB_METRIC_COUNTER,
                     {"method", "code"},
                     ONLY},
    [SB_M_EXEC_SECONDS] = {"aisbx_exec_duration_seconds",
                           "From the start of a program to its end, in seconds.",
                           SB_METRIC_HISTOGRAM,
                           {"profile"},
                           lifetimes,
                           sizeof lifetimes / sizeof *lifetimes},
    [SB_M_EXECS] = {"aisbx_execs_total",
                    "Programs that ended, by verdict.",
                    SB_METRIC_COUNTER,
                    {"profile", "verdict"},
                    ONLY},
    [SB_M_EXECS_ACTIVE] =
        {"aisbx_execs_active", "Programs that run.", SB_METRIC_GAUGE, {NULL}, ONLY},
    [SB_M_MEMORY_USAGE] =
        {"aisbx_memory_usage_bytes", "Memory in use, in bytes.", SB_METRIC_GAUGE, {"scope"}, ONLY},
    [SB_M_OUTPUT] = {"aisbx_exec_output_bytes_total",
                     "Bytes that programs wrote to kept streams, those left out included.",
                     SB_METRIC_COUNTER,
                     {"stream"},
                     ONLY},
    [SB_M_POOL_INTERPRETERS] = {"aisbx_pool_interpreters_total",
                                "Interpreters started to wait: ready, late (it took more than a "
                                "second), failed; module_skipped: a module of preload that one "
                                "waits without.",
                                SB_METRIC_COUNTER,
                                {"outcome"},
                                ONLY},
    [SB_M_POOL_PARKED] = {"aisbx_pool_sandboxes",
                          "Sandboxes that were made and wait for their use.",
                          SB_METRIC_GAUGE,
                          {NULL},
                          ONLY},
    [SB_M_POOL_REFILL_SECONDS] = {"aisbx_pool_refill_duration_seconds",
                                  "From asking for a sandbox to park to having it, in seconds.",
                                  SB_METRIC_HISTOGRAM,
                                  {NULL},
                                  SECONDS},
    [SB_M_POOL_REQUESTS] = {"aisbx_pool_requests_total",
                            "Sandboxes that could come from the pool: hit, wait (one was on its "
                            "way), miss.",
                            SB_METRIC_COUNTER,
                            {"outcome"},
                            ONLY},
    [SB_M_RATE_LIMIT_HITS] = {"aisbx_rate_limit_hits_total",
                              "Calls refused for a rate or a quota.",
                              SB_METRIC_COUNTER,
                              {"limit"},
                              ONLY},
    [SB_M_REQUEST_SECONDS] = {"aisbx_request_duration_seconds",
                              "From a call's arrival to its end, in seconds.",
                              SB_METRIC_HISTOGRAM,
                              {"method"},
                              SECONDS},
    [SB_M_REQUESTS] = {"aisbx_requests_total",
                       "Calls that ended.",
                       SB_METRIC_COUNTER,
                       {"method", "code", "transport", "protocol"},
                       ONLY},
    [SB_M_SANDBOX_SECONDS] = {"aisbx_sandbox_duration_seconds",
                              "From a sandbox's making to its end, in seconds.",
                              SB_METRIC_HISTOGRAM,
                              {"profile"},
                              lifetimes,
                              sizeof lifetimes / sizeof *lifetimes},
    [SB_M_SANDBOX_SLOTS] =
        {"aisbx_sandbox_slots", "Sandboxes that may live at once.", SB_METRIC_GAUGE, {NULL}, ONLY},
    [SB_M_SANDBOX_STARTS] = {"aisbx_sandbox_starts_total",
                             "Sandboxes that were to be made.",
                             SB_METRIC_COUNTER,
                             {"profile", "driver", "outcome"},
                             ONLY},
    [SB_M_SANDBOX_STOPS] = {"aisbx_sandbox_stops_total",
                            "Sandboxes that ended, by reason.",
                            SB_METRIC_COUNTER,
                            {"profile", "reason"},
                            ONLY},
    [SB_M_SANDBOXES_ACTIVE] =
        {"aisbx_sandboxes_active", "Sandboxes that live.", SB_METRIC_GAUGE, {NULL}, ONLY},
    [SB_M_VIOLATIONS] = {"aisbx_security_violations_total",
                         "Things refused to programs, by kind.",
                         SB_METRIC_COUNTER,
                         {"kind"},
                         ONLY},
    [SB_M_SHARED_KEYS] = {"aisbx_shared_keys",
                          "Keys of --keys: usable, or wrong (a line that opens nothing; one when "
                          "none can be read); 0 without --keys.",
                          SB_METRIC_GAUGE,
                          {"state"},
                          ONLY},
    [SB_M_TRACE_SPANS] = {"aisbx_trace_spans_total",
                          "Spans: exported, dropped (too many waited), failed (the collector took "
                          "them not). None without --otlp-endpoint.",
                          SB_METRIC_COUNTER,
                          {"outcome"},
                          ONLY},
    [SB_M_START_TIME] = {"aisbx_worker_start_time_seconds",
                         "When the worker started, in seconds since 1970.",
                         SB_METRIC_GAUGE,
                         {NULL},
                         ONLY},
};

/* The words of aisbx.v1.VerdictKind, DestroyReason and ViolationKind. */
static const char *const verdicts[] = {
    [SB_VERDICT_NONE] = "unknown",
    [SB_VERDICT_EXITED] = "exited",
    [SB_VERDICT_SIGNALED] = "signaled",
    [SB_VERDICT_TIMED_OUT] = "timed_out",
    [SB_VERDICT_OOM_KILLED] = "oom_killed",
    [SB_VERDICT_PIDS_EXHAUSTED] = "pids_exhausted",
    [SB_VERDICT_DISK_FULL] = "disk_full",
    [SB_VERDICT_OUTPUT_TRUNCATED] = "output_truncated",
    [SB_VERDICT_POLICY_KILLED] = "policy_killed",
    [SB_VERDICT_CANCELLED] = "cancelled",
    [SB_VERDICT_WORKER_LOST] = "worker_lost",
    [SB_VERDICT_START_FAILED] = "start_failed",
};
static const char *const reasons[SB_REASON_END_] = {
    [SB_REASON_NONE] = "unknown",
    [SB_REASON_REQUESTED] = "requested",
    [SB_REASON_TTL] = "ttl",
    [SB_REASON_IDLE] = "idle",
    [SB_REASON_EXEC_ENDED] = "exec_ended",
    [SB_REASON_START_FAILED] = "start_failed",
    [SB_REASON_INIT_DIED] = "init_died",
    [SB_REASON_WORKER_LOST] = "worker_lost",
    [SB_REASON_CANCELLED] = "cancelled",
};
static const char *const denials[] = {
    [SB_DENIAL_CALL] = "syscall",
    [SB_DENIAL_HOST] = "host",
    [SB_DENIAL_BOUND] = "limit",
    [SB_DENIAL_PATH] = "path",
};

/* What our gateway says it passes on. Others may say anything: then it is not theirs to name. */
static const char *protocol_of(const struct sb_rpc_call *call)
{
    static const char *const known[] = {"mcp", "rest"};
    size_t len = 0;
    const char *said = sb_rpc_call_metadata(call, "x-aisbx-protocol", &len);
    for (size_t i = 0; said != NULL && i < sizeof known / sizeof *known; i++) {
        if (strcmp(said, known[i]) == 0) {
            return known[i];
        }
    }
    return strcmp(sb_rpc_call_peer(call)->transport, "local") == 0 ? "local" : "grpc";
}

void sb_worker_metrics_call(const struct sb_rpc_call *call,
                            enum sb_code code,
                            uint64_t us,
                            void *ctx)
{
    struct sb_worker *worker = ctx;
    const char *method = sb_rpc_call_method(call)->name;
    const char *const labels[] = {method, sb_code_name(code), sb_rpc_call_peer(call)->transport,
                                  protocol_of(call)};
    sb_metrics_add(&worker->metrics, SB_M_REQUESTS, labels, 1);
    sb_metrics_observe(&worker->metrics, SB_M_REQUEST_SECONDS, labels, (double)us / 1e6);
    if (code != SB_OK) {
        sb_metrics_add(&worker->metrics, SB_M_ERRORS, labels, 1);
    }
}

const char *sb_worker_verdict_word(unsigned kind)
{
    return kind < sizeof verdicts / sizeof *verdicts ? verdicts[kind] : verdicts[SB_VERDICT_NONE];
}

void sb_worker_metrics_started(const struct sb_sandbox *sandbox, bool is_failure)
{
    const char *const labels[] = {sandbox->policy->profile,
                                  sb_driver_names[sandbox->policy->driver],
                                  is_failure ? "failed" : "started"};
    sb_metrics_add(&sandbox->worker->metrics, SB_M_SANDBOX_STARTS, labels, 1);
}

void sb_worker_metrics_stopped(const struct sb_sandbox *sandbox)
{
    struct sb_metrics *metrics = &sandbox->worker->metrics;
    const char *const labels[] = {sandbox->policy->profile, reasons[sandbox->reason]};
    sb_metrics_add(metrics, SB_M_SANDBOX_STOPS, labels, 1);
    sb_metrics_observe(metrics, SB_M_SANDBOX_SECONDS, labels,
                       (double)(sandbox->destroy_ms - sandbox->create_ms) / 1e3);
}

void sb_worker_metrics_exec(const struct sb_exec *exec)
{
    static const char *const streams[2][1] = {{"stdout"}, {"stderr"}};
    struct sb_metrics *metrics = &exec->worker->metrics;
    const char *const labels[] = {exec->sandbox->policy->profile, verdicts[exec->verdict.kind]};
    sb_metrics_add(metrics, SB_M_EXECS, labels, 1);
    sb_metrics_observe(metrics, SB_M_EXEC_SECONDS, labels, (double)exec->facts.wall_ms / 1e3);
    for (int i = 0; i < 2; i++) {
        sb_metrics_add(metrics, SB_M_OUTPUT, streams[i], (double)exec->out[i].spool.total);
    }
}

void sb_worker_metrics_denial(struct sb_worker *worker, const struct sb_denial *denial)
{
    const char *const labels[] = {denials[denial->kind]};
    sb_metrics_add(&worker->metrics, SB_M_VIOLATIONS, labels,
                   denial->count == 0 ? 1 : (double)denial->count);
}
