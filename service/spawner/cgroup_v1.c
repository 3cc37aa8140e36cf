/* Version 1: a hierarchy for each controller, and in each a base. A group can hold processes and
 * groups at once, so nobody has to move. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/err.h"
#include "service/spawner/cgroup_driver.h"

enum { MEMORY, CPU, PIDS, BLKIO = SB_CGROUP_IO_BASE };

/* Version 1 counts buffers of TCP and UDP apart from memory, and only where they have a limit. */
enum { SOCKETS_PART = 4 /* of the memory limit */ };

static const struct {
    const char *name;
    unsigned bit;
} controllers[SB_CGROUP_FREEZE_BASE] = {
    [MEMORY] = {"memory", SB_CGROUP_MEMORY},
    [CPU] = {"cpu", SB_CGROUP_CPU},
    [PIDS] = {"pids", SB_CGROUP_PIDS},
    [BLKIO] = {"blkio", SB_CGROUP_IO},
};

static int open_bases(const struct sb_cgroup_view *view,
                      bool is_root,
                      struct sb_cgroups *cgroups,
                      struct sb_err *err)
{
    char dir[PATH_MAX];
    char root[PATH_MAX];
    (void)is_root; /* the own group will do: its limits hold for the sandboxes too */
    (void)sb_err_set(err, SB_PRECONDITION, "not mounted");
    sb_cgroup_freeze_by_v1(view, cgroups);
    for (int i = 0; i < SB_CGROUP_FREEZE_BASE; i++) {
        if (!sb_cgroup_find(view, controllers[i].name, dir, root)) {
            continue;
        }
        int parent = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (parent < 0) {
            (void)sb_err_sys(err, errno, "open %s", dir);
        } else if (sb_cgroup_make_base(cgroups, i, parent, err) == 0) {
            cgroups->controllers |= controllers[i].bit;
        }
    }
    return (cgroups->controllers & SB_CGROUP_ALL) == 0 ? -1 : 0;
}

static int limit_memory(const struct sb_cgroup *cgroup,
                        const struct sb_cgroup_limits *limits,
                        struct sb_err *err)
{
    int base = cgroup->host->bases[MEMORY];
    if (base < 0 || limits->memory_bytes == 0) {
        return 0;
    }
    if (sb_cgroup_write_u64(base, cgroup->name, "memory.limit_in_bytes", limits->memory_bytes,
                            err) < 0) {
        return -1;
    }
    /* After the limit of memory alone, which it must not be below. No file: no swap is counted. */
    struct sb_err beside_err;
    if (sb_cgroup_write_u64(base, cgroup->name, "memory.memsw.limit_in_bytes",
                            limits->memory_bytes + limits->swap_bytes, &beside_err) < 0 &&
        beside_err.sys != ENOENT) {
        *err = beside_err;
        return -1;
    }
    if (sb_cgroup_write_u64(base, cgroup->name, "memory.kmem.tcp.limit_in_bytes",
                            limits->memory_bytes / SOCKETS_PART, &beside_err) < 0 &&
        beside_err.sys != ENOENT) { /* no file: a kernel that counts no sockets */
        *err = beside_err;
        return -1;
    }
    return 0;
}

static int
weigh_cpu(const struct sb_cgroups *cgroups, const char *group, uint64_t weight, struct sb_err *err)
{
    return sb_cgroup_write_u64(cgroups->bases[CPU], group, "cpu.shares", weight * 1024 / 100 + 2,
                               err);
}

static int
limit_cpu(const struct sb_cgroup *cgroup, const struct sb_cgroup_limits *limits, struct sb_err *err)
{
    int base = cgroup->host->bases[CPU];
    if (base < 0) {
        return 0;
    }
    if (limits->cpu_weight != 0 &&
        weigh_cpu(cgroup->host, cgroup->name, limits->cpu_weight, err) < 0) {
        return -1;
    }
    return limits->cpu_quota_us == 0 ? 0 /* the period is the kernel's default */
                                     : sb_cgroup_write_u64(base, cgroup->name, "cpu.cfs_quota_us",
                                                           limits->cpu_quota_us, err);
}

static int
limit(const struct sb_cgroup *cgroup, const struct sb_cgroup_limits *limits, struct sb_err *err)
{
    if (limit_memory(cgroup, limits, err) < 0 || limit_cpu(cgroup, limits, err) < 0) {
        return -1;
    }
    int base = cgroup->host->bases[PIDS];
    return base < 0 || limits->pids == 0
               ? 0
               : sb_cgroup_write_u64(base, cgroup->name, "pids.max", limits->pids, err);
}

static int limit_io(const struct sb_cgroup *cgroup,
                    const struct sb_cgroup_io *io,
                    dev_t disk,
                    struct sb_err *err)
{
    const struct {
        const char *file;
        uint64_t value;
    } rows[] = {
        {"blkio.throttle.read_bps_device", io->read_bytes},
        {"blkio.throttle.write_bps_device", io->write_bytes},
        {"blkio.throttle.read_iops_device", io->read_ops},
        {"blkio.throttle.write_iops_device", io->write_ops},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "%u:%u %" PRIu64, major(disk), minor(disk),
                       rows[i].value);
        if (rows[i].value != 0 && sb_cgroup_write(cgroup->host->bases[BLKIO], cgroup->name,
                                                  rows[i].file, text, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* The scheduler bfq alone knows weights, of 1 to 1000. */
static int weigh_io(const struct sb_cgroup *cgroup, uint64_t weight, struct sb_err *err)
{
    return sb_cgroup_write_u64(cgroup->host->bases[BLKIO], cgroup->name, "blkio.bfq.weight",
                               weight < 1000 ? weight : 1000, err);
}

static void read_counters(const struct sb_cgroup *cgroup, struct sb_cgroup_counters *counters)
{
    char text[SB_CGROUP_FILE_SIZE];
    const int *bases = cgroup->host->bases;
    const char *name = cgroup->name;
    if (bases[MEMORY] >= 0) {
        counters->memory = sb_cgroup_get_u64(bases[MEMORY], name, "memory.usage_in_bytes");
        counters->memory_peak = sb_cgroup_get_u64(bases[MEMORY], name, "memory.max_usage_in_bytes");
        (void)sb_cgroup_keyed(sb_cgroup_get(bases[MEMORY], name, "memory.oom_control", text),
                              "oom_kill", &counters->oom_kills);
    }
    if (bases[PIDS] >= 0) {
        (void)sb_cgroup_keyed(sb_cgroup_get(bases[PIDS], name, "pids.events", text), "max",
                              &counters->pids_refused);
    }
    if (bases[CPU] >= 0) {
        (void)sb_cgroup_keyed(sb_cgroup_get(bases[CPU], name, "cpu.stat", text), "nr_throttled",
                              &counters->cpu_throttled);
        /* There only when both controllers share a hierarchy, as usual; in nanoseconds. */
        counters->cpu_user_us = sb_cgroup_get_u64(bases[CPU], name, "cpuacct.usage_user") / 1000;
        counters->cpu_system_us = sb_cgroup_get_u64(bases[CPU], name, "cpuacct.usage_sys") / 1000;
    }
}

const struct sb_cgroup_driver sb_cgroup_v1 = {
    .name = "cgroup v1",
    .version = 1,
    .open = open_bases,
    .limit = limit,
    .weigh_cpu = weigh_cpu,
    .limit_io = limit_io,
    .weigh_io = weigh_io,
    .cpu_base = CPU,
    .clones_into = false,
    .read = read_counters,
};
