/* The driver that leaves the sandbox to bubblewrap.
 *
 * Theory of operation. Between the spawner and bubblewrap stands a child in a user, a mount and a
 * PID namespace of its own, with the sandbox's host ids: so bubblewrap never runs with a right on
 * the host, and whatever it leaves is killed with that PID namespace, whose PID 1 it is.
 *
 *   spawner --clone--> child, stages, loses its rights --exec--> bwrap --> aisbx-init, PID 1 inside
 *
 * The child stages, in its own mount namespace, what bubblewrap has no option for, and becomes it
 * with a command line that is compiled from the plan (bwrap_command.c). The child's standard error
 * is the pipe of reports: what bubblewrap complains of comes out of it, or the byte by which init
 * says that it runs. There is no listener to hand over, so denials that are told elsewhere are
 * plain errnos here; and no Landlock, which forbids the mounts that bubblewrap makes after it. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "service/spawner/affinity.h"
#include "service/spawner/caps.h"
#include "service/spawner/child.h"
#include "service/spawner/dev.h"
#include "service/spawner/driver.h"
#include "service/spawner/drivers/bwrap_command.h"
#include "service/spawner/drivers/bwrap_probe.h"
#include "service/spawner/egress.h"
#include "service/spawner/etc.h"
#include "service/spawner/fds.h"
#include "service/spawner/filter.h"
#include "service/spawner/host.h"
#include "service/spawner/identity.h"
#include "service/spawner/ns.h"
#include "service/spawner/probe.h"
#include "service/spawner/proc.h"
#include "service/spawner/process.h"
#include "service/spawner/rlimit.h"
#include "service/spawner/rootfs.h"

/* What the parent prepares for the child. */
struct sb_bwrap_start {
    struct sb_bwrap_command command;
    int filter_fd; /* owned; the filter as bubblewrap reads it */
    struct {
        int program;
        int filter;
    } child; /* the child's own descriptors, which it moves */
};

static int check(const struct sb_host *host, struct sb_err *err)
{
    return sb_bwrap_probe(host, err);
}

static const char *version(const struct sb_host *host)
{
    return host->bwrap->version;
}

static int make_filter_file(const struct sock_fprog *program, struct sb_err *err)
{
    SB_CLEANUP(sb_closep) int fd = memfd_create("filter", MFD_CLOEXEC);
    if (fd < 0) {
        return sb_err_sys(err, errno, "make memfd");
    }
    if (sb_fd_write_full(fd, program->filter, program->len * sizeof *program->filter, err) < 0) {
        return -1;
    }
    if (lseek(fd, 0, SEEK_SET) < 0) {
        return sb_err_sys(err, errno, "rewind a filter");
    }
    return SB_STEAL_FD(fd);
}

static void release(struct sb_child *child)
{
    struct sb_bwrap_start *start = child->bwrap;
    if (start != NULL) {
        sb_closep(&start->filter_fd);
        free(start);
        child->bwrap = NULL;
    }
}

static int prepare(const struct sb_host *host, struct sb_child *child, struct sb_err *err)
{
    struct sb_bwrap_start *start = malloc(sizeof *start);
    if (start == NULL) {
        return sb_err_oom(err);
    }
    start->filter_fd = -1;
    child->bwrap = start;
    if (sb_bwrap_compile(child->plan, host->bwrap, &start->command, err) < 0) {
        return -1;
    }
    start->filter_fd = make_filter_file(&child->filter->forms.plain, err);
    start->child.program = host->bwrap->fd;
    start->child.filter = start->filter_fd;
    return start->filter_fd < 0 ? -1 : 0;
}

static int arrange(struct sb_child *child, struct sb_err *err)
{
    struct sb_bwrap_start *start = child->bwrap;
    const struct sb_fds_place more[] = {
        {&start->child.filter, SB_FDS_MORE, 0},
        {&start->child.program, SB_FDS_MORE + 1, O_CLOEXEC},
    };
    return sb_fds_arrange_for_program(child, more, sizeof more / sizeof *more, err);
}

static int become_bwrap(struct sb_child *child, struct sb_err *err)
{
    char *argv[SB_BWRAP_MAX_WORDS];
    char *envp[] = {NULL};
    memcpy(argv, child->bwrap->command.words, sizeof argv); /* exec has no const */
    (void)execveat(child->bwrap->child.program, "", argv, envp, AT_EMPTY_PATH);
    return sb_err_sys(err, errno, "start bubblewrap");
}

static const struct sb_driver_step steps[] = {
    {"signals", sb_process_reset},
    {"wait", sb_identity_wait},
    {"identity", sb_identity_set_up},
    {"hostname", sb_ns_hostname}, /* and no domain name, for which bubblewrap has no option */
    {"loopback", sb_ns_loopback},
    {"egress", sb_egress_listen}, /* for which bubblewrap must not make the network namespace */
    {"stage", sb_rootfs_stage},
    {"etc", sb_etc_make},
    {"dev", sb_dev_make},
    {"covers", sb_proc_make_empty},
    {"pools", sb_proc_limit_around},
    {"space", sb_rootfs_space},
    {"mounts", sb_rootfs_mounts},
    {"session", sb_ns_session},
    {"bounding", sb_caps_lock},
    {"job", sb_identity_become_job},
    {"capabilities", sb_caps_drop}, /* bubblewrap gets its own in a user namespace of its own */
    {"tie", sb_process_tie},
    {"descriptors", arrange},
    {"rlimits", sb_rlimit_apply},
    {"affinity", sb_affinity_apply},
    {"bwrap", become_bwrap},
    {NULL, NULL},
};

static const struct sb_driver_control controls[] = {
    {11, SB_PROBE_ABSENT, "bubblewrap makes its mounts after the last step of ours",
     "the driver native"},
    {0},
};

const struct sb_driver sb_driver_bwrap = {
    .number = SPAWN__V1__DRIVER__DRIVER_BWRAP,
    .name = "bwrap",
    .namespaces = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWNET,
    .steps = steps,
    .extra_processes = 1,
    .tells_ready = true,
    .check = check,
    .prepare = prepare,
    .release = release,
    .detail = "bubblewrap makes namespaces, mounts and filters",
    .version = version,
    .degraded = "driver bwrap: no Landlock behind the mounts",
    .controls = controls,
};
