#include "proto/rpc/grpc/corelog.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <grpc/support/log.h>

#include "base/clock.h"

/* The sink is process-wide in core, hence so is its state. */
static _Atomic uint64_t log_budget; /* seconds << 8 | lines written in that second */
static _Atomic int error_level;

static bool take_line(void)
{
    uint64_t second = sb_clock_mono_ms() / 1000;
    uint64_t seen = atomic_load(&log_budget);
    for (;;) {
        uint64_t lines = seen >> 8 == second ? seen & 0xff : 0;
        if (lines >= SB_GRPC_LOG_LINES_PER_SECOND) {
            return false;
        }
        if (atomic_compare_exchange_weak(&log_budget, &seen, second << 8 | (lines + 1))) {
            return true;
        }
    }
}

static void on_core_log(gpr_log_func_args *args)
{
    enum sb_log_level level = args->severity == GPR_LOG_SEVERITY_ERROR
                                  ? (enum sb_log_level)atomic_load(&error_level)
                                  : SB_LOG_LEVEL_DEBUG;
    if (!sb_log_enabled(level) || !take_line()) {
        return;
    }
    const char *slash = strrchr(args->file, '/');
    SB_LOG(level, "grpc core", "at=%s:%d text=%s", slash != NULL ? slash + 1 : args->file,
           args->line, args->message);
}

void sb_grpc_corelog_route(enum sb_log_level errors)
{
    atomic_store(&error_level, (int)errors);
    gpr_set_log_function(on_core_log);
}
