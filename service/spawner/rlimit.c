#include "service/spawner/rlimit.h"

#include <errno.h>
#include <sys/resource.h>

#include "base/err.h"
#include "base/mutate.h"
#include "service/shared/filepart.h"
#include "service/spawner/child.h"
#include "service/spawner/driver.h"

/* Before the plan's own. Queued signals bound POSIX timers too. */
static const struct sb_plan_rlimit defaults[] = {
    {RLIMIT_MEMLOCK, 64U << 10},   /* bytes */
    {RLIMIT_MSGQUEUE, 800U << 10}, /* bytes */
    {RLIMIT_SIGPENDING, 4096},     /* signals */
    {RLIMIT_NOFILE, 4096},         /* descriptors */
    {RLIMIT_STACK, 8U << 20},      /* bytes */
    {RLIMIT_RTPRIO, 0},            /* no real-time class */
    {RLIMIT_NICE, 0},              /* nice cannot be raised again */
};

/* After the plan's own. A core dump would be written by the host's core_pattern. */
static const struct sb_plan_rlimit finals[] = {
    {RLIMIT_CORE, 0},
};

/* Above the cgroup's limit, which is to be the one that is met: it counts what it refuses. */
enum { NPROC_ABOVE_GROUP = 64 };

static int lower(const struct sb_plan_rlimit *limits, size_t n, struct sb_err *err)
{
    for (size_t i = 0; i < n; i++) {
        struct rlimit now;
        __rlimit_resource_t resource = (__rlimit_resource_t)limits[i].resource;
        if (getrlimit(resource, &now) < 0) {
            return sb_err_sys(err, errno, "read rlimit %d", limits[i].resource);
        }
        if (sb_mutated_number("rlimit", (unsigned)limits[i].resource)) {
            continue;
        }
        rlim_t value = limits[i].value < now.rlim_max ? limits[i].value : now.rlim_max;
        struct rlimit next = {.rlim_cur = value, .rlim_max = value};
        if (setrlimit(resource, &next) < 0) {
            return sb_err_sys(err, errno, "set rlimit %d", limits[i].resource);
        }
    }
    return 0;
}

int sb_rlimit_apply(struct sb_child *child, struct sb_err *err)
{
    /* One pass over the plan first would be lowered by the defaults: what the plan names, the
     * defaults do not touch. */
    struct sb_plan_rlimit mine[sizeof defaults / sizeof *defaults];
    size_t n = 0;
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
        bool is_planned = false;
        for (size_t k = 0; k < child->plan->n_rlimits; k++) {
            is_planned = is_planned || child->plan->rlimits[k].resource == defaults[i].resource;
        }
        if (!is_planned) {
            mine[n++] = defaults[i];
        }
    }
    struct sb_plan_rlimit planned[SB_PLAN_MAX_RLIMITS];
    for (size_t i = 0; i < child->plan->n_rlimits; i++) {
        planned[i] = child->plan->rlimits[i];
        if (planned[i].resource == RLIMIT_NPROC) {
            planned[i].value += child->driver->extra_processes;
            planned[i].value += child->has_pids_group ? NPROC_ABOVE_GROUP : 0;
        }
    }
    /* Without a group for memory: what a process has for itself is bounded, and what it may put
     * into a file, of memory too, by a part of that. Not RLIMIT_AS: runtimes reserve far more than
     * they use. */
    const uint64_t memory = child->has_memory_group ? 0 : child->plan->cgroup.memory_bytes;
    const struct sb_plan_rlimit instead[] = {
        {RLIMIT_DATA, memory},
        {RLIMIT_FSIZE, memory / SB_FILE_PART},
    };
    return lower(mine, n, err) < 0 || lower(planned, child->plan->n_rlimits, err) < 0 ||
                   (memory != 0 && lower(instead, sizeof instead / sizeof *instead, err) < 0)
               ? -1
               : lower(finals, sizeof finals / sizeof *finals, err);
}
