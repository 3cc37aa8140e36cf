#include "service/worker/policy/plan.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/shared/initproto.h"
#include "service/worker/policy/policy.h"

static void free_plan(Spawn__V1__Plan **plan)
{
    if (*plan != NULL) {
        spawn__v1__plan__free_unpacked(*plan, NULL);
    }
}

/* One row per resource: a limit of the policy, or a value of our own. */
static const struct {
    int resource;
    size_t limit; /* offset in struct sb_limits; NONE: value is meant */
    uint64_t value;
} rlimits[] = {
#define NONE SIZE_MAX
    {RLIMIT_NPROC, offsetof(struct sb_limits, pids), 0},
    {RLIMIT_NOFILE, offsetof(struct sb_limits, open_files), 0},
    {RLIMIT_FSIZE, offsetof(struct sb_limits, file_bytes), 0},
    {RLIMIT_MEMLOCK, NONE, 8U << 20}, /* the kernel's own default; go and node lock nothing */
    {RLIMIT_MSGQUEUE, NONE, 0},       /* their calls are refused too */
    {RLIMIT_SIGPENDING, NONE, 4096},  /* timers count against it */
};
/* Not here: RLIMIT_AS, which breaks runtimes that reserve address space; RLIMIT_CORE, which the
 * spawner sets to 0 for everyone. */
#define RLIMITS_N (sizeof rlimits / sizeof rlimits[0])

static int add_rlimits(Spawn__V1__Plan *plan, const struct sb_limits *limits, struct sb_err *err)
{
    plan->rlimits = (Spawn__V1__Rlimit **)calloc(RLIMITS_N, sizeof(Spawn__V1__Rlimit *));
    for (size_t i = 0; plan->rlimits != NULL && i < RLIMITS_N; i++) {
        Spawn__V1__Rlimit *made = (Spawn__V1__Rlimit *)malloc(sizeof *made);
        if (made == NULL) {
            return sb_err_oom(err);
        }
        spawn__v1__rlimit__init(made);
        made->resource = (uint32_t)rlimits[i].resource;
        made->value = rlimits[i].value;
        if (rlimits[i].limit != NONE) {
            memcpy(&made->value, (const char *)limits + rlimits[i].limit, sizeof made->value);
        }
        plan->rlimits[plan->n_rlimits++] = made;
    }
    return plan->rlimits == NULL ? sb_err_oom(err) : 0;
}

static int add_mount(Spawn__V1__Plan *plan, const struct sb_mount *mount, struct sb_err *err)
{
    Spawn__V1__HostMount *made = (Spawn__V1__HostMount *)malloc(sizeof *made);
    if (made == NULL) {
        return sb_err_oom(err);
    }
    spawn__v1__host_mount__init(made);
    plan->mounts[plan->n_mounts++] = made;
    char *source = strdup(mount->source);
    if (source != NULL) {
        made->source = source;
    }
    char *target = strdup(mount->target);
    if (target != NULL) {
        made->target = target;
    }
    made->writable = mount->is_writable;
    return source == NULL || target == NULL ? sb_err_oom(err) : 0;
}

static int add_mounts(Spawn__V1__Plan *plan, const struct sb_mounts *mounts, struct sb_err *err)
{
    if (mounts->n == 0) {
        return 0;
    }
    plan->mounts = (Spawn__V1__HostMount **)calloc(mounts->n, sizeof(Spawn__V1__HostMount *));
    if (plan->mounts == NULL) {
        return sb_err_oom(err);
    }
    for (size_t i = 0; i < mounts->n; i++) {
        if (add_mount(plan, &mounts->items[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Of a quota of whole or part processors: the share under contention is in proportion. */
static uint64_t weight_of(uint64_t cpu_millis)
{
    uint64_t weight = cpu_millis / 10;
    return weight < 1 ? 1 : weight > 10000 ? 10000 : weight;
}

/* No swap: a sandbox that swaps would slow the host down instead of meeting its limit. */
static void add_cgroup(Spawn__V1__Plan *plan, const struct sb_limits *limits)
{
    plan->memory_bytes = limits->mem_bytes;
    plan->cpu_quota_us = limits->cpu_millis * 100; /* of each 100 ms */
    plan->cpu_weight = weight_of(limits->cpu_millis);
    plan->pids = limits->pids;
    plan->io_read_bytes = limits->io_read_bytes;
    plan->io_write_bytes = limits->io_write_bytes;
    plan->io_read_ops = limits->io_read_ops;
    plan->io_write_ops = limits->io_write_ops;
    plan->io_weight = limits->io_weight;
}

static Spawn__V1__Workspace workspace_of(const struct sb_policy *policy)
{
    const struct sb_mount *mount = sb_mounts_find(&policy->mounts, SB_STR("/workspace"));
    if (mount != NULL) {
        return mount->is_overlay ? SPAWN__V1__WORKSPACE__WORKSPACE_OVERLAY
                                 : SPAWN__V1__WORKSPACE__WORKSPACE_MOUNT;
    }
    return policy->filesystem == SB_FILESYSTEM_MINIMAL ? SPAWN__V1__WORKSPACE__WORKSPACE_UNSPECIFIED
                                                       : SPAWN__V1__WORKSPACE__WORKSPACE_TMPFS;
}

int sb_plan_make(const struct sb_policy *policy,
                 const char *sandbox_id,
                 uint64_t filter_id,
                 Spawn__V1__Plan **ret_plan,
                 struct sb_err *err)
{
    SB_CLEANUP(free_plan) Spawn__V1__Plan *plan = (Spawn__V1__Plan *)malloc(sizeof *plan);
    if (plan == NULL) {
        return sb_err_oom(err);
    }
    spawn__v1__plan__init(plan);
    char *id = strdup(sandbox_id);
    char *hostname = strdup(policy->hostname);
    if (id == NULL || hostname == NULL) {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): its cleanup frees what it holds
        free(id);
        free(hostname);
        return sb_err_oom(err);
    }
    plan->sandbox_id = id;
    plan->hostname = hostname;
    plan->driver = (Spawn__V1__Driver)policy->driver;
    plan->root = policy->filesystem == SB_FILESYSTEM_MINIMAL ? SPAWN__V1__ROOT__ROOT_MINIMAL
                                                             : SPAWN__V1__ROOT__ROOT_SYSTEM;
    plan->workspace = workspace_of(policy);
    plan->workspace_read_only = sb_policy_workspace_read_only(policy);
    plan->disk_bytes = policy->limits.disk_bytes;
    plan->inodes = policy->limits.inodes;
    plan->filter_id = filter_id;
    add_cgroup(plan, &policy->limits);
    plan->tell_denials = true;
    plan->learn = policy->learns;
    plan->egress_port = policy->network.mode == SB_NETWORK_LIMITED ? SB_INIT_EGRESS_PORT : 0;
    if (policy->authority.cert != NULL) {
        char *cert = strdup(policy->authority.cert);
        if (cert == NULL) {
            return sb_err_oom(err);
        }
        plan->trusted_certificate = cert;
    }
    if (add_mounts(plan, &policy->mounts, err) < 0 || add_rlimits(plan, &policy->limits, err) < 0) {
        return -1;
    }
    *ret_plan = SB_STEAL_PTR(plan);
    return 0;
}
