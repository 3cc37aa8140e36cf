#include "service/spawner/plan.h"

#include <string.h>
#include <sys/resource.h>

#include "base/err.h"
#include "base/str.h"
#include "service/spawner/driver.h"

enum {
    MAX_ID = 64,       /* bytes */
    MAX_HOSTNAME = 63, /* bytes, as in DNS */
    MAX_CERTIFICATE = 16 << 10,
};
#define MIN_DISK   (64ULL << 10)
#define MAX_DISK   (1ULL << 40)
#define MIN_INODES 16ULL
#define MAX_INODES 100000000ULL

/* What is below these belongs to the sandbox. "/" is refused by rule. */
static const char *const own_trees[] = {
    "/usr", "/bin", "/sbin", "/lib", "/lib32",   "/lib64",   "/libx32",
    "/etc", "/dev", "/proc", "/sys", "/var/tmp", "/var/run", /* links to /tmp and /run: one place,
                                                                one name */
};
/* These are bounded tmpfs: something may be mounted below, not in their place. */
static const char *const own_points[] = {"/tmp", "/run", "/var"};

/* RLIMIT_AS is not here: runtimes reserve address space far beyond what they use. */
static const int rlimits[] = {
    RLIMIT_CPU,    RLIMIT_FSIZE,   RLIMIT_DATA,     RLIMIT_STACK,      RLIMIT_NPROC,
    RLIMIT_NOFILE, RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE, RLIMIT_SIGPENDING, RLIMIT_LOCKS,
};

static bool is_word(const char *text, const char *alphabet, size_t max)
{
    size_t len = strlen(text);
    return len > 0 && len <= max && strspn(text, alphabet) == len;
}

static bool is_below(const char *path, const char *tree)
{
    size_t len = strlen(tree);
    return strncmp(path, tree, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

/* Absolute; no empty part, no "." or "..", no slash at the end, no control character. */
static bool is_normal_path(const char *path)
{
    struct sb_str rest = sb_str_from(path);
    struct sb_str part;
    if (rest.len < 2 || rest.len > SB_PLAN_MAX_PATH || path[0] != '/') {
        return false;
    }
    for (const char *c = path; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            return false;
        }
    }
    rest = sb_str_skip(rest, 1);
    while (sb_str_next(&rest, '/', &part)) {
        if (part.len == 0 || part.len > 255 || sb_str_eq(part, SB_STR(".")) ||
            sb_str_eq(part, SB_STR(".."))) {
            return false;
        }
    }
    return true;
}

int sb_plan_check_target(const char *target, struct sb_err *err)
{
    if (!is_normal_path(target)) {
        return sb_err_set(err, SB_INVALID, "mounts.target: \"%s\" is not a normal absolute path",
                          target);
    }
    for (size_t i = 0; i < sizeof own_trees / sizeof *own_trees; i++) {
        if (is_below(target, own_trees[i])) {
            return sb_err_set(err, SB_INVALID, "mounts.target: %s is below %s, which is built in",
                              target, own_trees[i]);
        }
    }
    for (size_t i = 0; i < sizeof own_points / sizeof *own_points; i++) {
        if (strcmp(target, own_points[i]) == 0) {
            return sb_err_set(err, SB_INVALID, "mounts.target: %s is built in", target);
        }
    }
    return 0;
}

bool sb_plan_is_overlay(const struct sb_plan *plan, size_t mount)
{
    return plan->workspace_is_overlay && strcmp(plan->mounts[mount].target, "/workspace") == 0;
}

static int check_mount(const Spawn__V1__HostMount *msg, struct sb_plan *plan, struct sb_err *err)
{
    if (!is_normal_path(msg->source)) {
        return sb_err_set(err, SB_INVALID, "mounts.source: \"%s\" is not a normal absolute path",
                          msg->source);
    }
    if (sb_plan_check_target(msg->target, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < plan->n_mounts; i++) {
        const char *other = plan->mounts[i].target;
        /* A mount point below another mount would have to be made in the host's own directory. */
        if (is_below(msg->target, other) || is_below(other, msg->target)) {
            return sb_err_set(err, SB_INVALID, "mounts.target: %s and %s overlap", other,
                              msg->target);
        }
    }
    bool is_workspace = strcmp(msg->target, "/workspace") == 0;
    if (msg->of_worker && (msg->writable || is_workspace)) {
        return sb_err_set(err, SB_INVALID, "mounts.of_worker: %s can only be read", msg->target);
    }
    if (!msg->of_worker && plan->n_of_worker > 0) {
        return sb_err_set(err, SB_INVALID, "mounts: those of the worker come last");
    }
    if (is_workspace && plan->workspace_is_overlay &&
        (msg->writable || plan->workspace_read_only)) {
        return sb_err_set(err, SB_INVALID,
                          "mounts.writable: what lies below an overlay is not, and the overlay is");
    }
    plan->n_of_worker += msg->of_worker ? 1 : 0;
    plan->mounts[plan->n_mounts++] = (struct sb_plan_mount){
        .source = msg->source,
        .target = msg->target,
        .is_writable = msg->writable && !(is_workspace && plan->workspace_read_only),
        .is_of_worker = msg->of_worker != 0,
    };
    return 0;
}

static int check_mounts(const Spawn__V1__Plan *msg, struct sb_plan *plan, struct sb_err *err)
{
    bool has_workspace = false;
    if (msg->n_mounts > SB_PLAN_MAX_MOUNTS) {
        return sb_err_set(err, SB_INVALID, "mounts: %zu, at most %d", msg->n_mounts,
                          SB_PLAN_MAX_MOUNTS);
    }
    for (size_t i = 0; i < msg->n_mounts; i++) {
        if (check_mount(msg->mounts[i], plan, err) < 0) {
            return -1;
        }
        has_workspace = has_workspace || strcmp(msg->mounts[i]->target, "/workspace") == 0;
    }
    if (has_workspace != (msg->workspace >= SPAWN__V1__WORKSPACE__WORKSPACE_MOUNT)) {
        return sb_err_set(err, SB_INVALID,
                          "workspace: WORKSPACE_MOUNT and a mount at /workspace go together");
    }
    return 0;
}

/* A mount point within what a job has written before would have to be looked for among its links.
 */
static int check_layer(const struct sb_plan *plan, struct sb_err *err)
{
    for (size_t i = 0; plan->layer_id != 0 && i < plan->n_mounts; i++) {
        const char *target = plan->mounts[i].target;
        bool is_workspace = plan->workspace_is_tmpfs && is_below(target, "/workspace");
        if (is_below(target, "/tmp") || is_workspace) {
            return sb_err_set(
                err, SB_PRECONDITION,
                "mounts.target: %s is within what a snapshot brings: put it elsewhere", target);
        }
    }
    return 0;
}

static int check_rlimits(const Spawn__V1__Plan *msg, struct sb_plan *plan, struct sb_err *err)
{
    if (msg->n_rlimits > SB_PLAN_MAX_RLIMITS) {
        return sb_err_set(err, SB_INVALID, "rlimits: %zu, at most %d", msg->n_rlimits,
                          SB_PLAN_MAX_RLIMITS);
    }
    for (size_t i = 0; i < msg->n_rlimits; i++) {
        const Spawn__V1__Rlimit *limit = msg->rlimits[i];
        bool is_known = false;
        for (size_t k = 0; k < sizeof rlimits / sizeof *rlimits; k++) {
            is_known = is_known || (uint32_t)rlimits[k] == limit->resource;
        }
        if (!is_known) {
            return sb_err_set(err, SB_INVALID, "rlimits.resource: %u is not one that may be set",
                              limit->resource);
        }
        plan->rlimits[plan->n_rlimits++] =
            (struct sb_plan_rlimit){.resource = (int)limit->resource, .value = limit->value};
    }
    return 0;
}

static int check_space(const Spawn__V1__Plan *msg, struct sb_err *err)
{
    if (msg->root != SPAWN__V1__ROOT__ROOT_SYSTEM && msg->root != SPAWN__V1__ROOT__ROOT_MINIMAL) {
        return sb_err_set(err, SB_INVALID, "root: %d is not a kind of root", (int)msg->root);
    }
    if ((int)msg->workspace < 0 || msg->workspace > SPAWN__V1__WORKSPACE__WORKSPACE_OVERLAY) {
        return sb_err_set(err, SB_INVALID, "workspace: %d is not a kind of workspace",
                          (int)msg->workspace);
    }
    if (msg->disk_bytes < MIN_DISK || msg->disk_bytes > MAX_DISK) {
        return sb_err_set(err, SB_INVALID, "disk_bytes: %llu is not within %llu..%llu",
                          (unsigned long long)msg->disk_bytes, MIN_DISK, MAX_DISK);
    }
    if (msg->inodes < MIN_INODES || msg->inodes > MAX_INODES) {
        return sb_err_set(err, SB_INVALID, "inodes: %llu is not within %llu..%llu",
                          (unsigned long long)msg->inodes, MIN_INODES, MAX_INODES);
    }
    return 0;
}

/* Limits of the control group; 0 is "no limit". */
static int check_cgroup(const Spawn__V1__Plan *msg, struct sb_plan *plan, struct sb_err *err)
{
    const struct {
        const char *name;
        uint64_t value;
        uint64_t min;
        uint64_t max;
    } rows[] = {
        {"memory_bytes", msg->memory_bytes, 1U << 20, 1ULL << 40},
        {"swap_bytes", msg->swap_bytes, 1, 1ULL << 40},
        {"cpu_quota_us", msg->cpu_quota_us, 1000, 1024ULL * SB_CGROUP_PERIOD_US},
        {"cpu_weight", msg->cpu_weight, 1, 10000},
        {"pids", msg->pids, 1, 1ULL << 22},
        {"io_read_bytes", msg->io_read_bytes, 1U << 10, 1ULL << 40},
        {"io_write_bytes", msg->io_write_bytes, 1U << 10, 1ULL << 40},
        {"io_read_ops", msg->io_read_ops, 1, 1000000000},
        {"io_write_ops", msg->io_write_ops, 1, 1000000000},
        {"io_weight", msg->io_weight, 1, 10000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].value != 0 && (rows[i].value < rows[i].min || rows[i].value > rows[i].max)) {
            return sb_err_set(err, SB_INVALID, "%s: %llu is not within %llu..%llu", rows[i].name,
                              (unsigned long long)rows[i].value, (unsigned long long)rows[i].min,
                              (unsigned long long)rows[i].max);
        }
    }
    plan->cgroup = (struct sb_cgroup_limits){
        .memory_bytes = msg->memory_bytes,
        .swap_bytes = msg->swap_bytes,
        .cpu_quota_us = msg->cpu_quota_us,
        .cpu_weight = msg->cpu_weight,
        .pids = msg->pids,
        .io =
            {
                .read_bytes = msg->io_read_bytes,
                .write_bytes = msg->io_write_bytes,
                .read_ops = msg->io_read_ops,
                .write_ops = msg->io_write_ops,
                .weight = msg->io_weight,
            },
    };
    return 0;
}

int sb_plan_check(const Spawn__V1__Plan *msg, struct sb_plan *ret_plan, struct sb_err *err)
{
    if (msg == NULL) {
        return sb_err_set(err, SB_INVALID, "plan: missing");
    }
    if (!is_word(msg->sandbox_id, "abcdefghijklmnopqrstuvwxyz0123456789_", MAX_ID)) {
        return sb_err_set(err, SB_INVALID, "sandbox_id: \"%s\" is not an id", msg->sandbox_id);
    }
    if (!is_word(msg->hostname, "abcdefghijklmnopqrstuvwxyz0123456789-", MAX_HOSTNAME)) {
        return sb_err_set(err, SB_INVALID, "hostname: \"%s\" is not a name of a-z, 0-9 and -",
                          msg->hostname);
    }
    const struct sb_driver *driver = sb_driver_find(msg->driver);
    if (driver == NULL) {
        return sb_err_set(err, SB_INVALID, "driver: %d is not one of this build", (int)msg->driver);
    }
    if (check_space(msg, err) < 0) {
        return -1;
    }
    if (msg->filter_id == 0) {
        return sb_err_set(err, SB_INVALID, "filter_id: missing");
    }
    if (msg->egress_port != 0 && (msg->egress_port < 1024 || msg->egress_port > UINT16_MAX)) {
        return sb_err_set(err, SB_INVALID, "egress_port: %u is not within 1024..65535",
                          msg->egress_port);
    }
    if (strlen(msg->trusted_certificate) > MAX_CERTIFICATE) {
        return sb_err_set(err, SB_INVALID, "trusted_certificate: longer than %d bytes",
                          MAX_CERTIFICATE);
    }
    struct sb_plan plan = {
        .driver = driver,
        .sandbox_id = msg->sandbox_id,
        .hostname = msg->hostname,
        .is_minimal = msg->root == SPAWN__V1__ROOT__ROOT_MINIMAL,
        .has_workspace = msg->workspace != SPAWN__V1__WORKSPACE__WORKSPACE_UNSPECIFIED,
        .workspace_is_tmpfs = msg->workspace == SPAWN__V1__WORKSPACE__WORKSPACE_TMPFS,
        .workspace_is_overlay = msg->workspace == SPAWN__V1__WORKSPACE__WORKSPACE_OVERLAY,
        .workspace_read_only = msg->workspace_read_only != 0,
        .disk_bytes = msg->disk_bytes,
        .inodes = msg->inodes,
        .filter_id = msg->filter_id,
        .tells_denials = msg->tell_denials,
        .learns = msg->learn,
        .egress_port = (uint16_t)msg->egress_port,
        .trusted_certificate = msg->trusted_certificate,
        .layer_id = msg->layer_id,
    };
    if (check_cgroup(msg, &plan, err) < 0 || check_mounts(msg, &plan, err) < 0 ||
        check_layer(&plan, err) < 0 || check_rlimits(msg, &plan, err) < 0) {
        return -1;
    }
    *ret_plan = plan;
    return 0;
}
