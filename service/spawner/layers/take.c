#include "service/spawner/layers/take.h"

/* Theory of operation. The spawner makes a bounded tmpfs and a child that enters the user, mount
 * and PID namespaces of the sandbox and takes the ids that set it up, so that it has no rights but
 * over the sandbox. It stops all processes, copies, lets them go on, and says how it went. Only
 * then is the tmpfs a layer: read-only, kept by the keeper, never mounted where it was written. The
 * sandbox itself goes on as it was, on what it has: descriptors, mappings and working directories
 * stay what they are, and none of them leads to the layer. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mutate.h"
#include "service/spawner/layers/copy.h"
#include "service/spawner/layers/stop.h"
#include "service/spawner/layers/visit.h"
#include "service/spawner/mount.h"
#include "service/spawner/sandbox.h"

enum { LINKS_INODES = 64 };
#define LINKS "links"

/* What the child needs. */
struct job {
    int report_fd;
    struct sb_visit visit;
    int target_fd;
    int uppers[SB_PLACES]; /* -1: the place is copied whole */
    unsigned places;
    bool is_frozen;
};

/* What it says. */
struct report {
    struct sb_err err; /* SB_OK: done */
    uint64_t bytes;
    uint64_t files;
};

/* ---- the child ---- */

static int open_source(const struct job *job, enum sb_place place)
{
    char path[16];
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    (void)snprintf(path, sizeof path, "/%s", sb_place_names[place]);
    return job->uppers[place] >= 0 ? openat(job->uppers[place], "u", flags) : open(path, flags);
}

static int
copy_place(const struct job *job, struct sb_copy *copy, enum sb_place place, struct sb_err *err)
{
    const char *name = sb_place_names[place];
    SB_CLEANUP(sb_closep) int from = open_source(job, place);
    if (from < 0 || mkdirat(job->target_fd, name, 0700) < 0) {
        return sb_err_sys(err, errno, "open /%s", name);
    }
    SB_CLEANUP(sb_closep)
    int to = openat(job->target_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (to < 0) {
        return sb_err_sys(err, errno, "open the copy of /%s", name);
    }
    copy->is_layer = job->uppers[place] >= 0;
    return sb_copy_tree(copy, from, to, err) < 0 ? sb_err_wrap(err, "/%s", name) : 0;
}

static int copy_all(const struct job *job, struct sb_copy *copy, struct sb_err *err)
{
    if (sb_copy_begin(copy, job->target_fd, LINKS, err) < 0) {
        return -1;
    }
    for (enum sb_place place = 0; place < SB_PLACES; place++) {
        if ((job->places >> place & 1) != 0 && copy_place(job, copy, place, err) < 0) {
            return -1;
        }
    }
    return sb_copy_end(copy, job->target_fd, LINKS, err);
}

static _Noreturn void run(struct job *job)
{
    static struct sb_copy copy;
    static struct report report;
    struct sb_err ignored;
    int *const fds[] = {&job->report_fd, &job->target_fd, &job->uppers[0], &job->uppers[1]};
    int done = sb_visit_arrange(&job->visit, fds, sizeof fds / sizeof *fds, &report.err);
    if (done == 0) {
        done = sb_visit_enter(&job->visit, &report.err);
    }
    if (done == 0) {
        if (!job->is_frozen) {
            sb_stop_all();
        }
        done = copy_all(job, &copy, &report.err);
        if (!job->is_frozen) {
            sb_continue_all();
        }
    }
    report.bytes = copy.bytes;
    report.files = copy.files;
    if (done == 0) {
        sb_err_clear(&report.err);
    }
    /* Who may still write to the target is no more: the spawner makes it read-only now. */
    sb_fd_close_all(&job->target_fd, 1);
    (void)sb_fd_send(job->report_fd, &report, sizeof report, NULL, 0, &ignored);
    _exit(0);
}

/* ---- the spawner ---- */

/* Names that are remembered take inodes of their own. */
static int
make_target(const struct sb_sandbox *sandbox, uint64_t max_bytes, int *ret_fd, struct sb_err *err)
{
    char options[128];
    (void)snprintf(options, sizeof options, "size=%llu,nr_inodes=%llu,mode=0700,uid=%u,gid=%u",
                   sb_mutated("layers.bytes") ? 0ULL : (unsigned long long)max_bytes,
                   (unsigned long long)sandbox->inodes * 2 * SB_PLACES + LINKS_INODES,
                   sandbox->ids.outside_uid, sandbox->ids.outside_gid);
    *ret_fd = sb_mount_new_tmpfs(options, err);
    return *ret_fd < 0 ? -1 : 0;
}

static bool is_whole(const struct sb_layers *layers, const struct sb_sandbox *sandbox)
{
    return layers->way != SB_LAYERS_OVERLAY || sandbox->layer == NULL ||
           sandbox->layer->depth >= SB_LAYERS_MAX;
}

static int open_uppers(struct sb_layers *layers,
                       const struct sb_sandbox *sandbox,
                       int ret_fds[SB_PLACES],
                       struct sb_err *err)
{
    for (enum sb_place place = 0; place < SB_PLACES; place++) {
        bool is_on_ground = place == SB_PLACE_WORKSPACE && sandbox->ground.ino != 0;
        if ((!is_whole(layers, sandbox) || is_on_ground) && sandbox->uppers[place] != 0 &&
            sb_keeper_clone(&layers->keeper, &sandbox->uppers[place], 1, &ret_fds[place], err) <
                0) {
            return -1;
        }
    }
    return 0;
}

static pid_t start_child(struct job *job, struct sb_take *take, struct sb_err *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return (pid_t)sb_err_sys(err, errno, "socketpair");
    }
    take->report_fd = pair[0];
    SB_CLEANUP(sb_closep) int theirs = pair[1];
    job->report_fd = theirs;
    pid_t pid = fork();
    if (pid == 0) {
        run(job);
    }
    return pid < 0 ? (pid_t)sb_err_sys(err, errno, "fork") : pid;
}

static void visit_done(struct job *job)
{
    sb_visit_done(&job->visit);
    sb_fd_close_all(job->uppers, SB_PLACES);
}

static int begin(struct sb_layers *layers,
                 const struct sb_sandbox *sandbox,
                 uint64_t max_bytes,
                 bool is_frozen,
                 struct sb_take *take,
                 struct sb_err *err)
{
    SB_CLEANUP(visit_done)
    struct job job = {
        .visit = SB_VISIT_NONE,
        .uppers = {-1, -1},
        .places = sandbox->places,
        .is_frozen = is_frozen,
    };
    if (sandbox->ground.ino != 0 && sandbox->layer != NULL && is_whole(layers, sandbox)) {
        return sb_err_set(err, SB_PRECONDITION,
                          "%d snapshots stand on each other, and on a directory of the host that "
                          "is not copied: commit what changed, and go on in a new sandbox",
                          SB_LAYERS_MAX);
    }
    if (sb_visit_open(sandbox, &job.visit, err) < 0 ||
        make_target(sandbox, max_bytes, &take->target_fd, err) < 0) {
        return -1;
    }
    job.target_fd = take->target_fd;
    if (open_uppers(layers, sandbox, job.uppers, err) < 0) {
        return -1;
    }
    take->pid = start_child(&job, take, err);
    return take->pid < 0 ? -1 : 0;
}

static struct sb_take *refuse(const struct sb_layers *layers, struct sb_err *err)
{
    (void)sb_err_set(err, SB_PRECONDITION, "no snapshots here: %s", layers->why.text);
    return NULL;
}

struct sb_take *sb_take_start(struct sb_layers *layers,
                              const struct sb_sandbox *sandbox,
                              uint64_t max_bytes,
                              bool is_frozen,
                              uint64_t tag,
                              struct sb_err *err)
{
    if (sb_layers_way(layers) == SB_LAYERS_NONE) {
        return refuse(layers, err);
    }
    struct sb_take *take = calloc(1, sizeof *take);
    if (take == NULL) {
        (void)sb_err_oom(err);
        return NULL;
    }
    take->tag = tag;
    take->report_fd = take->target_fd = -1;
    take->places = sandbox->places;
    take->ids = sandbox->ids;
    take->ground = sandbox->ground;
    take->below = is_whole(layers, sandbox) ? NULL : sb_layer_ref(sandbox->layer);
    if (begin(layers, sandbox, max_bytes, is_frozen, take, err) < 0) {
        sb_take_free(layers, take);
        return NULL;
    }
    return take;
}

struct sb_layer *sb_take_finish(struct sb_layers *layers,
                                struct sb_take *take,
                                struct sb_taken *ret_taken,
                                struct sb_err *err)
{
    struct report report;
    struct statfs space;
    struct sb_fd_msg msg = {.data = &report, .cap = sizeof report};
    if (sb_fd_recv(take->report_fd, &msg, MSG_DONTWAIT, err) <= 0 || msg.len != sizeof report) {
        (void)sb_err_set(err, SB_INTERNAL, "the copying child died");
        return NULL;
    }
    if (report.err.code != SB_OK) {
        *err = report.err;
        err->text[sizeof err->text - 1] = '\0';
        return NULL;
    }
    if (fstatfs(take->target_fd, &space) < 0) {
        (void)sb_err_sys(err, errno, "look at the copy");
        return NULL;
    }
    ret_taken->size_bytes = (uint64_t)(space.f_blocks - space.f_bfree) * (uint64_t)space.f_bsize;
    ret_taken->copied_bytes = report.bytes;
    ret_taken->files = report.files;
    struct sb_layer *layer = sb_layer_new(layers, take->target_fd, take->places, &take->ids,
                                          &take->ground, take->below, err);
    if (layer != NULL) {
        layer->size_bytes = ret_taken->size_bytes;
    }
    return layer;
}

void sb_take_free(struct sb_layers *layers, struct sb_take *take)
{
    if (take != NULL) {
        sb_list_remove(&take->link);
        sb_closep(&take->report_fd);
        sb_closep(&take->target_fd);
        sb_layer_unref(layers, take->below);
        free(take);
    }
}
