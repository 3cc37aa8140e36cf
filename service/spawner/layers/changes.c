#include "service/spawner/layers/changes.h"

/* Theory of operation. The child enters the sandbox as one does that takes a snapshot. What was
 * there before it sees in the layers themselves, by descriptors of detached mounts: the kernel
 * permits no more mount namespaces inside, so nothing can be mounted, and the merge that an overlay
 * would do is done here. Two walks of each pair of directories tell all: what is in the new one and
 * not in the old one, or otherwise there; and what is in the old one alone. A file of the same size
 * is read on both sides: times can be set back. The socket makes it wait for who reads.
 *
 * Compared with what the sandbox stands on, nothing can differ but what lies on top (the upper
 * directory of its overlay, and layers above what it is compared with), so that leads the walk: a
 * directory of the host with any number of files is not read through for the few that changed.
 * Where something on top hides all below, everything is compared.
 *
 * Where the kernel does not map the ids of layers, a layer that another sandbox wrote is closed to
 * who is in this one. Then the child has a child go in, which opens the places and hands them out,
 * and compares where the ids of both have a meaning (between.h). */

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "service/shared/changeproto.h"
#include "service/spawner/dirent.h"
#include "service/spawner/host.h"
#include "service/spawner/layers/between.h"
#include "service/spawner/layers/copy.h"
#include "service/spawner/layers/layer.h"
#include "service/spawner/layers/tell.h"
#include "service/spawner/layers/visit.h"
#include "service/spawner/sandbox.h"

enum { NAMES_SIZE = 8 << 10, CHUNK_SIZE = 64 << 10, AT_SIZE = 48, FIXED_FDS = 3 + SB_PLACES };

/* What the child needs and has. */
struct job {
    struct sb_visit visit;
    struct sb_tell tell;
    int layers[SB_LAYERS_MAX];
    size_t n_layers;
    unsigned of_place[SB_PLACES]; /* bits: which of them lie below the place */
    int ground;                   /* below those at /workspace; -1: nothing */
    int uppers[SB_PLACES];        /* what lies on top leads the walk; -1: nothing does */
    bool since_host;              /* the layers lead it, too, and are not compared with */
    unsigned places;
    int roots[SB_PLACES];      /* of those; -1: there is none */
    struct sb_between between; /* ids of who wrote the layer and of the sandbox; NONE: the same */
};

/* ---- what it was ---- */

/* A directory as the layers show it, the top one first. */
struct view {
    int fds[SB_LAYERS_MAX + 1]; /* owned */
    size_t n;
};

static void view_done(struct view *view)
{
    sb_fd_close_all(view->fds, view->n);
    view->n = 0;
}

static bool is_whiteout(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

/* Which layer shows the name; -1: none. Owners are those that the sandbox would see. */
static int
find(const struct job *job, const struct view *view, const char *name, struct stat *ret_stat)
{
    for (size_t i = 0; i < view->n; i++) {
        if (fstatat(view->fds[i], name, ret_stat, AT_SYMLINK_NOFOLLOW) == 0) {
            ret_stat->st_uid = sb_between_id(&job->between, ret_stat->st_uid);
            ret_stat->st_gid = sb_between_id(&job->between, ret_stat->st_gid);
            return is_whiteout(ret_stat) ? -1 : (int)i;
        }
    }
    return -1;
}

/* -1: not a directory of this file system. */
static int open_dir(int at, const char *name)
{
    struct open_how how = {
        .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    return (int)syscall(SYS_openat2, at, name, &how, sizeof how);
}

static bool is_opaque(int dir)
{
    char value = '\0';
    return fgetxattr(dir, "user.overlay.opaque", &value, 1) == 1 && value == 'y';
}

/* Empty when the name is no directory there. Returns true when it hides some of the view. */
static bool descend(const struct view *view, const char *name, struct view *ret_view)
{
    ret_view->n = 0;
    for (size_t i = 0; i < view->n; i++) {
        struct stat st;
        if (fstatat(view->fds[i], name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
            continue;
        }
        int fd = S_ISDIR(st.st_mode) ? open_dir(view->fds[i], name) : -1;
        if (fd < 0) {
            return true;
        }
        ret_view->fds[ret_view->n++] = fd;
        if (is_opaque(fd)) {
            return true;
        }
    }
    return false;
}

/* ---- comparing ---- */

static bool has_same_link(int old, int new, const char *name)
{
    static char texts[2][SB_FILE_MAX_PATH];
    ssize_t a = readlinkat(old, name, texts[0], sizeof texts[0]);
    ssize_t b = readlinkat(new, name, texts[1], sizeof texts[1]);
    return a >= 0 && a == b && memcmp(texts[0], texts[1], (size_t)a) == 0;
}

static bool has_same_content(int old, int new, const char *name)
{
    static char chunks[2][CHUNK_SIZE];
    const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    SB_CLEANUP(sb_closep) int a = openat(old, name, flags);
    SB_CLEANUP(sb_closep) int b = openat(new, name, flags);
    for (;;) {
        ssize_t n = a < 0 || b < 0 ? -1 : read(a, chunks[0], CHUNK_SIZE);
        ssize_t m = n < 0 ? -1 : read(b, chunks[1], CHUNK_SIZE);
        if (n != m || n < 0 || (n > 0 && memcmp(chunks[0], chunks[1], (size_t)n) != 0)) {
            return false;
        }
        if (n == 0) {
            return true;
        }
    }
}

static bool
is_same(int old, int new, const char *name, const struct stat *was, const struct stat *is)
{
    if (was->st_mode != is->st_mode || was->st_uid != is->st_uid || was->st_gid != is->st_gid) {
        return false;
    }
    if (S_ISREG(is->st_mode)) {
        return was->st_size == is->st_size && has_same_content(old, new, name);
    }
    return !S_ISLNK(is->st_mode) || has_same_link(old, new, name);
}

/* ---- walking ---- */

/* One pair of directories. */
struct pair {
    const struct view *old;
    const struct view *lead; /* what lies on top of old; empty: anything can differ */
    int new;
    unsigned depth;
    size_t layer; /* of lead or old, that is being walked */
};

static int compare_dirs(struct job *job, struct pair pair, struct sb_err *err);

static int
compare_below(struct job *job, const struct pair *pair, const char *name, struct sb_err *err)
{
    size_t len = job->tell.path_len;
    size_t more = strlen(name) + 1;
    SB_CLEANUP(sb_closep) int new_dir = open_dir(pair->new, name);
    SB_CLEANUP(view_done) struct view old = {.n = 0};
    SB_CLEANUP(view_done) struct view lead = {.n = 0};
    if (new_dir < 0) {
        return 0; /* gone meanwhile, or something of the host that is mounted there */
    }
    if (pair->depth >= SB_COPY_MAX_DEPTH || len + more >= sizeof job->tell.path) {
        return sb_err_set(err, SB_PRECONDITION, "more than %d directories within each other",
                          SB_COPY_MAX_DEPTH);
    }
    (void)descend(pair->old, name, &old);
    if (descend(pair->lead, name, &lead)) {
        view_done(&lead);
    }
    job->tell.path[len] = '/';
    memcpy(job->tell.path + len + 1, name, more - 1);
    job->tell.path_len += more;
    int done = compare_dirs(job, (struct pair){&old, &lead, new_dir, pair->depth + 1, 0}, err);
    job->tell.path_len = len;
    return done;
}

static int
compare_entry(struct job *job, const struct pair *pair, const char *name, struct sb_err *err)
{
    struct stat was;
    struct stat is;
    if (fstatat(pair->new, name, &is, AT_SYMLINK_NOFOLLOW) < 0) {
        return errno == ENOENT ? 0 : sb_err_sys(err, errno, "look at %s", name);
    }
    int layer = find(job, pair->old, name, &was);
    bool is_other = layer >= 0 && !is_same(pair->old->fds[layer], pair->new, name, &was, &is);
    if ((layer < 0 || is_other) &&
        sb_tell_change(&job->tell, layer < 0 ? SB_CHANGE_CREATED : SB_CHANGE_CHANGED, pair->new,
                       name, &is, err) < 0) {
        return -1;
    }
    return S_ISDIR(is.st_mode) ? compare_below(job, pair, name, err) : 0;
}

static int
find_removed(struct job *job, const struct pair *pair, const char *name, struct sb_err *err)
{
    struct stat was;
    struct stat is;
    /* Else another one shows it. */
    bool is_shown = find(job, pair->old, name, &was) == (int)pair->layer;
    if (!is_shown || fstatat(pair->new, name, &is, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT) {
        return 0;
    }
    return sb_tell_change(&job->tell, SB_CHANGE_REMOVED, pair->old->fds[pair->layer], name, &was,
                          err);
}

typedef int look_fn(struct job *job, const struct pair *pair, const char *name, struct sb_err *err);

static int
each(struct job *job, int dir, const struct pair *pair, look_fn *look, struct sb_err *err)
{
    _Alignas(struct sb_dirent) char names[NAMES_SIZE];
    for (;;) {
        long len = syscall(SYS_getdents64, dir, names, sizeof names);
        if (len <= 0) {
            return len < 0 ? sb_err_sys(err, errno, "read a directory") : 0;
        }
        for (long at = 0; at < len;) {
            const struct sb_dirent *entry = (const void *)(names + at);
            at += entry->len;
            bool is_dot = strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0;
            if (!is_dot && look(job, pair, entry->name, err) < 0) {
                return -1;
            }
        }
    }
}

/* A name that is on top: a file, a directory, or the mark of something removed. */
static int
compare_name(struct job *job, const struct pair *pair, const char *name, struct sb_err *err)
{
    struct stat is;
    struct stat was;
    for (size_t i = 0; i < pair->layer; i++) {
        if (fstatat(pair->lead->fds[i], name, &is, AT_SYMLINK_NOFOLLOW) == 0) {
            return 0; /* looked at already */
        }
    }
    if (fstatat(pair->new, name, &is, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT) {
        return compare_entry(job, pair, name, err);
    }
    int layer = find(job, pair->old, name, &was);
    return layer < 0 ? 0
                     : sb_tell_change(&job->tell, SB_CHANGE_REMOVED, pair->old->fds[layer], name,
                                      &was, err);
}

static int compare_dirs(struct job *job, struct pair pair, struct sb_err *err)
{
    for (; pair.layer < pair.lead->n; pair.layer++) {
        if (each(job, pair.lead->fds[pair.layer], &pair, compare_name, err) < 0) {
            return -1;
        }
    }
    if (pair.lead->n > 0) {
        return 0;
    }
    if (each(job, pair.new, &pair, compare_entry, err) < 0) {
        return -1;
    }
    for (pair.layer = 0; pair.layer < pair.old->n; pair.layer++) {
        if (each(job, pair.old->fds[pair.layer], &pair, find_removed, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static void add(struct view *view, int fd)
{
    if (fd >= 0) {
        view->fds[view->n++] = fd;
    }
}

static void add_layers(const struct job *job, enum sb_place place, struct view *view)
{
    for (size_t i = 0; i < job->n_layers; i++) {
        if ((job->of_place[place] >> i & 1) != 0) {
            add(view, open_dir(job->layers[i], sb_place_names[place]));
        }
    }
}

static void
open_views(const struct job *job, enum sb_place place, struct view *old, struct view *lead)
{
    if (job->uppers[place] >= 0) {
        add(lead, open_dir(job->uppers[place], "u"));
    }
    add_layers(job, place, job->since_host ? lead : old);
    if (place == SB_PLACE_WORKSPACE && job->ground >= 0) {
        add(old, open_dir(job->ground, "."));
    }
}

static int compare_place(struct job *job, enum sb_place place, struct sb_err *err)
{
    const char *name = sb_place_names[place];
    SB_CLEANUP(view_done) struct view old = {.n = 0};
    SB_CLEANUP(view_done) struct view lead = {.n = 0};
    open_views(job, place, &old, &lead);
    job->tell.path_len = strlen(name);
    memcpy(job->tell.path, name, job->tell.path_len);
    return compare_dirs(job, (struct pair){&old, &lead, job->roots[place], 0, 0}, err);
}

/* ---- going in ---- */

static int open_roots(struct job *job, struct sb_err *err)
{
    char path[AT_SIZE];
    if (sb_visit_enter(&job->visit, err) < 0) {
        return -1;
    }
    for (enum sb_place place = 0; place < SB_PLACES; place++) {
        if ((job->places >> place & 1) == 0) {
            continue;
        }
        (void)snprintf(path, sizeof path, "/%s", sb_place_names[place]);
        job->roots[place] = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (job->roots[place] < 0) {
            return sb_err_sys(err, errno, "open %s", path);
        }
    }
    return 0;
}

static _Noreturn void hand_roots_out(struct job *job, int sock)
{
    int fds[SB_PLACES];
    size_t n = 0;
    struct sb_err err;
    if (open_roots(job, &err) < 0) {
        _exit(1);
    }
    for (size_t i = 0; i < SB_PLACES; i++) {
        if (job->roots[i] >= 0) {
            fds[n++] = job->roots[i];
        }
    }
    _exit(sb_fd_send(sock, "r", 1, fds, n, &err) < 0);
}

/* By a child, as nobody comes back out of a sandbox. */
static int fetch_roots(struct job *job, struct sb_err *err)
{
    int pair[2];
    int fds[SB_PLACES];
    char said = 0;
    struct sb_fd_msg msg = {.data = &said, .cap = 1, .fds = fds, .nfds_cap = SB_PLACES};
    size_t n = 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return sb_err_sys(err, errno, "socketpair");
    }
    pid_t pid = fork();
    if (pid == 0) {
        hand_roots_out(job, pair[1]);
    }
    (void)close(pair[1]);
    int got = pid < 0 ? -1 : sb_fd_recv(pair[0], &msg, 0, err);
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    if (got <= 0) {
        return sb_err_set(err, SB_INTERNAL, "nobody could go into the sandbox");
    }
    for (size_t i = 0; i < SB_PLACES && n < msg.nfds; i++) {
        if ((job->places >> i & 1) != 0) {
            job->roots[i] = fds[n++];
        }
    }
    return sb_between_enter(&job->between, err);
}

static int compare(struct job *job, struct sb_err *err)
{
    bool is_between = job->between.userns_fd >= 0;
    int *fds[FIXED_FDS + SB_LAYERS_MAX] = {
        &job->tell.sock, &job->ground, &job->uppers[SB_PLACE_TMP], &job->uppers[SB_PLACE_WORKSPACE],
        &job->between.userns_fd};
    for (size_t i = 0; i < job->n_layers; i++) {
        fds[FIXED_FDS + i] = &job->layers[i];
    }
    if (sb_visit_arrange(&job->visit, fds, FIXED_FDS + job->n_layers, err) < 0 ||
        (is_between ? fetch_roots(job, err) : open_roots(job, err)) < 0) {
        return -1;
    }
    for (enum sb_place place = 0; place < SB_PLACES; place++) {
        if ((job->places >> place & 1) != 0 && compare_place(job, place, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static _Noreturn void run(struct job *job)
{
    struct sb_err err;
    bool is_done = compare(job, &err) == 0;
    sb_tell_end(&job->tell, is_done ? NULL : &err);
    _exit(is_done ? 0 : 1);
}

/* ---- the spawner ---- */

static void job_done(struct job *job)
{
    sb_visit_done(&job->visit);
    sb_between_done(&job->between);
    sb_fd_close_all(&job->tell.sock, 1);
    sb_fd_close_all(job->layers, job->n_layers);
    sb_fd_close_all(job->uppers, SB_PLACES);
}

/* Of who wrote a layer that stands alone. */
static bool has_ids_of(const struct sb_layer *layer, const struct sb_sandbox *sandbox)
{
    return layer->ids.outside_uid == sandbox->ids.outside_uid &&
           layer->ids.outside_gid == sandbox->ids.outside_gid;
}

static int open_layers(struct sb_layers *layers,
                       const struct sb_sandbox *sandbox,
                       const struct sb_layer *layer,
                       struct job *job,
                       struct sb_err *err)
{
    size_t i = 0;
    for (const struct sb_layer *at = layer; at != NULL; at = at->below, i++) {
        for (enum sb_place place = 0; place < SB_PLACES; place++) {
            bool is_below = sb_layer_is_below(at, place, &sandbox->ground);
            job->of_place[place] |= is_below ? 1U << i : 0;
        }
    }
    if (layer == NULL) {
        return 0;
    }
    bool is_between = layers->way == SB_LAYERS_COPY && !has_ids_of(layer, sandbox);
    if (is_between && sb_between_open(&layer->ids, &sandbox->ids, layers->host->has_setgroups,
                                      &job->between, err) < 0) {
        return -1;
    }
    return sb_layer_open(layers, layer, is_between ? NULL : &sandbox->ids, job->layers,
                         &job->n_layers, err);
}

static int open_uppers(struct sb_layers *layers,
                       const struct sb_sandbox *sandbox,
                       struct job *job,
                       struct sb_err *err)
{
    for (enum sb_place place = 0; place < SB_PLACES; place++) {
        if (sandbox->uppers[place] != 0 && sb_keeper_clone(&layers->keeper, &sandbox->uppers[place],
                                                           1, &job->uppers[place], err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int open_all(struct sb_layers *layers,
                    const struct sb_sandbox *sandbox,
                    const struct sb_changes_of *of,
                    struct job *job,
                    struct sb_err *err)
{
    const struct sb_layer *layer = of->since_host ? sandbox->layer : of->layer;
    if (of->since_host && sandbox->ground_fd < 0) {
        return sb_err_set(err, SB_PRECONDITION,
                          "/workspace is no directory of the host that is bound copy-on-write");
    }
    job->since_host = of->since_host;
    job->places = of->since_host ? 1U << SB_PLACE_WORKSPACE : sandbox->places;
    return sb_visit_open(sandbox, &job->visit, err) < 0 ||
                   open_layers(layers, sandbox, layer, job, err) < 0 ||
                   (layer == sandbox->layer && open_uppers(layers, sandbox, job, err) < 0)
               ? -1
               : 0;
}

pid_t sb_changes_start(struct sb_layers *layers,
                       const struct sb_sandbox *sandbox,
                       const struct sb_changes_of *of,
                       int *ret_sock,
                       struct sb_err *err)
{
    int pair[2];
    SB_CLEANUP(job_done)
    struct job job = {
        .visit = SB_VISIT_NONE,
        .tell = {.sock = -1, .content = of->content},
        .ground = sandbox->ground_fd, /* borrowed */
        .uppers = {-1, -1},
        .roots = {-1, -1},
        .between = SB_BETWEEN_NONE,
    };
    if (open_all(layers, sandbox, of, &job, err) < 0) {
        return -1;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return (pid_t)sb_err_sys(err, errno, "socketpair");
    }
    job.tell.sock = pair[0];
    SB_CLEANUP(sb_closep) int theirs = pair[1];
    pid_t pid = fork();
    if (pid == 0) {
        run(&job);
    }
    if (pid < 0) {
        return (pid_t)sb_err_sys(err, errno, "fork");
    }
    *ret_sock = SB_STEAL_FD(theirs);
    return pid;
}
