#include "service/spawner/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mutate.h"
#include "base/num.h"
#include "base/str.h"
#include "service/spawner/cgroup_driver.h"
#include "service/spawner/cgroup_find.h"

enum {
    MAX_NAMES = 16, /* of a base, until a free one is found */
    REMOVE_TRIES =
        50 /* milliseconds: the kernel lets go of the dead a moment after they are reaped */
};

/* Of programs that serve sandboxes; no sandbox has such a name. */
static const char beside[] = "beside";
static const char prefix[] = "aisbx-";

static int open_dir(int dir, const char *name)
{
    return openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* Kills what is listed in a group; never who asks. */
static void kill_listed(int dir, const char *group)
{
    char text[SB_CGROUP_FILE_SIZE];
    struct sb_str rest = sb_cgroup_get(dir, group, "cgroup.procs", text);
    struct sb_str line;
    struct sb_err ignored;
    while (sb_str_next(&rest, '\n', &line)) {
        uint64_t pid = 0;
        if (sb_num_u64(line, 2, INT32_MAX, &pid, &ignored) == 0 && (pid_t)pid != getpid() &&
            (pid_t)pid != getppid()) {
            (void)kill((pid_t)pid, SIGKILL);
        }
    }
}

static int remove_group(int dir, const char *group)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    for (int i = 0; i < REMOVE_TRIES; i++) {
        if (unlinkat(dir, group, AT_REMOVEDIR) == 0 || errno == ENOENT) {
            return 0;
        }
        if (errno != EBUSY) {
            break;
        }
        if (i > 0 && !sb_mutated("cgroup.sweep")) { /* not just a moment: somebody is still in it */
            kill_listed(dir, group);
            sb_cgroup_thaw_to_end(dir, group);
        }
        (void)nanosleep(&moment, NULL);
    }
    return -1;
}

/* ---- bases ---- */

/* Removes the groups below a directory, whose owner is dead. */
static void empty_base(int base)
{
    int copy = open_dir(base, ".");
    DIR *list = copy < 0 ? NULL : fdopendir(copy);
    if (list == NULL) {
        sb_closep(&copy);
        return;
    }
    for (const struct dirent *entry = NULL; (entry = readdir(list)) != NULL;) {
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
            (void)remove_group(base, entry->d_name);
        }
    }
    (void)closedir(list);
}

/* "12", from @text on; NULL: something else. */
static const char *skip_number(const char *text)
{
    size_t n = strspn(text, "0123456789");
    return n == 0 ? NULL : text + n;
}

/* The prefix and a number or two: others may call a group "aisbx-something". */
static bool is_base_name(const char *name)
{
    const char *rest = strncmp(name, prefix, sizeof prefix - 1) == 0
                           ? skip_number(name + sizeof prefix - 1)
                           : NULL;
    rest = rest != NULL && *rest == '-' ? skip_number(rest + 1) : rest;
    return rest != NULL && *rest == '\0';
}

/* Of what a base has: cgroup.h says how sb_cgroup_make is to name them. */
static bool is_own_name(const char *name)
{
    const char *dash = strrchr(name, '-');
    const char *rest = dash == NULL ? NULL : skip_number(dash + 1);
    return strcmp(name, beside) == 0 || (rest != NULL && *rest == '\0');
}

/* False as well when nobody can say. */
static bool has_no_process(int group)
{
    char byte = 0;
    SB_CLEANUP(sb_closep) int fd = openat(group, "cgroup.procs", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && read(fd, &byte, 1) == 0;
}

/* True when a group looks like a base: with no process of its own, and with nothing below it that
 * is of another kind. A container may have such a name, too. */
static bool is_base(int base)
{
    bool is_ours = has_no_process(base);
    int copy = is_ours ? open_dir(base, ".") : -1;
    DIR *list = copy < 0 ? NULL : fdopendir(copy);
    if (list == NULL) {
        sb_closep(&copy);
        return false;
    }
    for (const struct dirent *entry = NULL; is_ours && (entry = readdir(list)) != NULL;) {
        is_ours = entry->d_type != DT_DIR || entry->d_name[0] == '.' || is_own_name(entry->d_name);
    }
    (void)closedir(list);
    return is_ours;
}

static void sweep_one(int parent, const char *name)
{
    SB_CLEANUP(sb_closep) int base = open_dir(parent, name);
    if (base < 0 || !is_base(base) || flock(base, LOCK_EX | LOCK_NB) < 0) {
        return; /* somebody else's, or its owner lives */
    }
    empty_base(base);
    if (remove_group(parent, name) == 0) {
        SB_LOG_INFO("removed the cgroup of a dead spawner", "name=%s", name);
    }
}

static void sweep(int parent)
{
    int copy = open_dir(parent, ".");
    DIR *list = copy < 0 ? NULL : fdopendir(copy);
    if (list == NULL) {
        sb_closep(&copy);
        return;
    }
    for (const struct dirent *entry = NULL; (entry = readdir(list)) != NULL;) {
        if (is_base_name(entry->d_name)) {
            sweep_one(parent, entry->d_name);
        }
    }
    (void)closedir(list);
}

/* True when the name still means what is open: a sweeper may have come between. */
static bool is_still(int parent, const char *name, int base)
{
    struct stat now;
    struct stat then;
    return fstatat(parent, name, &now, AT_SYMLINK_NOFOLLOW) == 0 && fstat(base, &then) == 0 &&
           now.st_ino == then.st_ino;
}

int sb_cgroup_make_base(struct sb_cgroups *cgroups, int i, int parent_fd, struct sb_err *err)
{
    char *name = cgroups->names[i];
    cgroups->parents[i] = parent_fd;
    sweep(parent_fd);
    for (int n = 0; n < MAX_NAMES; n++) {
        int len = snprintf(name, sizeof cgroups->names[i], "%s%jd", prefix, (intmax_t)getpid());
        if (n > 0) { /* a spawner of another PID namespace has the same number */
            (void)snprintf(name + len, sizeof cgroups->names[i] - (size_t)len, "-%d", n);
        }
        if (mkdirat(parent_fd, name, 0755) < 0) {
            if (errno == EEXIST) {
                continue;
            }
            return sb_err_sys(err, errno, "make a cgroup");
        }
        SB_CLEANUP(sb_closep) int base = open_dir(parent_fd, name);
        if (base >= 0 && flock(base, LOCK_EX | LOCK_NB) == 0 && is_still(parent_fd, name, base)) {
            cgroups->bases[i] = SB_STEAL_FD(base);
            return 0;
        }
    }
    name[0] = '\0';
    return sb_err_set(err, SB_EXHAUSTED, "no free name for a cgroup");
}

void sb_cgroup_drop_base(struct sb_cgroups *cgroups, int i)
{
    if (cgroups->bases[i] >= 0) {
        empty_base(cgroups->bases[i]);
        (void)remove_group(cgroups->parents[i], cgroups->names[i]);
    }
    sb_closep(&cgroups->bases[i]);
    sb_closep(&cgroups->parents[i]);
    cgroups->bases[i] = cgroups->parents[i] = -1;
}

void sb_cgroup_close(struct sb_cgroups *cgroups)
{
    for (int i = 0; i < SB_CGROUP_MAX_BASES; i++) {
        sb_cgroup_drop_base(cgroups, i);
    }
    cgroups->driver = NULL;
    cgroups->freezer = NULL;
    cgroups->controllers = 0;
}

/* ---- start ---- */

static void list_controllers(const struct sb_cgroups *cgroups, char *out, size_t cap)
{
    unsigned has = cgroups->controllers;
    (void)snprintf(
        out, cap, "%s:%s%s%s%s", cgroups->driver->name,
        (has & SB_CGROUP_MEMORY) != 0 ? " memory" : "", (has & SB_CGROUP_CPU) != 0 ? " cpu" : "",
        (has & SB_CGROUP_PIDS) != 0 ? " pids" : "", (has & SB_CGROUP_IO) != 0 ? " io" : "");
}

void sb_cgroup_open(bool is_root, struct sb_cgroups *ret_cgroups)
{
    static const struct sb_cgroup_driver *const drivers[] = {&sb_cgroup_v2, &sb_cgroup_v1, NULL};
    char *mounts = malloc(1U << 20);
    char groups[SB_CGROUP_FILE_SIZE];
    struct sb_err err = {.code = SB_OK};
    *ret_cgroups = SB_CGROUPS_NONE;
    size_t len = 0;
    ssize_t n = 0;
    SB_CLEANUP(sb_closep) int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    while (mounts != NULL && fd >= 0 && (n = read(fd, mounts + len, (1U << 20) - len)) > 0) {
        len += (size_t)n;
    }
    const struct sb_cgroup_view view = {
        .mounts = sb_str_of(mounts == NULL ? "" : mounts, len),
        .groups = sb_cgroup_get(AT_FDCWD, "/proc/self", "cgroup", groups),
    };
    for (size_t i = 0; drivers[i] != NULL; i++) {
        ret_cgroups->driver = drivers[i];
        if (drivers[i]->open(&view, is_root, ret_cgroups, &err) == 0) {
            list_controllers(ret_cgroups, ret_cgroups->detail, sizeof ret_cgroups->detail);
            break;
        }
        sb_cgroup_close(ret_cgroups);
        size_t used = strlen(ret_cgroups->detail);
        (void)snprintf(ret_cgroups->detail + used, sizeof ret_cgroups->detail - used, "%s%s: %.70s",
                       used == 0 ? "" : "; ", drivers[i]->name, err.text);
    }
    free(mounts);
}

void sb_cgroup_weigh(const struct sb_cgroups *cgroups, uint64_t weight)
{
    const struct sb_cgroup_driver *driver = cgroups->driver;
    struct sb_err err;
    if (weight == SB_CGROUP_WEIGHT) {
        return;
    }
    if (driver == NULL || (cgroups->controllers & SB_CGROUP_CPU) == 0) {
        SB_LOG_WARN("sandboxes have the usual share of the processors", "reason=%s",
                    "no controller of processors");
        return;
    }
    if (weight == SB_CGROUP_IDLE) {
        if (sb_cgroup_write(cgroups->bases[driver->cpu_base], "", "cpu.idle", "1", &err) == 0) {
            return;
        }
        SB_LOG_WARN("sandboxes weigh 1: this kernel has no cpu.idle (Linux 5.15)", "reason=%s",
                    err.text);
        weight = 1;
    }
    if (driver->weigh_cpu(cgroups, "", weight, &err) < 0) {
        SB_LOG_WARN("sandboxes have the usual share of the processors", "reason=%s", err.text);
    }
}

/* ---- one sandbox ---- */

bool sb_cgroup_wants_io(const struct sb_cgroup_io *io)
{
    return io->read_bytes != 0 || io->write_bytes != 0 || io->read_ops != 0 || io->write_ops != 0 ||
           io->weight != 0;
}

/* The base that the group lies below in a row; -1: it is not there. */
static int base_of(const struct sb_cgroup *cgroup, int i)
{
    return i == SB_CGROUP_IO_BASE && !cgroup->has_io ? -1 : cgroup->host->bases[i];
}

int sb_cgroup_make(const struct sb_cgroups *cgroups,
                   const char *name,
                   const struct sb_cgroup_limits *limits,
                   struct sb_cgroup *ret_cgroup,
                   struct sb_err *err)
{
    struct sb_cgroup cgroup = {.host = cgroups, .has_io = sb_cgroup_wants_io(&limits->io)};
    if (cgroups->driver == NULL) {
        return sb_err_set(err, SB_PRECONDITION, "%s", cgroups->detail);
    }
    (void)snprintf(cgroup.name, sizeof cgroup.name, "%s", name);
    for (int i = 0; i < SB_CGROUP_MAX_BASES; i++) {
        int base = base_of(&cgroup, i);
        if (base < 0 || mkdirat(base, cgroup.name, 0755) == 0) {
            continue;
        }
        int sys = errno;
        while (--i >= 0) { /* not the one that was there already: it is another's */
            if (base_of(&cgroup, i) >= 0) {
                (void)remove_group(base_of(&cgroup, i), cgroup.name);
            }
        }
        return sb_err_sys(err, sys, "make cgroup %s", cgroup.name);
    }
    if (cgroups->driver->limit(&cgroup, limits, err) < 0) {
        sb_cgroup_remove(&cgroup);
        return -1;
    }
    *ret_cgroup = cgroup;
    return 0;
}

int sb_cgroup_limit_io(const struct sb_cgroup *cgroup,
                       const struct sb_cgroup_io *io,
                       const struct sb_iodevs *devs,
                       struct sb_err *err)
{
    if (cgroup->host == NULL || (cgroup->host->controllers & SB_CGROUP_IO) == 0) {
        return sb_err_set(err, SB_PRECONDITION, "no controller for it here");
    }
    if (sb_mutated("cgroup.io")) {
        return 0;
    }
    for (size_t i = 0; i < devs->n; i++) {
        if (cgroup->host->driver->limit_io(cgroup, io, devs->disks[i], err) < 0) {
            return -1;
        }
    }
    return io->weight == 0 ? 0 : cgroup->host->driver->weigh_io(cgroup, io->weight, err);
}

/* The row in which clone3 starts a process; -1: none. */
static int cloned_row(const struct sb_cgroups *host)
{
    const struct sb_cgroup_freezer *freezer = host->freezer;
    return host->driver->clones_into                 ? 0
           : freezer != NULL && freezer->clones_into ? freezer->base
                                                     : -1;
}

int sb_cgroup_clone_fd(const struct sb_cgroup *cgroup)
{
    int row = cgroup->host == NULL ? -1 : cloned_row(cgroup->host);
    return row < 0 ? -1 : open_dir(cgroup->host->bases[row], cgroup->name);
}

static int put(const struct sb_cgroup *cgroup, const char *file, pid_t pid, struct sb_err *err)
{
    if (cgroup->host == NULL || cgroup->host->driver->clones_into) {
        return 0;
    }
    for (int i = 0; i < SB_CGROUP_MAX_BASES; i++) {
        int base = i == cloned_row(cgroup->host) ? -1 : base_of(cgroup, i);
        if (base >= 0 && sb_cgroup_write_u64(base, cgroup->name, file, (uint64_t)pid, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int sb_cgroup_join(const struct sb_cgroup *cgroup, struct sb_err *err)
{
    return put(cgroup, "tasks", 0, err); /* 0: who writes */
}

int sb_cgroup_enter(const struct sb_cgroup *cgroup, pid_t pid, struct sb_err *err)
{
    return put(cgroup, "cgroup.procs", pid, err);
}

int sb_cgroup_leave(const struct sb_cgroup *cgroup, pid_t pid, struct sb_err *err)
{
    for (int i = 0; cgroup->host != NULL && i < SB_CGROUP_MAX_BASES; i++) {
        int base = cgroup->host->bases[i];
        if (base < 0) {
            continue;
        }
        if (mkdirat(base, beside, 0755) < 0 && errno != EEXIST) {
            return sb_err_sys(err, errno, "make cgroup %s", beside);
        }
        if (sb_cgroup_write_u64(base, beside, "cgroup.procs", (uint64_t)pid, err) < 0) {
            return -1;
        }
    }
    return 0;
}

void sb_cgroup_kill(const struct sb_cgroup *cgroup)
{
    struct sb_err ignored;
    if (cgroup->host != NULL && cgroup->host->driver->clones_into) {
        (void)sb_cgroup_write(cgroup->host->bases[0], cgroup->name, "cgroup.kill", "1", &ignored);
    }
    const struct sb_cgroup_freezer *freezer = cgroup->host == NULL ? NULL : cgroup->host->freezer;
    if (freezer != NULL && freezer->keeps_from_end) {
        (void)sb_cgroup_write(cgroup->host->bases[freezer->base], cgroup->name, freezer->file,
                              freezer->thaw, &ignored);
    }
}

void sb_cgroup_read(const struct sb_cgroup *cgroup, struct sb_cgroup_counters *ret_counters)
{
    *ret_counters = (struct sb_cgroup_counters){0};
    if (cgroup->host != NULL) {
        ret_counters->version = cgroup->host->driver->version;
        ret_counters->controllers = cgroup->host->controllers;
        cgroup->host->driver->read(cgroup, ret_counters);
    }
}

void sb_cgroup_remove(struct sb_cgroup *cgroup)
{
    for (int i = 0; cgroup->host != NULL && i < SB_CGROUP_MAX_BASES; i++) {
        if (base_of(cgroup, i) >= 0 && remove_group(base_of(cgroup, i), cgroup->name) < 0) {
            SB_LOG_WARN("a cgroup stays", "name=%s errno=%d", cgroup->name, errno);
        }
    }
    cgroup->host = NULL;
}
