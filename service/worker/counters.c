#include "service/worker/counters.h"

#include "service/worker/verdict.h"

void sb_counters_read(const Spawn__V1__Counters *from, struct sb_counters *ret_counters)
{
    *ret_counters = (struct sb_counters){.version = 0};
    if (from == NULL || from->controllers == 0) {
        return;
    }
    ret_counters->version = from->version;
    ret_counters->has_memory = (from->controllers & 1) != 0;
    ret_counters->memory = from->memory_bytes;
    ret_counters->memory_peak = from->memory_peak_bytes;
    ret_counters->oom_kills = from->oom_kills;
    ret_counters->pids_refused = from->pids_refused;
    ret_counters->cpu_throttled = from->cpu_throttled;
    ret_counters->cpu_user_us = from->cpu_user_us;
    ret_counters->cpu_system_us = from->cpu_system_us;
}
