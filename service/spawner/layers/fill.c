#include "service/spawner/layers/fill.h"

/* Theory of operation. Where the kernel has no overlay for it, a sandbox starts from a snapshot
 * with a copy: its writable places are tmpfs that the spawner makes, with the sandbox's bounds. A
 * child of the spawner fills them, in the sandbox's control group, whose memory it takes; in a user
 * namespace that knows the ids of the snapshot and of the sandbox and no others (between.h); and
 * with two descriptors for each place and no path. The sandbox's own child, which has done all else
 * meanwhile, waits for what that one says, and puts the places where they belong. So nothing of the
 * sandbox runs before all is there, and the spawner waits for nobody. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mutate.h"
#include "service/spawner/cgroup.h"
#include "service/spawner/host.h"
#include "service/spawner/layers/between.h"
#include "service/spawner/layers/copy.h"
#include "service/spawner/layers/give.h"
#include "service/spawner/layers/visit.h"
#include "service/spawner/mount.h"
#include "service/spawner/ns.h"
#include "service/spawner/plan.h"
#include "service/spawner/sandbox.h"

enum {
    OWN_INODES = 64, /* while it is filled */
    LINKS_SIZE = 40,
    BYTES_PER_MS = 4096, /* a copy that is slower has failed */
};

/* ---- the child that copies ---- */

/* What it needs. */
struct job {
    struct sb_between between;
    int source;
    int targets[SB_PLACES];
    int report_fd;
    int go[2]; /* what it writes before it is in the group would be somebody else's memory */
};

/* No entry of a snapshot can be meant by it. */
static int name_links(char ret_name[LINKS_SIZE], struct sb_err *err)
{
    unsigned long long random[2];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        return sb_err_sys(err, errno, "getrandom");
    }
    (void)snprintf(ret_name, LINKS_SIZE, ".%016llx%016llx", random[0], random[1]);
    return 0;
}

static int fill_place(const struct job *job, enum sb_place place, struct sb_err *err)
{
    static struct sb_copy copy;
    char links[LINKS_SIZE];
    struct stat st;
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    SB_CLEANUP(sb_closep) int from = openat(job->source, sb_place_names[place], flags);
    SB_CLEANUP(sb_closep) int to = openat(job->targets[place], ".", flags);
    if (from < 0 || to < 0 || fstat(from, &st) < 0) {
        return sb_err_sys(err, errno, "open the snapshot");
    }
    copy = (struct sb_copy){.between = &job->between};
    if (name_links(links, err) < 0 || sb_copy_begin(&copy, to, links, err) < 0 ||
        sb_copy_tree(&copy, from, to, err) < 0 || sb_copy_end(&copy, to, links, err) < 0) {
        return -1;
    }
    /* Of the place itself, which the end has changed. */
    const struct timespec times[] = {st.st_atim, st.st_mtim};
    return futimens(to, times) < 0 ? sb_err_sys(err, errno, "set a time") : 0;
}

static int fill_all(struct job *job, struct sb_err *err)
{
    struct sb_visit none = SB_VISIT_NONE;
    int *const fds[] = {&job->between.userns_fd, &job->source, &job->targets[0], &job->targets[1],
                        &job->report_fd};
    if (sb_visit_arrange(&none, fds, sizeof fds / sizeof *fds, err) < 0 ||
        sb_between_enter(&job->between, err) < 0) {
        return -1;
    }
    for (enum sb_place place = 0; place < SB_PLACES; place++) {
        if (job->targets[place] >= 0 && fill_place(job, place, err) < 0) {
            return sb_err_wrap(err, "/%s", sb_place_names[place]);
        }
    }
    return 0;
}

static _Noreturn void run(struct job *job)
{
    struct sb_err err;
    struct sb_err ignored;
    char go = 0;
    (void)close(job->go[1]);
    if (read(job->go[0], &go, 1) != 1) {
        _exit(1);
    }
    if (fill_all(job, &err) == 0) {
        sb_err_clear(&err);
    }
    (void)sb_fd_write_full(job->report_fd, &err, sizeof err, &ignored);
    _exit(0);
}

/* ---- the sandbox's child ---- */

int sb_fill_wait(const struct sb_given *given, struct sb_err *err)
{
    size_t len = 0;
    struct sb_err said;
    (void)close(given->report_fd); /* else there would be no end of file */
    if (sb_fd_read_full(given->wait_fd, &said, sizeof said, &len, err) < 0) {
        return -1;
    }
    if (len != sizeof said) {
        return sb_err_set(err, SB_EXHAUSTED,
                          "the copy of the snapshot was killed: the sandbox needs more memory");
    }
    *err = said;
    return said.code == SB_OK ? 0 : -1;
}

/* ---- the spawner ---- */

/* Names of one file are remembered while it is filled, each of which takes an inode. */
static int make_target(const struct sb_plan *plan,
                       const struct sb_sandbox *sandbox,
                       enum sb_place place,
                       struct sb_given *ret_given,
                       struct sb_err *err)
{
    char options[128];
    (void)snprintf(options, sizeof options, "size=%llu,nr_inodes=%llu,mode=0700,uid=%u,gid=%u",
                   sb_mutated("space.bytes") ? 0ULL : (unsigned long long)plan->disk_bytes,
                   (unsigned long long)plan->inodes * 2 + OWN_INODES, sandbox->ids.outside_uid,
                   sandbox->ids.outside_gid);
    int fd = sb_mount_new_tmpfs(options, err);
    if (fd < 0) {
        return -1;
    }
    ret_given->uppers[place] = fd;
    return 0;
}

static int check_memory(const struct sb_layers *layers,
                        const struct sb_layer *layer,
                        const struct sb_plan *plan,
                        struct sb_err *err)
{
    bool is_counted = (layers->host->cgroups.controllers & SB_CGROUP_MEMORY) != 0;
    if (is_counted && plan->cgroup.memory_bytes != 0 &&
        plan->cgroup.memory_bytes < layer->size_bytes) {
        return sb_err_set(err, SB_EXHAUSTED,
                          "the snapshot takes %llu bytes, which this kernel makes a sandbox copy, "
                          "and its memory is limited to %llu",
                          (unsigned long long)layer->size_bytes,
                          (unsigned long long)plan->cgroup.memory_bytes);
    }
    return 0;
}

int sb_fill_make(struct sb_layers *layers,
                 const struct sb_layer *layer,
                 const struct sb_plan *plan,
                 struct sb_sandbox *sandbox,
                 struct sb_given *ret_given,
                 struct sb_err *err)
{
    int ends[2];
    if (check_memory(layers, layer, plan, err) < 0) {
        return -1;
    }
    for (enum sb_place place = 0; place < SB_PLACES; place++) {
        if ((layer->places & sandbox->places & 1U << place) != 0 &&
            make_target(plan, sandbox, place, ret_given, err) < 0) {
            return -1;
        }
    }
    if (sb_fd_pipe(ends, err) < 0) {
        return -1;
    }
    ret_given->wait_fd = ends[0];
    ret_given->report_fd = ends[1];
    sandbox->deadline_ms += layer->size_bytes / BYTES_PER_MS;
    return 0;
}

static void job_done(struct job *job)
{
    sb_between_done(&job->between);
    sb_fd_close_all(&job->source, 1);
    sb_fd_close_all(job->go, 2);
}

int sb_fill_start(struct sb_layers *layers,
                  const struct sb_layer *layer,
                  struct sb_sandbox *sandbox,
                  struct sb_given *given,
                  struct sb_err *err)
{
    SB_CLEANUP(job_done)
    struct job job = {.between = SB_BETWEEN_NONE,
                      .source = -1,
                      .targets = {given->uppers[0], given->uppers[1]},
                      .report_fd = given->report_fd,
                      .go = {-1, -1}};
    size_t n = 0;
    if (sb_fd_pipe(job.go, err) < 0 ||
        sb_between_open(&layer->ids, &sandbox->ids, layers->host->has_setgroups, &job.between,
                        err) < 0 ||
        sb_layer_open(layers, layer, NULL, &job.source, &n, err) < 0) {
        return -1;
    }
    SB_CLEANUP(sb_closep)
    int cgroup_fd = sb_mutated("layers.group") ? -1 : sb_cgroup_clone_fd(&sandbox->cgroup);
    pid_t pid = sb_ns_clone(0, cgroup_fd, layers->host->is_root, &sandbox->copy_pidfd, err);
    if (pid == 0) {
        run(&job);
    }
    bool enters = !sb_mutated("layers.group");
    if (pid < 0 || (enters && sb_cgroup_enter(&sandbox->cgroup, pid, err) < 0) ||
        sb_fd_write_full(job.go[1], "g", 1, err) < 0) {
        return -1;
    }
    sb_fd_close_all(&given->report_fd, 1);
    for (size_t i = 0; i < SB_PLACES; i++) {
        sandbox->filled[i] = SB_STEAL_FD(given->uppers[i]);
    }
    return 0;
}

int sb_fill_settle(struct sb_sandbox *sandbox, struct sb_err *err)
{
    int done = 0;
    for (size_t i = 0; i < SB_PLACES && done == 0; i++) {
        if (sandbox->filled[i] >= 0 && !sb_mutated("space.inodes") &&
            sb_mount_limit_tmpfs(sandbox->filled[i], sandbox->inodes, err) < 0) {
            done = sb_err_set(err, SB_EXHAUSTED,
                              "the snapshot has more files in /%s than the %llu that the sandbox "
                              "may have",
                              sb_place_names[i], (unsigned long long)sandbox->inodes);
        }
    }
    sb_fd_close_all(sandbox->filled, SB_PLACES);
    sb_fd_close_all(&sandbox->copy_pidfd, 1);
    return done;
}
