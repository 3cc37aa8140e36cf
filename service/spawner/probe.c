#include "service/spawner/probe.h"

/* Theory of operation. Nothing is believed of versions and configuration: each row is tried in a
 * cloned child, in the namespaces the row names, with ids mapped as for a sandbox, and the child
 * says what happened. Whether the egress proxy really runs, the worker knows. */

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "service/shared/initproto.h"
#include "service/spawner/caps.h"
#include "service/spawner/cgroup.h"
#include "service/spawner/child.h"
#include "service/spawner/driver.h"
#include "service/spawner/egress.h"
#include "service/spawner/host.h"
#include "service/spawner/identity.h"
#include "service/spawner/ids.h"
#include "service/spawner/landlock.h"
#include "service/spawner/mount.h"
#include "service/spawner/ns.h"
#include "service/spawner/userns.h"

struct probe {
    const struct sb_host *host;
    struct sb_child *child;
};

static int try_nothing(struct probe *probe, struct sb_err *err)
{
    (void)probe;
    (void)err;
    return 0;
}

static int try_pid(struct probe *probe, struct sb_err *err)
{
    (void)probe;
    if (mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) {
        return sb_err_sys(err, errno, "mount proc");
    }
    return getpid() == 1 ? 0 : sb_err_set(err, SB_INTERNAL, "the child is not PID 1");
}

static int try_hostname(struct probe *probe, struct sb_err *err)
{
    (void)probe;
    return sethostname("sandbox", 7) < 0 ? sb_err_sys(err, errno, "set host name") : 0;
}

static int try_loopback(struct probe *probe, struct sb_err *err)
{
    return sb_ns_loopback(probe->child, err);
}

static int try_seccomp(struct probe *probe, struct sb_err *err)
{
    (void)probe;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), /* the number */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EDOM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0) {
        return sb_err_sys(err, errno, "install a filter");
    }
    return syscall(SYS_getppid) == -1 && errno == EDOM
               ? 0
               : sb_err_set(err, SB_INTERNAL, "a filter has no effect");
}

static int try_caps(struct probe *probe, struct sb_err *err)
{
    return sb_caps_lock(probe->child, err) < 0 || sb_identity_become_job(probe->child, err) < 0 ||
                   sb_caps_drop(probe->child, err) < 0
               ? -1
               : 0;
}

static int try_root(struct probe *probe, struct sb_err *err)
{
    (void)probe;
    struct statvfs fs;
    SB_CLEANUP(sb_closep)
    int fd = sb_mount_clone(AT_FDCWD, "/usr",
                            MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, err);
    if (fd < 0) {
        return -1;
    }
    return fstatvfs(fd, &fs) == 0 && (fs.f_flag & ST_RDONLY) != 0
               ? 0
               : sb_err_set(err, SB_INTERNAL, "a read-only mount is not read-only");
}

static int try_space(struct probe *probe, struct sb_err *err)
{
    (void)probe;
    char block[4096] = {0};
    SB_CLEANUP(sb_closep) int fs = sb_mount_new_tmpfs("size=16k,nr_inodes=16,mode=0755", err);
    if (fs < 0) {
        return -1;
    }
    SB_CLEANUP(sb_closep) int fd = openat(fs, "x", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return sb_err_sys(err, errno, "write to a tmpfs");
    }
    for (int i = 0; i < 8; i++) {
        if (write(fd, block, sizeof block) < 0) {
            return errno == ENOSPC ? 0 : sb_err_sys(err, errno, "fill a tmpfs");
        }
    }
    return sb_err_set(err, SB_INTERNAL, "a tmpfs grows beyond its size");
}

/* A socket with an abstract name, made before the wall: the wall must stand between it and us. */
static int reach_socket(int fd, struct sb_err *err)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    socklen_t len = sizeof name;
    SB_CLEANUP(sb_closep) int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (getsockname(fd, (struct sockaddr *)&name, &len) < 0 || client < 0) {
        return sb_err_sys(err, errno, "make a socket");
    }
    return connect(client, (const struct sockaddr *)&name, len) < 0 && errno == EPERM
               ? 0
               : sb_err_set(err, SB_INTERNAL, "landlock lets an abstract socket through");
}

static int try_landlock(struct probe *probe, struct sb_err *err)
{
    int version = probe->host->landlock;
    const struct sockaddr_un unnamed = {.sun_family = AF_UNIX}; /* the kernel gives a name */
    SB_CLEANUP(sb_closep) int fs = sb_mount_new_tmpfs("size=16k,nr_inodes=16,mode=0755", err);
    if (fs < 0) {
        return -1;
    }
    SB_CLEANUP(sb_closep) int fd = openat(fs, "x", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    SB_CLEANUP(sb_closep) int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(sock, (const struct sockaddr *)&unnamed, sizeof unnamed.sun_family) < 0 ||
        listen(sock, 1) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        return sb_err_sys(err, errno, "prepare");
    }
    if (sb_landlock_close(version, err) < 0) {
        return -1;
    }
    SB_CLEANUP(sb_closep) int again = openat(fs, "x", O_RDONLY | O_CLOEXEC);
    if (again >= 0 || errno != EACCES) {
        return sb_err_set(err, SB_INTERNAL, "landlock lets a file be opened");
    }
    return sb_landlock_lacks(version) == NULL ? reach_socket(sock, err) : 0;
}

/* Fixes. */
#define FIX_USERNS                                                                                 \
    "sysctl -w user.max_user_namespaces=15000; on Debian also "                                    \
    "kernel.unprivileged_userns_clone=1, "                                                         \
    "on Ubuntu the AppArmor profile that comes with us (aisbx-security doctor prints how)"
#define FIX_NS(name) "sysctl -w user.max_" name "_namespaces=15000"
#define FIX_PROC                                                                                   \
    "run the container with an unmasked /proc: docker --security-opt systempaths=unconfined, or "  \
    "Kubernetes procMount: Unmasked"
#define FIX_MOUNT "Linux 5.12 or newer, and in a container a seccomp profile that permits mount"

static const struct row {
    uint32_t control; /* aisbx.v1.Control */
    uint64_t namespaces;
    int (*run)(struct probe *probe, struct sb_err *err);
    const char *detail; /* when it holds */
    const char *fix;
} rows[] = {
    {1, 0, try_nothing, "user namespace with ids of its own", FIX_USERNS},
    {2, CLONE_NEWPID | CLONE_NEWNS, try_pid, "PID namespace with a fresh /proc", FIX_PROC},
    {3, CLONE_NEWNS, try_root, "mount namespace", FIX_NS("mnt")},
    {4, CLONE_NEWNET, try_loopback, "network namespace with lo only", FIX_NS("net")},
    {5, CLONE_NEWIPC, try_nothing, "IPC namespace", FIX_NS("ipc")},
    {6, CLONE_NEWUTS, try_hostname, "UTS namespace", FIX_NS("uts")},
    {7, CLONE_NEWCGROUP, try_nothing, "cgroup namespace", FIX_NS("cgroup")},
    {8, 0, try_seccomp, "an allowlist and denials", "a kernel with CONFIG_SECCOMP_FILTER"},
    {9, 0, try_caps, "all five sets empty, no_new_privs", "a kernel with user namespaces"},
    {14, CLONE_NEWNS, try_root, "read-only mounts", FIX_MOUNT},
    {15, CLONE_NEWNS, try_space, "tmpfs with size and nr_inodes", FIX_MOUNT},
};

/* In the child. */
static _Noreturn void
run_row(const struct row *row, struct probe *probe, int report_fd, struct sb_err *err)
{
    sb_err_clear(err);
    if (sb_identity_wait(probe->child, err) == 0 && sb_identity_set_up(probe->child, err) == 0) {
        (void)row->run(probe, err);
    }
    struct sb_err ignored;
    (void)sb_fd_write_full(report_fd, err, sizeof *err, &ignored);
    _exit(0);
}

void sb_probe_prepare(const struct sb_host *host,
                      struct sb_child *ret_child,
                      struct sb_userns_map *ret_map)
{
    uint32_t outside = host->is_root ? SB_IDS_LAST + 1U - SB_IDS_RANGE : 0;
    *ret_map = (struct sb_userns_map){
        .inside_uid = host->is_root ? 0 : SB_CHILD_ID,
        .inside_gid = host->is_root ? 0 : SB_CHILD_ID,
        .outside_uid = outside,
        .outside_gid = outside,
        .count = host->is_root ? SB_IDS_RANGE : 1,
        .has_setgroups = host->has_setgroups,
    };
    *ret_child = (struct sb_child){
        .setup_id = ret_map->inside_uid,
        .job_uid = SB_CHILD_ID,
        .job_gid = SB_CHILD_ID,
        .has_setgroups = host->has_setgroups,
        .sync_fd = -1,
        .parent_fd = host->self_fd,
    };
}

/* What the child of one row says; its failure to exist is said likewise. */
static void try_row(const struct sb_host *host,
                    uint64_t user_namespace,
                    const struct row *row,
                    struct sb_err *ret_said)
{
    struct sb_userns_map map;
    struct sb_child child;
    sb_probe_prepare(host, &child, &map);
    if (user_namespace == 0) {
        child.job_uid = child.job_gid = SB_IDS_LAST;
    }
    struct probe probe = {.host = host, .child = &child};
    int sync[2] = {-1, -1};
    int report[2] = {-1, -1};
    int pidfd = -1;
    if (sb_fd_pipe(sync, ret_said) < 0 || sb_fd_pipe(report, ret_said) < 0) {
        sb_fd_close_all(sync, 2);
        return;
    }
    child.sync_fd = sync[0];
    pid_t pid = sb_ns_clone(user_namespace | row->namespaces, -1, host->is_root, &pidfd, ret_said);
    if (pid == 0) {
        (void)close(sync[1]);
        run_row(row, &probe, report[1], ret_said);
    }
    sb_fd_close_all(&report[1], 1);
    if (pid > 0 && (user_namespace == 0 || sb_userns_write(pid, &map, ret_said) == 0) &&
        sb_fd_write_full(sync[1], "g", 1, ret_said) == 0) {
        size_t len = 0;
        if (sb_fd_read_full(report[0], ret_said, sizeof *ret_said, &len, ret_said) == 0 &&
            len != sizeof *ret_said) {
            (void)sb_err_set(ret_said, SB_INTERNAL, "the probe died");
        }
    }
    sb_fd_close_all(sync, 2);
    sb_fd_close_all(report, 2);
    sb_fd_close_all(&pidfd, 1);
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

static void add(struct sb_probe_controls *list,
                uint32_t control,
                uint32_t state,
                const char *detail,
                const char *fix)
{
    size_t i = list->n++;
    Spawn__V1__ProbedControl *out = &list->controls[i];
    spawn__v1__probed_control__init(out);
    (void)snprintf(list->details[i], sizeof list->details[i], "%s", detail);
    out->control = control;
    out->state = state;
    out->detail = list->details[i];
    memcpy(&out->fix, &fix, sizeof fix); /* protobuf-c has no const */
    list->pointers[i] = out;
}

static void add_ids(const struct sb_host *host, struct sb_probe_controls *list)
{
    if (host->is_root) {
        add(list, 13, host->has_idmap ? SB_PROBE_ENFORCED : SB_PROBE_DEGRADED,
            host->has_idmap ? "a range of 1024 ids for each sandbox, idmapped mounts"
                            : "a range of 1024 ids for each sandbox without mounts",
            host->has_idmap ? "" : "Linux 5.12 or newer for idmapped mounts");
    } else if (host->n_subids > 0) {
        add(list, 13, SB_PROBE_DEGRADED,
            "sub-ids for sandboxes without mounts; with mounts they run as the user",
            "run the worker as root, as a system service");
    } else {
        add(list, 13, SB_PROBE_ABSENT, "sandboxes run as the user",
            "apt install uidmap and a line for the user in /etc/subuid and /etc/subgid, or run "
            "the worker as root");
    }
}

/* The row tried it; a version without all of it is less. */
static void
add_landlock(const struct sb_host *host, uint64_t user_namespace, struct sb_probe_controls *list)
{
    static const struct row row = {11, CLONE_NEWNS, try_landlock, "", ""};
    static const char fix[] =
        "Linux 6.12 or newer with CONFIG_SECURITY_LANDLOCK, and landlock in the list that the boot "
        "option lsm= names";
    char detail[256];
    struct sb_err said;
    if (host->landlock == 0) {
        add(list, row.control, SB_PROBE_ABSENT, "the kernel has none, or a version before 2", fix);
        return;
    }
    const char *lacks = sb_landlock_lacks(host->landlock);
    (void)snprintf(detail, sizeof detail, "version %d%s%s%s%s", host->landlock,
                   lacks != NULL ? ", does not cover " : "", lacks != NULL ? lacks : "",
                   host->tells_paths         ? "; what it denies is recorded where auditing is on"
                   : host->paths_why != NULL ? "; what it denies is not told: "
                                             : "",
                   host->paths_why != NULL ? host->paths_why : "");
    try_row(host, user_namespace, &row, &said);
    if (said.code != SB_OK) {
        add(list, row.control, SB_PROBE_ABSENT, said.text, fix);
    } else {
        add(list, row.control, lacks != NULL ? SB_PROBE_DEGRADED : SB_PROBE_ENFORCED, detail,
            lacks != NULL ? fix : "");
    }
}

/* A directory that takes the place of one below has to hide it. */
static int use_overlay(struct sb_err *err)
{
    static const char *const dirs[] = {"lower", "upper", "work", "all", "lower/d", "lower/d/e"};
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
        if (mkdir(dirs[i], 0755) < 0) {
            return sb_err_sys(err, errno, "make a directory");
        }
    }
    if (mount("overlay", "all", "overlay", MS_NOSUID | MS_NODEV,
              "lowerdir=lower,upperdir=upper,workdir=work,userxattr") < 0) {
        return errno == ENODEV
                   ? sb_err_set(err, SB_PRECONDITION, "no overlay file system: modprobe overlay")
                   : sb_err_sys(err, errno, "mount an overlay");
    }
    if (rmdir("all/d/e") < 0 || rmdir("all/d") < 0 || mkdir("all/d", 0755) < 0) {
        return sb_err_sys(err, errno,
                          "remove a directory on an overlay, whose tmpfs keeps no user attributes "
                          "(Linux 6.6)");
    }
    return access("all/d/e", F_OK) < 0
               ? 0
               : sb_err_set(err, SB_PRECONDITION, "a directory on an overlay hides none below");
}

static int try_overlay(struct probe *probe, struct sb_err *err)
{
    (void)probe;
    if (mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        return sb_err_sys(err, errno, "make mounts private");
    }
    SB_CLEANUP(sb_closep) int fs = sb_mount_new_tmpfs("size=64k,nr_inodes=64,mode=0755", err);
    if (fs < 0 || sb_mount_attach(fs, AT_FDCWD, "/", err) < 0) {
        return -1;
    }
    return fchdir(fs) < 0 ? sb_err_sys(err, errno, "enter a tmpfs") : use_overlay(err);
}

int sb_probe_overlay(const struct sb_host *host, struct sb_err *err)
{
    static const struct row row = {0, CLONE_NEWNS, try_overlay, "", ""};
    try_row(host, CLONE_NEWUSER, &row, err);
    return err->code == SB_OK ? 0 : -1;
}

static int try_egress(struct probe *probe, struct sb_err *err)
{
    if (sb_ns_loopback(probe->child, err) < 0) {
        return -1;
    }
    SB_CLEANUP(sb_closep) int fd = sb_egress_make_listener(SB_INIT_EGRESS_PORT, err);
    return fd < 0 ? -1 : 0;
}

static void add_egress(const struct sb_host *host, uint64_t userns, struct sb_probe_controls *list)
{
    static const struct row row = {12, CLONE_NEWNET, try_egress, "", ""};
    struct sb_err said;
    if (host->egress_fd < 0) {
        add(list, row.control, SB_PROBE_ABSENT, "aisbx-egress is not beside aisbx-spawner",
            "install aisbx-egress, of the same build, into the folder of aisbx-spawner");
        return;
    }
    try_row(host, userns, &row, &said);
    add(list, row.control, said.code == SB_OK ? SB_PROBE_ENFORCED : SB_PROBE_ABSENT,
        said.code == SB_OK ? "aisbx-egress: host names, and no other way out" : said.text,
        said.code == SB_OK ? "" : FIX_NS("net"));
}

/* In the child, inside a group that permits one process. */
static _Noreturn void fork_twice(int parent_fd, int sync_fd)
{
    struct sb_child child = {.parent_fd = parent_fd, .sync_fd = sync_fd};
    struct sb_err ignored;
    if (sb_identity_wait(&child, &ignored) < 0) {
        _exit(2);
    }
    long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    _exit(pid == -1 && errno == EAGAIN ? 0 : 1);
}

/* A group that permits one process, and a child in it that wants to be two. */
static int try_cgroup(const struct sb_host *host, struct sb_err *err)
{
    const struct sb_cgroup_limits limits = {.memory_bytes = 16U << 20,
                                            .cpu_quota_us = SB_CGROUP_PERIOD_US,
                                            .cpu_weight = 100,
                                            .pids = 1};
    struct sb_cgroup_counters counters;
    struct sb_cgroup cgroup;
    int sync[2] = {-1, -1};
    int pidfd = -1;
    int status = -1;
    if (sb_fd_pipe(sync, err) < 0) {
        return -1;
    }
    if (sb_cgroup_make(&host->cgroups, "probe-0", &limits, &cgroup, err) < 0) {
        sb_fd_close_all(sync, 2);
        return -1;
    }
    int cgroup_fd = sb_cgroup_clone_fd(&cgroup);
    pid_t pid = sb_ns_clone(0, cgroup_fd, host->is_root, &pidfd, err);
    if (pid == 0) {
        (void)close(sync[1]);
        fork_twice(host->self_fd, sync[0]);
    }
    int done = pid < 0 || sb_cgroup_enter(&cgroup, pid, err) < 0 ||
                       sb_fd_write_full(sync[1], "g", 1, err) < 0
                   ? -1
                   : 0;
    sb_fd_close_all(sync, 2);
    sb_fd_close_all(&pidfd, 1);
    sb_fd_close_all(&cgroup_fd, 1);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    sb_cgroup_read(&cgroup, &counters);
    sb_cgroup_remove(&cgroup);
    bool counts_pids = (host->cgroups.controllers & SB_CGROUP_PIDS) != 0;
    if (done == 0 && counts_pids && (status != 0 || counters.pids_refused == 0)) {
        return sb_err_set(err, SB_INTERNAL, "%s: a limit has no effect", host->cgroups.detail);
    }
    return done;
}

static void add_cgroup(const struct sb_host *host, struct sb_probe_controls *list)
{
    static const char fix[] =
        "run the worker as root, or in a group of its own: systemd-run --user "
        "--scope -p Delegate=yes aisbx-worker";
    struct sb_err said;
    if (host->cgroups.driver == NULL) {
        add(list, 10, SB_PROBE_ABSENT, host->cgroups.detail, fix);
    } else if (try_cgroup(host, &said) < 0) {
        add(list, 10, SB_PROBE_ABSENT, said.text, fix);
    } else if ((host->cgroups.controllers & SB_CGROUP_ALL) != SB_CGROUP_ALL) {
        add(list, 10, SB_PROBE_DEGRADED, host->cgroups.detail,
            "enable the memory, cpu and pids controllers");
    } else {
        add(list, 10, SB_PROBE_ENFORCED, host->cgroups.detail, "");
    }
}

static void add_row(const struct sb_host *host,
                    uint64_t user_namespace,
                    const struct row *row,
                    struct sb_probe_controls *list)
{
    struct sb_err said;
    try_row(host, user_namespace, row, &said);
    if (said.code == SB_OK) {
        add(list, row->control, SB_PROBE_ENFORCED, row->detail, "");
    } else {
        add(list, row->control, SB_PROBE_ABSENT, said.text, row->fix);
    }
}

/* What of the host's controls a driver without user namespaces gives. When there are none here, all
 * of them failed for that alone, and are tried again. */
static void add_controls(const struct sb_host *host,
                         const struct sb_driver *driver,
                         bool has_userns,
                         struct sb_probe_controls *list)
{
    bool tries = !has_userns && host->is_root && (driver->namespaces & CLONE_NEWUSER) == 0;
    for (size_t i = 1; tries && i < sizeof rows / sizeof *rows; i++) {
        add_row(host, 0, &rows[i], list);
    }
    if (tries) {
        add_landlock(host, 0, list);
        add_egress(host, 0, list);
    }
    for (const struct sb_driver_control *control = driver->controls;
         control != NULL && control->control != 0; control++) {
        add(list, control->control, control->state, control->detail, control->fix);
    }
}

/* @userns  what was found of user namespaces. */
static void add_driver(const struct sb_host *host,
                       const struct sb_driver *driver,
                       const Spawn__V1__ProbedControl *userns,
                       struct sb_probe_driver *ret_driver)
{
    Spawn__V1__ProbedDriver *out = &ret_driver->message;
    struct sb_err said;
    bool has_userns = userns->state == SB_PROBE_ENFORCED;
    spawn__v1__probed_driver__init(out);
    out->driver = driver->number;
    if (driver->check != NULL && driver->check(host, &said) < 0) {
        (void)snprintf(ret_driver->detail, sizeof ret_driver->detail, "%s", said.text);
    } else if (!has_userns && (driver->namespaces & CLONE_NEWUSER) != 0) {
        (void)snprintf(ret_driver->detail, sizeof ret_driver->detail, "%s", userns->detail);
    } else {
        (void)snprintf(ret_driver->detail, sizeof ret_driver->detail, "%s%s%s", driver->detail,
                       driver->version == NULL ? "" : ", version ",
                       driver->version == NULL ? "" : driver->version(host));
        out->available = true;
    }
    out->detail = ret_driver->detail;
    ret_driver->controls.n = 0;
    add_controls(host, driver, has_userns, &ret_driver->controls);
    out->n_controls = ret_driver->controls.n;
    out->controls = ret_driver->controls.pointers;
}

void sb_probe_run(const struct sb_host *host, struct sb_probe_result *ret_result)
{
    struct sb_probe_controls *list = &ret_result->controls;
    Spawn__V1__Probed *message = &ret_result->message;
    spawn__v1__probed__init(message);
    list->n = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        add_row(host, CLONE_NEWUSER, &rows[i], list);
    }
    add_landlock(host, CLONE_NEWUSER, list);
    add_egress(host, CLONE_NEWUSER, list);
    add_ids(host, list);
    add_cgroup(host, list);
    message->controls = list->pointers;
    message->n_controls = list->n;
    for (size_t i = 0; sb_drivers[i] != NULL; i++) {
        add_driver(host, sb_drivers[i], list->pointers[0], &ret_result->drivers[i]);
        ret_result->pointers[i] = &ret_result->drivers[i].message;
        message->n_drivers = i + 1;
    }
    message->drivers = ret_result->pointers;
}
