/* Version 2: one hierarchy. A group that gives controllers to groups below it must not hold
 * processes, the root of all excepted; so the group we were started in is made an inner one by
 * moving those in it to a leaf, when they are ours to move. Permissions decide: version 2 asks for
 * the right to write to the common ancestor's files. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "service/spawner/cgroup_driver.h"

enum { MOVE_TRIES = 3 };

/* Not with the prefix of the bases: it is never swept. */
static const char leaf[] = "aisbx.worker";

static const struct {
    const char *name;
    const char *enable;
    unsigned bit;
} controllers[] = {
    {"memory", "+memory", SB_CGROUP_MEMORY},
    {"cpu", "+cpu", SB_CGROUP_CPU},
    {"pids", "+pids", SB_CGROUP_PIDS},
    {"io", "+io", SB_CGROUP_IO},
};

/* A group without this file is the root of all. */
static bool is_root_of_all(int dir)
{
    return faccessat(dir, "cgroup.type", F_OK, 0) < 0 && errno == ENOENT;
}

static unsigned enabled(int dir)
{
    char text[SB_CGROUP_FILE_SIZE];
    unsigned bits = 0;
    struct sb_str list = sb_cgroup_get(dir, "", "cgroup.subtree_control", text);
    if (list.len > 0 && list.ptr[list.len - 1] == '\n') {
        list.len--;
    }
    for (size_t i = 0; i < sizeof controllers / sizeof *controllers; i++) {
        bits |= sb_cgroup_has_word(list, ' ', controllers[i].name) ? controllers[i].bit : 0;
    }
    return bits;
}

/* Moves the processes of a group to its leaf: the worker and the spawner, or, when the group is all
 * that a container has, whoever is in it. */
static int move_to_leaf(int dir, bool may_move_all, struct sb_err *err)
{
    char text[SB_CGROUP_FILE_SIZE];
    struct sb_str rest = sb_cgroup_get(dir, "", "cgroup.procs", text);
    struct sb_str line;
    if (mkdirat(dir, leaf, 0755) < 0 && errno != EEXIST) {
        return sb_err_sys(err, errno, "make a leaf below the own cgroup");
    }
    while (sb_str_next(&rest, '\n', &line)) {
        uint64_t pid = 0;
        struct sb_err bad;
        if (line.len == 0) {
            continue;
        }
        bool is_ours = sb_num_u64(line, 1, INT32_MAX, &pid, &bad) == 0 &&
                       (may_move_all || (pid_t)pid == getpid() || (pid_t)pid == getppid());
        if (!is_ours) {
            return sb_err_set(err, SB_PRECONDITION,
                              "the own cgroup holds other programs; start the worker in one of "
                              "its own");
        }
    }
    rest = sb_cgroup_get(dir, "", "cgroup.procs", text);
    while (sb_str_next(&rest, '\n', &line)) {
        uint64_t pid = 0;
        struct sb_err bad;
        if (sb_num_u64(line, 1, INT32_MAX, &pid, &bad) == 0 &&
            sb_cgroup_write_u64(dir, leaf, "cgroup.procs", pid, &bad) < 0 && bad.sys != ESRCH) {
            *err = bad;
            return -1;
        }
    }
    return 0;
}

/* Gives controllers to the groups below; returns those they have. */
static unsigned give(int dir)
{
    struct sb_err ignored;
    for (size_t i = 0; i < sizeof controllers / sizeof *controllers; i++) {
        (void)sb_cgroup_write(dir, "", "cgroup.subtree_control", controllers[i].enable, &ignored);
    }
    return enabled(dir);
}

static int enable(int dir, bool may_move_all, struct sb_err *err)
{
    unsigned bits = enabled(dir);
    for (int i = 0; i < MOVE_TRIES && (bits & SB_CGROUP_ALL) != SB_CGROUP_ALL;
         i++) { /* one may fork meanwhile */
        if (!is_root_of_all(dir) && move_to_leaf(dir, may_move_all, err) < 0) {
            return -1;
        }
        bits = give(dir);
    }
    return (bits & SB_CGROUP_MEMORY) != 0 && (bits & SB_CGROUP_PIDS) != 0
               ? 0
               : sb_err_set(err, SB_PRECONDITION, "no memory and pids controllers here");
}

/* Makes the base below one directory. */
static int
try_dir(const char *path, bool may_move_all, struct sb_cgroups *cgroups, struct sb_err *err)
{
    SB_CLEANUP(sb_closep) int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        return sb_err_sys(err, errno, "open %s", path);
    }
    /* Before anything is changed: by the permissions of a start as an ordinary user. */
    if (faccessat(dir, "cgroup.procs", W_OK, AT_EACCESS) < 0 ||
        faccessat(dir, "cgroup.subtree_control", W_OK, AT_EACCESS) < 0) {
        return sb_err_set(err, SB_PRECONDITION, "the own cgroup is not delegated");
    }
    if (enable(dir, may_move_all, err) < 0 ||
        sb_cgroup_make_base(cgroups, 0, SB_STEAL_FD(dir), err) < 0) {
        return -1;
    }
    cgroups->controllers = give(cgroups->bases[0]);
    sb_cgroup_freeze_by_v2(cgroups);
    return 0;
}

/* Cuts "/aisbx.worker" off: where another worker of the same group went before. */
static void leave_leaf(char *dir)
{
    char *slash = strrchr(dir, '/');
    if (slash != NULL && strcmp(slash + 1, leaf) == 0) {
        *slash = '\0';
    }
}

static int open_base(const struct sb_cgroup_view *view,
                     bool is_root,
                     struct sb_cgroups *cgroups,
                     struct sb_err *err)
{
    char dir[PATH_MAX];
    char root[PATH_MAX];
    if (!sb_cgroup_find(view, NULL, dir, root)) {
        return sb_err_set(err, SB_PRECONDITION, "not mounted");
    }
    leave_leaf(dir);
    /* All that is in a container's only group, or in one that was given to the user, may go to the
     * leaf; in another of root's, a service's say, only the worker. */
    bool is_top = strcmp(dir, root) == 0;
    if (try_dir(dir, is_top || !is_root, cgroups, err) == 0) {
        return 0;
    }
    return is_root && !is_top ? try_dir(root, false, cgroups, err) : -1;
}

static int
weigh_cpu(const struct sb_cgroups *cgroups, const char *group, uint64_t weight, struct sb_err *err)
{
    return sb_cgroup_write_u64(cgroups->bases[0], group, "cpu.weight", weight, err);
}

static int
limit(const struct sb_cgroup *cgroup, const struct sb_cgroup_limits *limits, struct sb_err *err)
{
    int base = cgroup->host->bases[0];
    unsigned has = cgroup->host->controllers;
    const char *name = cgroup->name;
    struct sb_err swap_err;
    if ((has & SB_CGROUP_MEMORY) != 0 && limits->memory_bytes != 0) {
        if (sb_cgroup_write_u64(base, name, "memory.max", limits->memory_bytes, err) < 0) {
            return -1;
        }
        if (sb_cgroup_write_u64(base, name, "memory.swap.max", limits->swap_bytes, &swap_err) < 0 &&
            swap_err.sys != ENOENT) { /* no file: a kernel without swap */
            *err = swap_err;
            return -1;
        }
    }
    if ((has & SB_CGROUP_CPU) != 0 && limits->cpu_quota_us != 0) {
        char text[48];
        (void)snprintf(text, sizeof text, "%" PRIu64 " %d", limits->cpu_quota_us,
                       SB_CGROUP_PERIOD_US);
        if (sb_cgroup_write(base, name, "cpu.max", text, err) < 0) {
            return -1;
        }
    }
    if ((has & SB_CGROUP_CPU) != 0 && limits->cpu_weight != 0 &&
        weigh_cpu(cgroup->host, name, limits->cpu_weight, err) < 0) {
        return -1;
    }
    return (has & SB_CGROUP_PIDS) == 0 || limits->pids == 0
               ? 0
               : sb_cgroup_write_u64(base, name, "pids.max", limits->pids, err);
}

static int limit_io(const struct sb_cgroup *cgroup,
                    const struct sb_cgroup_io *io,
                    dev_t disk,
                    struct sb_err *err)
{
    char text[160];
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"rbps", io->read_bytes},
        {"wbps", io->write_bytes},
        {"riops", io->read_ops},
        {"wiops", io->write_ops},
    };
    int len = snprintf(text, sizeof text, "%u:%u", major(disk), minor(disk));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].value != 0) {
            len += snprintf(text + len, sizeof text - (size_t)len, " %s=%" PRIu64, rows[i].name,
                            rows[i].value);
        }
    }
    bool has_limit = strchr(text, '=') != NULL;
    return has_limit ? sb_cgroup_write(cgroup->host->bases[0], cgroup->name, "io.max", text, err)
                     : 0;
}

static int weigh_io(const struct sb_cgroup *cgroup, uint64_t weight, struct sb_err *err)
{
    return sb_cgroup_write_u64(cgroup->host->bases[0], cgroup->name, "io.weight", weight, err);
}

static void read_counters(const struct sb_cgroup *cgroup, struct sb_cgroup_counters *counters)
{
    char text[SB_CGROUP_FILE_SIZE];
    int base = cgroup->host->bases[0];
    const char *name = cgroup->name;
    counters->memory = sb_cgroup_get_u64(base, name, "memory.current");
    counters->memory_peak = sb_cgroup_get_u64(base, name, "memory.peak"); /* Linux 5.19 */
    (void)sb_cgroup_keyed(sb_cgroup_get(base, name, "memory.events", text), "oom_kill",
                          &counters->oom_kills);
    (void)sb_cgroup_keyed(sb_cgroup_get(base, name, "pids.events", text), "max",
                          &counters->pids_refused);
    struct sb_str cpu = sb_cgroup_get(base, name, "cpu.stat", text);
    (void)sb_cgroup_keyed(cpu, "nr_throttled", &counters->cpu_throttled);
    (void)sb_cgroup_keyed(cpu, "user_usec", &counters->cpu_user_us);
    (void)sb_cgroup_keyed(cpu, "system_usec", &counters->cpu_system_us);
}

const struct sb_cgroup_driver sb_cgroup_v2 = {
    .name = "cgroup v2",
    .version = 2,
    .open = open_base,
    .limit = limit,
    .weigh_cpu = weigh_cpu,
    .limit_io = limit_io,
    .weigh_io = weigh_io,
    .cpu_base = 0,
    .clones_into = true,
    .read = read_counters,
};
