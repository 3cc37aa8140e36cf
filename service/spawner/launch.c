#include "service/spawner/launch.h"

/* Theory of operation. What the spawner does for a new sandbox, in two parts. First all that can
 * fail for a reason of the caller's, and the clone, for which it does not wait. Then, when the
 * child has said that it is there, what it waits for: its id maps above all. Its end of the socket
 * is the spawner's, too, until then, as the child gets a copy of the descriptors when it is cloned.
 *
 * The child works on its steps in the memory of the spawner (lane.c) and changes what is below
 * "child" there; what the spawner goes on working with, it has a second time. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mutate.h"
#include "service/spawner/driver.h"
#include "service/spawner/filter.h"
#include "service/spawner/host.h"
#include "service/spawner/iodev.h"
#include "service/spawner/lane.h"
#include "service/spawner/layers/fill.h"
#include "service/spawner/layers/layer.h"
#include "service/spawner/ns.h"
#include "service/spawner/peer.h"
#include "service/spawner/sandbox.h"
#include "service/spawner/userns.h"

static int check_driver(struct sb_launch *launch, struct sb_err *err)
{
    const struct sb_driver *driver = launch->plan.driver;
    return driver->check == NULL ? 0 : driver->check(launch->request.host, err);
}

static uint64_t namespaces_of(const struct sb_launch *launch)
{
    uint64_t without = (sb_mutated("ns.user") ? CLONE_NEWUSER : 0ULL) |
                       (sb_mutated("ns.pid") ? CLONE_NEWPID : 0ULL) |
                       (sb_mutated("ns.net") ? CLONE_NEWNET : 0ULL) |
                       (sb_mutated("ns.ipc") ? CLONE_NEWIPC : 0ULL) |
                       (sb_mutated("ns.uts") ? CLONE_NEWUTS : 0ULL);
    return launch->plan.driver->namespaces & ~without;
}

static bool has_userns(const struct sb_launch *launch)
{
    return (namespaces_of(launch) & CLONE_NEWUSER) != 0;
}

static int take_ids(struct sb_launch *launch, struct sb_err *err)
{
    const struct sb_host *host = launch->request.host;
    struct sb_ids *ids = &launch->sandbox->ids;
    if (sb_mutated("ids.own") || sb_mutated("ids.root")) {
        unsigned other = sb_mutated("ids.own") ? 1 : 0; /* somebody's */
        sb_ids_share(ids, other, other);
        return 0;
    }
    if (launch->request.pool->n_ranges > 0) {
        return sb_ids_take(launch->request.pool, ids, err);
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

static int open_mounts(struct sb_launch *launch, struct sb_err *err)
{
    if (launch->plan.n_mounts == 0) {
        return 0;
    }
    if (launch->request.peer == NULL && launch->plan.n_of_worker < launch->plan.n_mounts) {
        return sb_err_set(err, SB_INVALID, "mounts: the caller's connection is missing");
    }
    if (sb_hostmount_open(launch->request.host, &launch->plan, launch->request.peer,
                          launch->request.of_worker, &launch->sandbox->ids, &launch->mounts,
                          err) < 0) {
        return -1;
    }
    launch->sandbox->bound = launch->mounts.bound;
    launch->mounts.bound.n = 0;
    return 0;
}

/* The child puts the mount into its mount namespace and takes it out again; who has it open reads
 * on in it. */
static int open_ground(struct sb_launch *launch, struct sb_err *err)
{
    size_t i = 0;
    while (i < launch->mounts.n && !sb_plan_is_overlay(&launch->plan, i)) {
        i++;
    }
    if (i == launch->mounts.n) {
        return sb_err_set(err, SB_INVALID, "workspace: its mount is missing");
    }
    if (!launch->mounts.is_dir[i]) {
        return sb_err_set(err, SB_INVALID, "%s is not a directory", launch->plan.mounts[i].source);
    }
    launch->sandbox->ground_fd = fcntl(launch->mounts.fds[i], F_DUPFD_CLOEXEC, 3);
    return launch->sandbox->ground_fd < 0 ? sb_err_sys(err, errno, "keep the workspace") : 0;
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

static int open_layers(struct sb_launch *launch, struct sb_err *err)
{
    struct sb_sandbox *sandbox = launch->sandbox;
    const struct sb_plan *plan = &launch->plan;
    bool has_workspace = plan->workspace_is_tmpfs || plan->workspace_is_overlay;
    sandbox->inodes = plan->inodes;
    sandbox->places = 1U << SB_PLACE_TMP | (has_workspace ? 1U << SB_PLACE_WORKSPACE : 0);
    if (launch->request.layer == NULL && !plan->workspace_is_overlay) {
        return 0;
    }
    if (check_places(plan, err) < 0 ||
        (plan->workspace_is_overlay && open_ground(launch, err) < 0)) {
        return -1;
    }
    return sb_given_make(launch->request.layers, launch->request.layer, plan, sandbox,
                         &launch->given, err);
}

static int refuse_root(struct sb_launch *launch, struct sb_err *err)
{
    const struct sb_ids *ids = &launch->sandbox->ids;
    bool is_root = launch->request.host->is_root
                       ? sb_ids_job_uid(ids) == 0 || sb_ids_job_gid(ids) == 0
                       : !sb_ids_are_distinct(ids) && (launch->request.host->caller_uid == 0 ||
                                                       launch->request.host->caller_gid == 0);
    return is_root ? sb_err_set(err, SB_PRECONDITION, "the job would be root on the host") : 0;
}

static int make_cgroup(struct sb_launch *launch, struct sb_err *err)
{
    const struct sb_cgroups *cgroups = &launch->request.host->cgroups;
    if (cgroups->driver == NULL) {
        return 0; /* note_degraded says so */
    }
    /* The slot makes it unique, whatever the worker says. */
    char name[SB_CGROUP_NAME_SIZE];
    struct sb_cgroup_limits limits = launch->plan.cgroup;
    limits.memory_bytes = sb_mutated("cgroup.memory") ? 0 : limits.memory_bytes;
    limits.swap_bytes = sb_mutated("cgroup.swap") ? 1ULL << 62 : limits.swap_bytes;
    limits.cpu_quota_us = sb_mutated("cgroup.cpu") ? 0 : limits.cpu_quota_us;
    limits.pids = sb_mutated("cgroup.pids") ? 0 : limits.pids;
    if (limits.pids != 0) {
        limits.pids += launch->plan.driver->extra_processes;
    }
    (void)snprintf(name, sizeof name, "%s-%" PRIu64, launch->plan.sandbox_id, launch->plan.slot);
    return sb_cgroup_make(cgroups, name, &limits, &launch->sandbox->cgroup, err);
}

/* The disks that the sandbox can read from and write to. Returns the first path that lies on none,
 * or NULL. */
static const char *find_disks(const struct sb_launch *launch, struct sb_iodevs *devs)
{
    SB_CLEANUP(sb_closep) int usr = open("/usr", O_PATH | O_CLOEXEC);
    const char *lacks = sb_iodev_add(devs, usr) ? NULL : "/usr";
    for (size_t i = 0; i < launch->mounts.n; i++) {
        if (!sb_iodev_add(devs, launch->mounts.fds[i])) {
            lacks = launch->plan.mounts[i].target;
        }
    }
    return lacks;
}

/* Input and output are limited where they can be: a sandbox that has memory and a processor of its
 * own is worth having without, when it says so. */
static int limit_io(struct sb_launch *launch, struct sb_err *err)
{
    (void)err;
    struct sb_sandbox *sandbox = launch->sandbox;
    struct sb_iodevs devs = {.n = 0};
    struct sb_err said;
    if (!sb_cgroup_wants_io(&launch->plan.cgroup.io)) {
        return 0;
    }
    const char *lacks = find_disks(launch, &devs);
    if (sb_cgroup_limit_io(&sandbox->cgroup, &launch->plan.cgroup.io, &devs, &said) < 0) {
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

static int open_channels(struct sb_launch *launch, struct sb_err *err)
{
    struct sb_sandbox *sandbox = launch->sandbox;
    int ends[2];
    if (sb_fd_pipe(ends, err) < 0) {
        return -1;
    }
    launch->child_sync_fd = ends[0];
    sandbox->sync_fd = ends[1];
    if (open_named_pipe(ends, err) < 0) {
        return -1;
    }
    sandbox->report_fd = ends[0];
    launch->child_report_fd = ends[1];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        return sb_err_sys(err, errno, "make socket pair");
    }
    sandbox->ctl_fd = ends[0];
    launch->child_ctl_fd = ends[1];
    return 0;
}

static void fill_child(struct sb_launch *launch)
{
    struct sb_child *child = &launch->child;
    const struct sb_ids *ids = &launch->sandbox->ids;
    child->has_userns = has_userns(launch);
    child->setup_id = ids->inside == 0 || !child->has_userns ? 0 : SB_CHILD_ID;
    child->job_uid = child->has_userns ? SB_CHILD_ID : sb_ids_job_uid(ids);
    child->job_gid = child->has_userns ? SB_CHILD_ID : sb_ids_job_gid(ids);
    bool has_init_id = ids->init_uid != 0 && !launch->request.host->has_no_new_privs;
    child->init_uid = !has_init_id || sb_mutated("init.id") ? child->job_uid
                      : child->has_userns                   ? SB_CHILD_INIT_ID
                                                            : ids->init_uid;
    child->has_tty_group = ids->inside == 0 && child->has_userns;
    child->has_setgroups = launch->request.host->has_setgroups;
    child->cgroup = &launch->sandbox->cgroup;
    child->given = launch->given;
    child->spawner_fd = launch->sandbox->sync_fd;
    child->sync_fd = launch->child_sync_fd;
    child->parent_fd = launch->request.host->self_fd;
    child->report_fd = launch->child_report_fd;
    child->ctl_fd = launch->child_ctl_fd;
    child->init_fd = launch->request.host->init_fd;
    const struct sb_cgroups *groups = launch->sandbox->cgroup.host;
    unsigned controllers = groups != NULL ? groups->controllers : 0;
    child->has_pids_group = (controllers & SB_CGROUP_PIDS) != 0;
    child->has_memory_group = (controllers & SB_CGROUP_MEMORY) != 0;
    child->has_cpu_group = (controllers & SB_CGROUP_CPU) != 0;
    child->landlock = launch->request.host->landlock;
    child->tells_paths = launch->request.host->tells_paths;
    child->root_fd = -1;
    for (size_t i = 0; i < launch->mounts.n; i++) {
        child->mount_fds[i] = launch->mounts.fds[i];
        child->mount_is_dir[i] = launch->mounts.is_dir[i];
    }
}

static int prepare_child(struct sb_launch *launch, struct sb_err *err)
{
    const struct sb_driver *driver = launch->plan.driver;
    fill_child(launch);
    return driver->prepare == NULL ? 0 : driver->prepare(launch->request.host, &launch->child, err);
}

static void run_child(void *arg)
{
    struct sb_launch *launch = arg;
    sb_child_run(&launch->child);
}

/* On a lane. */
static void tell_failed(void *arg, int sys)
{
    struct sb_launch *launch = arg;
    int fd = launch->child_report_fd;
    launch->sys = sys;
    launch->pidfd = -1; /* the kernel may have written one, and closed it */
    (void)!write(fd, &(char){SB_CHILD_IS_NOT}, 1);
}

static int clone_child(struct sb_launch *launch, struct sb_err *err)
{
    launch->cgroup_fd = sb_cgroup_clone_fd(&launch->sandbox->cgroup);
    const struct sb_lane_job job = {
        .args = sb_ns_clone_args(namespaces_of(launch), launch->cgroup_fd, &launch->pid,
                                 &launch->pidfd),
        .run = run_child,
        .failed = tell_failed,
        .arg = launch,
    };
    if (sb_lanes_clone(launch->request.lanes, &job) == 0) {
        return 0;
    }
    /* It shares nothing, and does the same. */
    int pidfd = -1;
    pid_t pid = sb_ns_clone(namespaces_of(launch), launch->cgroup_fd, launch->request.host->is_root,
                            &pidfd, err);
    if (pid == 0) {
        sb_child_run(&launch->child);
    }
    if (pid < 0) {
        return -1;
    }
    launch->pid = pid;
    launch->pidfd = pidfd;
    return 0;
}

static int write_maps(struct sb_launch *launch, struct sb_err *err)
{
    const struct sb_ids *ids = &launch->sandbox->ids;
    if (!has_userns(launch)) {
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
        .has_setgroups = launch->request.host->has_setgroups,
    };
    return sb_userns_write(launch->sandbox->pid, &map, err);
}

static int copy_layer(struct sb_launch *launch, struct sb_err *err)
{
    struct sb_sandbox *sandbox = launch->sandbox;
    return launch->given.wait_fd < 0 ? 0
                                     : sb_fill_start(launch->request.layers, sandbox->layer,
                                                     sandbox, &launch->given, err);
}

static int let_go(struct sb_launch *launch, struct sb_err *err)
{
    return sb_fd_write_full(launch->sandbox->sync_fd, "g", 1, err);
}

static void note_degraded(struct sb_sandbox *sandbox, const struct sb_launch *launch)
{
    unsigned controllers = launch->request.host->cgroups.controllers;
    if (launch->plan.driver->degraded != NULL) {
        sandbox->degraded[sandbox->n_degraded++] = launch->plan.driver->degraded;
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
            launch->mounts.lacks_idmap ? "distinct uid: a file system of its mounts cannot map ids"
            : launch->plan.n_mounts > launch->plan.n_of_worker && !launch->request.host->is_root
                ? "distinct uid: mounts of an ordinary user need the user's own id"
                : "distinct uid: no sub-ids of the user, or no newuidmap";
    }
    if (launch->request.host->has_no_new_privs) {
        sandbox->degraded[sandbox->n_degraded++] =
            "init: has the id of the job, as the worker was started with no_new_privs";
    } else if (sandbox->ids.init_uid == 0) { /* the proxy has one, and each sandbox two */
        sandbox->degraded[sandbox->n_degraded++] =
            "init: has the id of the job, as the user has less than three sub-ids";
    }
    if (!launch->request.host->has_setgroups) {
        sandbox->degraded[sandbox->n_degraded++] =
            "supplementary groups: those of the user remain, as no newgidmap is there to drop them";
    }
    if (launch->request.host->landlock == 0) {
        sandbox->degraded[sandbox->n_degraded++] =
            "landlock: none here, or a version before 2: the mounts stand alone";
    }
}

struct step {
    const char *name;
    int (*run)(struct sb_launch *launch, struct sb_err *err);
};

/* All that can fail for a reason of the caller's comes before the clone. */
static const struct step first_steps[] = {
    {"driver", check_driver},    {"ids", take_ids},
    {"mounts", open_mounts},                            /* may change the ids */
    {"layers", open_layers},     {"root", refuse_root}, /* whatever the steps above have done */
    {"cgroup", make_cgroup},     {"io", limit_io},
    {"channels", open_channels}, {"prepare", prepare_child},
    {"clone", clone_child},      {NULL, NULL},
};

/* For a child that is there. */
static const struct step last_steps[] = {
    {"maps", write_maps}, /* before that the child of a user namespace has no rights at all */
    {"copy", copy_layer}, /* it waits for that */
    {"go", let_go},
    {NULL, NULL},
};

static int run_steps(struct sb_launch *launch,
                     const struct step *steps,
                     const char **ret_step,
                     struct sb_err *err)
{
    for (const struct step *step = steps; step->name != NULL; step++) {
        if (!sb_mutated_part("parent", step->name) && step->run(launch, err) < 0) {
            *ret_step = step->name;
            return -1;
        }
    }
    return 0;
}

struct sb_launch *sb_launch_new(const struct sb_launch_request *request, struct sb_sandbox *sandbox)
{
    struct sb_launch *launch = calloc(1, sizeof *launch);
    if (launch == NULL) {
        return NULL;
    }
    launch->request = *request;
    launch->sandbox = sandbox;
    launch->plan = *request->plan;
    launch->given = SB_GIVEN_NONE;
    launch->child.driver = launch->plan.driver;
    launch->child.plan = &launch->plan;
    launch->child.filter = request->filter;
    launch->child_sync_fd = launch->child_report_fd = launch->child_ctl_fd = -1;
    launch->cgroup_fd = launch->pidfd = -1;
    return launch;
}

int sb_launch_begin(struct sb_launch *launch, const char **ret_step, struct sb_err *err)
{
    if (run_steps(launch, first_steps, ret_step, err) < 0) {
        return -1;
    }
    note_degraded(launch->sandbox, launch);
    launch->message = SB_STEAL_PTR(*launch->request.message);
    return 0;
}

/* What the child has a copy of, since it was cloned. */
static void close_ends(struct sb_launch *launch)
{
    sb_hostmount_done(&launch->mounts);
    sb_fd_close_all(&launch->child_sync_fd, 1);
    sb_fd_close_all(&launch->child_report_fd, 1);
    sb_fd_close_all(&launch->child_ctl_fd, 1);
    sb_fd_close_all(&launch->cgroup_fd, 1);
}

/* Its namespaces come with that. */
static void know_child(struct sb_launch *launch, const int namespaces[2])
{
    struct sb_sandbox *sandbox = launch->sandbox;
    sandbox->pid = launch->pid;
    sandbox->pidfd = SB_STEAL_FD(launch->pidfd);
    sandbox->mnt_fd = namespaces[0];
    sandbox->pid_fd = namespaces[1];
    close_ends(launch);
}

int sb_launch_hear(struct sb_launch *launch, const char **ret_step, struct sb_err *err)
{
    struct sb_sandbox *sandbox = launch->sandbox;
    char said = 0;
    int fds[2] = {-1, -1};
    struct sb_fd_msg msg = {.data = &said, .cap = 1, .fds = fds, .nfds_cap = 2};
    int got = sb_fd_recv(sandbox->report_fd, &msg, MSG_DONTWAIT, err);
    if (got < 0) {
        return err->sys == EAGAIN ? 0 : -1;
    }
    if (said == SB_CHILD_IS_NOT) {
        *ret_step = "clone";
        return sb_ns_clone_error(launch->sys, namespaces_of(launch), launch->request.host->is_root,
                                 err);
    }
    know_child(launch, fds);
    if (said != SB_CHILD_IS) { /* but what became of it */
        sandbox->said[sandbox->said_len++] = said;
        return 1;
    }
    return run_steps(launch, last_steps, ret_step, err) < 0 ? -1 : 1;
}

void sb_launch_free(struct sb_launch *launch)
{
    if (launch == NULL) {
        return;
    }
    if (launch->plan.driver->release != NULL) {
        launch->plan.driver->release(&launch->child);
    }
    close_ends(launch);
    sb_given_done(&launch->given);
    sb_fd_close_all(&launch->pidfd, 1);
    if (launch->message != NULL) {
        protobuf_c_message_free_unpacked(launch->message, NULL);
    }
    free(launch);
}
