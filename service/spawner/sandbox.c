#include "service/spawner/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mutate.h"
#include "service/spawner/child.h"
#include "service/spawner/driver.h"
#include "service/spawner/filter.h"
#include "service/spawner/host.h"
#include "service/spawner/hostmount.h"
#include "service/spawner/iodev.h"
#include "service/spawner/layers/fill.h"
#include "service/spawner/layers/give.h"
#include "service/spawner/layers/layer.h"
#include "service/spawner/ns.h"
#include "service/spawner/peer.h"
#include "service/spawner/plan.h"
#include "service/spawner/userns.h"

/* What the parent's steps share. */
struct start {
    const struct sb_host *host;
    struct sb_ids_pool *pool;
    struct sb_layers *layers;
    struct sb_layer *layer;
    const struct sb_plan *plan;
    const struct sb_peer *peer;
    const int *of_worker; /* descriptors of its mounts */
    struct sb_sandbox *sandbox;
    struct sb_hostmounts mounts;
    struct sb_child child; /* the child's copy of all it needs */
    int child_sync_fd;     /* owned; the child's ends */
    int child_report_fd;
    int child_ctl_fd;
};

static void start_done(struct start *start)
{
    if (start->plan->driver->release != NULL) {
        start->plan->driver->release(&start->child);
    }
    sb_hostmount_done(&start->mounts);
    sb_given_done(&start->child.given);
    sb_closep(&start->child_sync_fd);
    sb_closep(&start->child_report_fd);
    sb_closep(&start->child_ctl_fd);
}

static int check_driver(struct start *start, struct sb_err *err)
{
    const struct sb_driver *driver = start->plan->driver;
    return driver->check == NULL ? 0 : driver->check(start->host, err);
}

static uint64_t namespaces_of(const struct start *start)
{
    uint64_t without = (sb_mutated("ns.user") ? CLONE_NEWUSER : 0ULL) |
                       (sb_mutated("ns.pid") ? CLONE_NEWPID : 0ULL) |
                       (sb_mutated("ns.net") ? CLONE_NEWNET : 0ULL) |
                       (sb_mutated("ns.ipc") ? CLONE_NEWIPC : 0ULL) |
                       (sb_mutated("ns.uts") ? CLONE_NEWUTS : 0ULL);
    return start->plan->driver->namespaces & ~without;
}

static bool has_userns(const struct start *start)
{
    return (namespaces_of(start) & CLONE_NEWUSER) != 0;
}

static int take_ids(struct start *start, struct sb_err *err)
{
    const struct sb_host *host = start->host;
    struct sb_ids *ids = &start->sandbox->ids;
    if (sb_mutated("ids.own") || sb_mutated("ids.root")) {
        unsigned other = sb_mutated("ids.own") ? 1 : 0; /* somebody's */
        sb_ids_share(ids, other, other);
        return 0;
    }
    if (start->pool->n_ranges > 0) {
        return sb_ids_take(start->pool, ids, err);
    }
    if (host->caller_uid == 0 || host->caller_gid == 0) {
        return sb_err_set(err, SB_PRECONDITION,
                          "root without CAP_SYS_ADMIN, CAP_SETUID, CAP_SETGID and CAP_SETPCAP has "
                          "no id to give away: start as an ordinary user, or with a range for root "
                          "in /etc/subuid and /etc/subgid");
    }
    sb_ids_share(ids, 0, 0); /* the caller, see sb_host; zeroed with the sandbox */
    return 0;
}

static int open_mounts(struct start *start, struct sb_err *err)
{
    if (start->plan->n_mounts == 0) {
        return 0;
    }
    if (start->peer == NULL && start->plan->n_of_worker < start->plan->n_mounts) {
        return sb_err_set(err, SB_INVALID, "mounts: the caller's connection is missing");
    }
    if (sb_hostmount_open(start->host, start->plan, start->peer, start->of_worker,
                          &start->sandbox->ids, &start->mounts, err) < 0) {
        return -1;
    }
    start->sandbox->bound = start->mounts.bound;
    start->mounts.bound.n = 0;
    return 0;
}

/* The child puts the mount into its mount namespace and takes it out again; who has it open reads
 * on in it. */
static int open_ground(struct start *start, struct sb_err *err)
{
    size_t i = 0;
    while (i < start->mounts.n && !sb_plan_is_overlay(start->plan, i)) {
        i++;
    }
    if (i == start->mounts.n) {
        return sb_err_set(err, SB_INVALID, "workspace: its mount is missing");
    }
    if (!start->mounts.is_dir[i]) {
        return sb_err_set(err, SB_INVALID, "%s is not a directory", start->plan->mounts[i].source);
    }
    start->sandbox->ground_fd = fcntl(start->mounts.fds[i], F_DUPFD_CLOEXEC, 3);
    return start->sandbox->ground_fd < 0 ? sb_err_sys(err, errno, "keep the workspace") : 0;
}

static int check_places(const struct sb_plan *plan, struct sb_err *err)
{
    if (plan->driver->keeps_places) {
        return 0;
    }
    return plan->workspace_is_overlay
               ? sb_err_set(err, SB_PRECONDITION,
                            "the driver %s cannot bind a directory copy-on-write: take native, or "
                            "bind it ro",
                            plan->driver->name)
               : sb_err_set(err, SB_PRECONDITION,
                            "the driver %s cannot start from a snapshot: take native",
                            plan->driver->name);
}

static int open_layers(struct start *start, struct sb_err *err)
{
    struct sb_sandbox *sandbox = start->sandbox;
    const struct sb_plan *plan = start->plan;
    bool has_workspace = plan->workspace_is_tmpfs || plan->workspace_is_overlay;
    sandbox->inodes = plan->inodes;
    sandbox->places = 1U << SB_PLACE_TMP | (has_workspace ? 1U << SB_PLACE_WORKSPACE : 0);
    if (start->layer == NULL && !plan->workspace_is_overlay) {
        return 0;
    }
    if (check_places(plan, err) < 0 ||
        (plan->workspace_is_overlay && open_ground(start, err) < 0)) {
        return -1;
    }
    return sb_given_make(start->layers, start->layer, plan, sandbox, &start->child.given, err);
}

static int refuse_root(struct start *start, struct sb_err *err)
{
    const struct sb_ids *ids = &start->sandbox->ids;
    bool is_root = start->host->is_root
                       ? sb_ids_job_uid(ids) == 0 || sb_ids_job_gid(ids) == 0
                       : !sb_ids_are_distinct(ids) &&
                             (start->host->caller_uid == 0 || start->host->caller_gid == 0);
    return is_root ? sb_err_set(err, SB_PRECONDITION, "the job would be root on the host") : 0;
}

static int make_cgroup(struct start *start, struct sb_err *err)
{
    const struct sb_cgroups *cgroups = &start->host->cgroups;
    if (cgroups->driver == NULL) {
        return 0; /* note_degraded says so */
    }
    /* The slot makes it unique, whatever the worker says. */
    char name[SB_CGROUP_NAME_SIZE];
    struct sb_cgroup_limits limits = start->plan->cgroup;
    limits.memory_bytes = sb_mutated("cgroup.memory") ? 0 : limits.memory_bytes;
    limits.swap_bytes = sb_mutated("cgroup.swap") ? 1ULL << 62 : limits.swap_bytes;
    limits.cpu_quota_us = sb_mutated("cgroup.cpu") ? 0 : limits.cpu_quota_us;
    limits.pids = sb_mutated("cgroup.pids") ? 0 : limits.pids;
    if (limits.pids != 0) {
        limits.pids += start->plan->driver->extra_processes;
    }
    (void)snprintf(name, sizeof name, "%s-%" PRIu64, start->plan->sandbox_id, start->plan->slot);
    return sb_cgroup_make(cgroups, name, &limits, &start->sandbox->cgroup, err);
}

/* The disks that the sandbox can read from and write to. Returns the first path that lies on none,
 * or NULL. */
static const char *find_disks(const struct start *start, struct sb_iodevs *devs)
{
    SB_CLEANUP(sb_closep) int usr = open("/usr", O_PATH | O_CLOEXEC);
    const char *lacks = sb_iodev_add(devs, usr) ? NULL : "/usr";
    for (size_t i = 0; i < start->mounts.n; i++) {
        if (!sb_iodev_add(devs, start->mounts.fds[i])) {
            lacks = start->plan->mounts[i].target;
        }
    }
    return lacks;
}

/* Input and output are limited where they can be: a sandbox that has memory and a processor of its
 * own is worth having without, when it says so. */
static int limit_io(struct start *start, struct sb_err *err)
{
    (void)err;
    struct sb_sandbox *sandbox = start->sandbox;
    struct sb_iodevs devs = {.n = 0};
    struct sb_err said;
    if (!sb_cgroup_wants_io(&start->plan->cgroup.io)) {
        return 0;
    }
    const char *lacks = find_disks(start, &devs);
    if (sb_cgroup_limit_io(&sandbox->cgroup, &start->plan->cgroup.io, &devs, &said) < 0) {
        (void)snprintf(sandbox->io_lacks, sizeof sandbox->io_lacks, "io: not limited: %.150s",
                       said.text);
    } else if (lacks != NULL) {
        (void)snprintf(sandbox->io_lacks, sizeof sandbox->io_lacks,
                       "io: not limited at %.80s, which lies on no disk that the kernel names",
                       lacks);
    }
    return 0;
}

/* As a pipe, but the kernel says who wrote. */
static int open_named_pipe(int ret_ends[2], struct sb_err *err)
{
    const int on = 1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_ends) < 0) {
        return sb_err_sys(err, errno, "make socket pair");
    }
    if (setsockopt(ret_ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0) {
        int sys = errno;
        sb_fd_close_all(ret_ends, 2);
        return sb_err_sys(err, sys, "ask who writes");
    }
    return 0;
}

static int open_channels(struct start *start, struct sb_err *err)
{
    struct sb_sandbox *sandbox = start->sandbox;
    int ends[2];
    if (sb_fd_pipe(ends, err) < 0) {
        return -1;
    }
    start->child_sync_fd = ends[0];
    sandbox->sync_fd = ends[1];
    if (open_named_pipe(ends, err) < 0) {
        return -1;
    }
    sandbox->report_fd = ends[0];
    start->child_report_fd = ends[1];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        return sb_err_sys(err, errno, "make socket pair");
    }
    sandbox->ctl_fd = ends[0];
    start->child_ctl_fd = ends[1];
    return 0;
}

static void fill_child(struct start *start)
{
    struct sb_child *child = &start->child;
    const struct sb_ids *ids = &start->sandbox->ids;
    child->has_userns = has_userns(start);
    child->setup_id = ids->inside == 0 || !child->has_userns ? 0 : SB_CHILD_ID;
    child->job_uid = child->has_userns ? SB_CHILD_ID : sb_ids_job_uid(ids);
    child->job_gid = child->has_userns ? SB_CHILD_ID : sb_ids_job_gid(ids);
    bool has_init_id = ids->init_uid != 0 && !start->host->has_no_new_privs;
    child->init_uid = !has_init_id || sb_mutated("init.id") ? child->job_uid
                      : child->has_userns                   ? SB_CHILD_INIT_ID
                                                            : ids->init_uid;
    child->has_tty_group = ids->inside == 0 && child->has_userns;
    child->has_setgroups = start->host->has_setgroups;
    child->cgroup = &start->sandbox->cgroup;
    child->sync_fd = start->child_sync_fd;
    child->report_fd = start->child_report_fd;
    child->ctl_fd = start->child_ctl_fd;
    child->init_fd = start->host->init_fd;
    const struct sb_cgroups *groups = start->sandbox->cgroup.host;
    unsigned controllers = groups != NULL ? groups->controllers : 0;
    child->has_pids_group = (controllers & SB_CGROUP_PIDS) != 0;
    child->has_memory_group = (controllers & SB_CGROUP_MEMORY) != 0;
    child->has_cpu_group = (controllers & SB_CGROUP_CPU) != 0;
    child->landlock = start->host->landlock;
    child->tells_paths = start->host->tells_paths;
    child->root_fd = -1;
    for (size_t i = 0; i < start->mounts.n; i++) {
        child->mount_fds[i] = start->mounts.fds[i];
        child->mount_is_dir[i] = start->mounts.is_dir[i];
    }
}

static int prepare_child(struct start *start, struct sb_err *err)
{
    const struct sb_driver *driver = start->plan->driver;
    fill_child(start);
    return driver->prepare == NULL ? 0 : driver->prepare(start->host, &start->child, err);
}

static int clone_child(struct start *start, struct sb_err *err)
{
    struct sb_sandbox *sandbox = start->sandbox;
    SB_CLEANUP(sb_closep) int cgroup_fd = sb_cgroup_clone_fd(&sandbox->cgroup);
    pid_t pid =
        sb_ns_clone(namespaces_of(start), cgroup_fd, start->host->is_root, &sandbox->pidfd, err);
    if (pid == 0) {
        /* Else the child would never see the end of file that tells of the spawner's death. */
        (void)close(sandbox->sync_fd);
        sb_child_run(&start->child);
    }
    sandbox->pid = pid;
    return pid < 0 ? -1 : 0;
}

static int write_maps(struct start *start, struct sb_err *err)
{
    const struct sb_ids *ids = &start->sandbox->ids;
    if (!has_userns(start)) {
        return 0;
    }
    struct sb_userns_map map = {
        .inside_uid = ids->inside,
        .inside_gid = ids->inside,
        .outside_uid = ids->outside_uid,
        .outside_gid = ids->outside_gid,
        .count = ids->count,
        .more_inside = SB_CHILD_INIT_ID,
        .more_outside = ids->is_shared ? ids->init_uid : 0,
        .has_setgroups = start->host->has_setgroups,
    };
    return sb_userns_write(start->sandbox->pid, &map, err);
}

static int copy_layer(struct start *start, struct sb_err *err)
{
    struct sb_given *given = &start->child.given;
    return given->wait_fd < 0
               ? 0
               : sb_fill_start(start->layers, start->layer, start->sandbox, given, err);
}

static int open_namespaces(struct start *start, struct sb_err *err)
{
    struct sb_sandbox *sandbox = start->sandbox;
    if (!start->plan->driver->keeps_places) {
        return 0;
    }
    sandbox->mnt_fd = sb_ns_open(sandbox->pid, "mnt", err);
    sandbox->pid_fd = sandbox->mnt_fd < 0 ? -1 : sb_ns_open(sandbox->pid, "pid", err);
    return sandbox->pid_fd < 0 ? -1 : 0;
}

static int let_go(struct start *start, struct sb_err *err)
{
    return sb_fd_write_full(start->sandbox->sync_fd, "g", 1, err);
}

/* The parent's part. All that can fail for a reason of the caller's comes before the clone. */
static const struct step {
    const char *name;
    int (*run)(struct start *start, struct sb_err *err);
} steps[] = {
    {"driver", check_driver},
    {"ids", take_ids},
    {"mounts", open_mounts}, /* may change the ids */
    {"layers", open_layers},
    {"root", refuse_root}, /* whatever the steps above have done */
    {"cgroup", make_cgroup},
    {"io", limit_io},
    {"channels", open_channels},
    {"prepare", prepare_child},
    {"clone", clone_child},
    {"maps", write_maps}, /* before that the child of a user namespace has no rights at all */
    {"namespaces", open_namespaces},
    {"copy", copy_layer}, /* it waits for that */
    {"go", let_go},
};

static void note_degraded(struct sb_sandbox *sandbox, const struct start *start)
{
    unsigned controllers = start->host->cgroups.controllers;
    if (start->plan->driver->degraded != NULL) {
        sandbox->degraded[sandbox->n_degraded++] = start->plan->driver->degraded;
    }
    if (controllers == 0) {
        sandbox->degraded[sandbox->n_degraded++] =
            "cgroup: none here: memory is bounded by process only, CPU by affinity";
    } else if ((controllers & SB_CGROUP_ALL) != SB_CGROUP_ALL) {
        sandbox->degraded[sandbox->n_degraded++] =
            (controllers & SB_CGROUP_MEMORY) == 0
                ? "cgroup: no memory controller, bounded by process only"
            : (controllers & SB_CGROUP_CPU) == 0 ? "cgroup: no cpu controller, by affinity only"
                                                 : "cgroup: no pids controller, rlimit only";
    }
    if (sandbox->io_lacks[0] != '\0') {
        sandbox->degraded[sandbox->n_degraded++] = sandbox->io_lacks;
    }
    if (!sb_ids_are_distinct(&sandbox->ids)) {
        sandbox->degraded[sandbox->n_degraded++] =
            start->mounts.lacks_idmap ? "distinct uid: a file system of its mounts cannot map ids"
            : start->plan->n_mounts > start->plan->n_of_worker && !start->host->is_root
                ? "distinct uid: mounts of an ordinary user need the user's own id"
                : "distinct uid: no sub-ids of the user, or no newuidmap";
    }
    if (start->host->has_no_new_privs) {
        sandbox->degraded[sandbox->n_degraded++] =
            "init: has the id of the job, as the worker was started with no_new_privs";
    } else if (sandbox->ids.init_uid == 0) { /* the proxy has one, and each sandbox two */
        sandbox->degraded[sandbox->n_degraded++] =
            "init: has the id of the job, as the user has less than three sub-ids";
    }
    if (!start->host->has_setgroups) {
        sandbox->degraded[sandbox->n_degraded++] =
            "supplementary groups: those of the user remain, as no newgidmap is there to drop them";
    }
    if (start->host->landlock == 0) {
        sandbox->degraded[sandbox->n_degraded++] =
            "landlock: none here, or a version before 2: the mounts stand alone";
    }
}

/* Ends a child that will not become a sandbox, and waits for it. */
static void abandon(struct sb_sandbox *sandbox)
{
    if (sandbox->pid > 0) {
        sb_sandbox_kill(sandbox);
        while (waitpid(sandbox->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    sb_sandbox_free(sandbox);
}

struct sb_sandbox *sb_sandbox_start(const struct sb_host *host,
                                    struct sb_ids_pool *pool,
                                    struct sb_layers *layers,
                                    struct sb_layer *layer,
                                    const struct sb_plan *plan,
                                    const struct sb_filter *filter,
                                    const struct sb_peer *peer,
                                    const int *of_worker,
                                    struct sb_err *err)
{
    struct sb_sandbox *sandbox = calloc(1, sizeof *sandbox);
    if (sandbox == NULL) {
        (void)sb_err_oom(err);
        return NULL;
    }
    sandbox->copy_pidfd = sandbox->filled[0] = sandbox->filled[1] = -1;
    sandbox->init_pidfd = sandbox->mnt_fd = sandbox->pid_fd = sandbox->ground_fd = -1;
    sandbox->pidfd = sandbox->report_fd = sandbox->sync_fd = sandbox->ctl_fd = -1;
    sandbox->state = SB_SANDBOX_STARTING;
    sandbox->tells_ready = plan->driver->tells_ready;
    sandbox->deadline_ms = sb_clock_mono_ms() + SB_SANDBOX_START_MS;
    SB_CLEANUP(start_done)
    struct start start = {
        .host = host,
        .pool = pool,
        .layers = layers,
        .layer = layer,
        .plan = plan,
        .peer = peer,
        .of_worker = of_worker,
        .sandbox = sandbox,
        .child = {.driver = plan->driver, .plan = plan, .filter = filter, .given = SB_GIVEN_NONE},
        .child_sync_fd = -1,
        .child_report_fd = -1,
        .child_ctl_fd = -1,
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (!sb_mutated_part("parent", steps[i].name) && steps[i].run(&start, err) < 0) {
            (void)sb_err_wrap(err, "%s", steps[i].name);
            abandon(sandbox);
            return NULL;
        }
    }
    note_degraded(sandbox, &start);
    return sandbox;
}

/* Reads bytes and the process that wrote them, 0: unknown. */
static ssize_t read_named(int fd, void *data, size_t size, pid_t *ret_pid)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
    } control = {.bytes = {0}};
    struct iovec iov = {.iov_base = data, .iov_len = size};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    struct ucred who = {0};
    ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    const struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&msg);
    if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS) {
        memcpy(&who, CMSG_DATA(c), sizeof who);
    }
    *ret_pid = who.pid;
    return n;
}

/* The child is another program and init is below it: that is the one to know and to kill, as the
 * program counts what init used. No limit of the sandbox is the program's. */
static int adopt_init(struct sb_sandbox *sandbox, pid_t pid, struct sb_err *err)
{
    if (pid <= 0 || pid == sandbox->pid) {
        return sb_err_set(err, SB_INTERNAL, "it is not known who says that init runs");
    }
    sandbox->init_pid = pid;
    sandbox->init_pidfd = pidfd_open(pid, 0);
    if (sandbox->init_pidfd < 0) {
        return sb_err_sys(err, errno, "open process %d", pid);
    }
    return sb_cgroup_leave(&sandbox->cgroup, sandbox->pid, err);
}

/* Reads what has been said until now. A program that stands before init says things piece by piece.
 * *ret_pid  who wrote the first byte, when that came now. Returns 0 at the end, 1: more may follow.
 */
static int read_said(struct sb_sandbox *sandbox, pid_t *ret_pid, struct sb_err *err)
{
    while (sandbox->said_len < sizeof sandbox->said) {
        pid_t pid = 0;
        ssize_t n = read_named(sandbox->report_fd, sandbox->said + sandbox->said_len,
                               sizeof sandbox->said - sandbox->said_len, &pid);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return 1;
        }
        if (n <= 0) {
            return n == 0 ? 0 : sb_err_sys(err, errno, "read what the child says");
        }
        *ret_pid = sandbox->said_len == 0 ? pid : *ret_pid;
        sandbox->said_len += (size_t)n;
    }
    return 0;
}

/* Makes the error of what was said, and the step that failed. */
static int judge(const struct sb_sandbox *sandbox, int status, char *ret_step, struct sb_err *err)
{
    struct sb_child_report report;
    if (sandbox->said_len == sizeof report) {
        memcpy(&report, sandbox->said, sizeof report);
        if (memcmp(report.magic, SB_CHILD_REPORT_MAGIC, sizeof report.magic) == 0) {
            memcpy(ret_step, report.step, SB_CHILD_STEP_SIZE);
            ret_step[SB_CHILD_STEP_SIZE - 1] = '\0';
            *err = report.err;
            return -1;
        }
    }
    if (sandbox->said_len == 0) {
        return sb_err_set(err, SB_INTERNAL, "the child died (status %d)", status);
    }
    const char *end = memchr(sandbox->said, '\n', sandbox->said_len);
    int line = (int)(end == NULL ? sandbox->said_len : (size_t)(end - sandbox->said));
    (void)snprintf(ret_step, SB_CHILD_STEP_SIZE, "start");
    return sb_err_set(err, SB_INTERNAL, "%.*s", line, sandbox->said);
}

static bool is_alive(const struct sb_sandbox *sandbox, int *ret_status)
{
    siginfo_t info = {0};
    bool is = waitid(P_PIDFD, (id_t)sandbox->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
              info.si_pid == 0;
    *ret_status = info.si_status;
    return is;
}

int sb_sandbox_started(struct sb_sandbox *sandbox, bool is_dead, char *ret_step, struct sb_err *err)
{
    int status = 0;
    pid_t who = 0;
    ret_step[0] = '\0';
    int more = read_said(sandbox, &who, err);
    bool is_said = sandbox->tells_ready && sandbox->said_len == 1 && sandbox->said[0] == '\0';
    bool is_ready = is_said || (!sandbox->tells_ready && more == 0 && sandbox->said_len == 0);
    if (more > 0 && !is_ready && !is_dead) {
        return 0;
    }
    if (is_said && more >= 0 && adopt_init(sandbox, who, err) < 0) {
        more = -1;
    }
    if (more >= 0 && is_ready && sb_fill_settle(sandbox, err) < 0) {
        (void)snprintf(ret_step, SB_CHILD_STEP_SIZE, "space");
        more = -1;
    }
    if (more >= 0 && is_ready && is_alive(sandbox, &status)) {
        sandbox->init_pid = is_said ? sandbox->init_pid : sandbox->pid;
        sandbox->state = SB_SANDBOX_RUNNING;
        sb_closep(&sandbox->report_fd);
        sb_closep(&sandbox->sync_fd);
        sandbox->report_fd = sandbox->sync_fd = -1;
        return 1;
    }
    sb_sandbox_fail(sandbox);
    sandbox->said_len = is_ready ? 0 : sandbox->said_len;
    return more < 0 ? -1 : judge(sandbox, status, ret_step, err);
}

int sb_sandbox_init_status(const struct sb_sandbox *sandbox, int wait_status)
{
    bool tells_signal =
        sandbox->tells_ready && WIFEXITED(wait_status) && WEXITSTATUS(wait_status) > 128;
    return tells_signal ? WEXITSTATUS(wait_status) - 128 : wait_status;
}

void sb_sandbox_fail(struct sb_sandbox *sandbox)
{
    sb_sandbox_kill(sandbox);
    sandbox->state = SB_SANDBOX_FAILED;
    sb_closep(&sandbox->report_fd);
    sb_closep(&sandbox->sync_fd);
    sb_closep(&sandbox->ctl_fd);
    sandbox->report_fd = sandbox->sync_fd = sandbox->ctl_fd = -1;
}

void sb_sandbox_kill(const struct sb_sandbox *sandbox)
{
    int fd = sandbox->init_pidfd >= 0 ? sandbox->init_pidfd : sandbox->pidfd;
    if (sandbox->copy_pidfd >= 0) {
        (void)pidfd_send_signal(sandbox->copy_pidfd, SIGKILL, NULL, 0);
    }
    (void)pidfd_send_signal(fd, SIGKILL, NULL, 0);
    sb_cgroup_kill(&sandbox->cgroup);
}

void sb_sandbox_free(struct sb_sandbox *sandbox)
{
    if (sandbox == NULL) {
        return;
    }
    sb_list_remove(&sandbox->link);
    sb_cgroup_remove(&sandbox->cgroup);
    sb_ids_release(&sandbox->ids);
    sb_bound_done(&sandbox->bound);
    for (size_t i = 0; i < SB_PLACES && sandbox->layers != NULL; i++) {
        sb_keeper_drop(&sandbox->layers->keeper, sandbox->uppers[i]);
    }
    sb_layer_unref(sandbox->layers, sandbox->layer);
    sb_closep(&sandbox->pidfd);
    sb_closep(&sandbox->mnt_fd);
    sb_closep(&sandbox->pid_fd);
    sb_closep(&sandbox->ground_fd);
    sb_closep(&sandbox->init_pidfd);
    sb_closep(&sandbox->copy_pidfd);
    sb_fd_close_all(sandbox->filled, SB_PLACES);
    sb_closep(&sandbox->report_fd);
    sb_closep(&sandbox->sync_fd);
    sb_closep(&sandbox->ctl_fd);
    free(sandbox);
}
