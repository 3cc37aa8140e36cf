#pragma once
/** What the worker counts about itself, for GetMetrics. Loop thread. The table in metrics.c names
 *  every family; labels come from tables of ours, the method registry, or names that an operator
 *  gave (profiles, tenants), never from text that a caller may choose. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/metrics.h"

struct sb_denial;
struct sb_exec;
struct sb_rpc_call;
struct sb_sandbox;
struct sb_worker;

enum sb_worker_metric {
    SB_M_ACTIVE_CONNECTIONS,
    SB_M_AUTH_FAILURES,
    SB_M_BUILD_INFO,
    SB_M_CPU_USAGE,
    SB_M_DISK_USAGE,
    SB_M_ERRORS,
    SB_M_EXEC_SECONDS,
    SB_M_EXECS,
    SB_M_EXECS_ACTIVE,
    SB_M_MEMORY_USAGE,
    SB_M_OUTPUT,
    SB_M_POOL_INTERPRETERS,
    SB_M_POOL_PARKED,
    SB_M_POOL_REFILL_SECONDS,
    SB_M_POOL_REQUESTS,
    SB_M_RATE_LIMIT_HITS,
    SB_M_REQUEST_SECONDS,
    SB_M_REQUESTS,
    SB_M_SANDBOX_SECONDS,
    SB_M_SANDBOX_SLOTS,
    SB_M_SANDBOX_STARTS,
    SB_M_SANDBOX_STOPS,
    SB_M_SANDBOXES_ACTIVE,
    SB_M_VIOLATIONS,
    SB_M_SHARED_KEYS,
    SB_M_TRACE_SPANS,
    SB_M_START_TIME,
    SB_M_END_,
};

extern const struct sb_metric_family sb_worker_metrics[SB_M_END_];

/** For sb_rpc_server_options.ended; ctx is the worker. */
void sb_worker_metrics_call(const struct sb_rpc_call *call,
                            enum sb_code code,
                            uint64_t us,
                            void *ctx);
/** "exited" and so on; static. @kind  enum sb_verdict_kind. */
const char *sb_worker_verdict_word(unsigned kind);
void sb_worker_metrics_started(const struct sb_sandbox *sandbox, bool is_failure);
void sb_worker_metrics_stopped(const struct sb_sandbox *sandbox);
/** It has its verdict. */
void sb_worker_metrics_exec(const struct sb_exec *exec);
void sb_worker_metrics_denial(struct sb_worker *worker, const struct sb_denial *denial);
