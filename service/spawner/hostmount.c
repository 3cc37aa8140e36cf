#include "service/spawner/hostmount.h"

/* Theory of operation. Three identities meet here. The spawner may open anything; the peer, who
 * asked, may open what is its own; the job runs as an id that owns nothing. So a path is opened
 * while the spawner has the peer's effective ids, and only the descriptor is used after that. The
 * mount that is made of it is idmapped: what the peer owns on disk appears to be the job's, and
 * what the job writes is the peer's on disk. When root is the peer it is the owner of the source
 * that counts, since root itself owns nothing by being root. No job ever has host id 0: where ids
 * cannot be mapped it runs as the peer's own id, and for root not at all.
 *
 * What the worker keeps for sandboxes (packages) comes as open directories. They are bound
 * read-only and without a mapping, so a job sees of them what anybody may see, and nothing that the
 * worker could not read to it itself. A worker's descriptor is of its own mount namespace, which in
 * user mode is not the spawner's: there the same directory is opened by its path. */

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/mutate.h"
#include "service/spawner/host.h"
#include "service/spawner/idmap.h"
#include "service/spawner/ids.h"
#include "service/spawner/mount.h"
#include "service/spawner/peer.h"

#ifndef DEVTMPFS_SUPER_MAGIC
#define DEVTMPFS_SUPER_MAGIC 0x1373 /* devtmpfs shows ramfs's or tmpfs's on most kernels */
#endif

/* Kernel interfaces, not files. */
static const unsigned long refused_systems[] = {
    PROC_SUPER_MAGIC, SYSFS_MAGIC,          CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC,
    TRACEFS_MAGIC,    SECURITYFS_MAGIC,     BPF_FS_MAGIC,       DEVPTS_SUPER_MAGIC,  NSFS_MAGIC,
    BINFMTFS_MAGIC,   DEVTMPFS_SUPER_MAGIC, SELINUX_MAGIC,
};

struct owner {
    uid_t uid;
    gid_t gid;
};

static int check_kind(int fd, const char *path, bool *ret_is_dir, struct sb_err *err)
{
    struct stat st;
    struct statfs fs;
    if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0) {
        return sb_err_sys(err, errno, "look at %s", path);
    }
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)) {
        return sb_err_set(err, SB_INVALID, "%s is neither a directory nor a regular file", path);
    }
    for (size_t i = 0; i < sizeof refused_systems / sizeof *refused_systems; i++) {
        if ((unsigned long)fs.f_type == refused_systems[i] && !sb_mutated("bind.kind")) {
            return sb_err_set(err, SB_DENIED, "%s is an interface of the kernel, not a file", path);
        }
    }
    *ret_is_dir = S_ISDIR(st.st_mode);
    return 0;
}

/* With whatever rights this process has now. */
static int open_source(const struct sb_plan_mount *mount, bool *ret_is_dir, struct sb_err *err)
{
    struct open_how how = {
        .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
        .resolve = RESOLVE_NO_MAGICLINKS,
    };
    SB_CLEANUP(sb_closep)
    int fd = (int)syscall(SYS_openat2, AT_FDCWD, mount->source, &how, sizeof how);
    if (fd < 0) {
        return sb_err_sys(err, errno, "open %s", mount->source);
    }
    if (check_kind(fd, mount->source, ret_is_dir, err) < 0) {
        return -1;
    }
    if (mount->is_writable &&
        syscall(SYS_faccessat2, fd, "", W_OK, AT_EMPTY_PATH | AT_EACCESS) < 0) {
        return sb_err_sys(err, errno, "write to %s", mount->source);
    }
    return SB_STEAL_FD(fd);
}

/* One call of sb_hostmount_open. */
struct work {
    const struct sb_host *host;
    const struct sb_plan *plan;
    const struct sb_peer *peer;
    struct sb_hostmounts sources; /* the peer's files, opened */
    struct sb_hostmounts mounts;  /* detached mounts of them */
};

static void work_done(struct work *work)
{
    sb_hostmount_done(&work->sources);
    sb_hostmount_done(&work->mounts);
}

static size_t n_of_peer(const struct sb_plan *plan)
{
    return plan->n_mounts - plan->n_of_worker;
}

static int open_sources(struct work *work, struct sb_err *err)
{
    struct sb_hostmounts *sources = &work->sources;
    bool has_peer = work->host->is_root && !sb_mutated("bind.peer");
    if (has_peer && sb_peer_enter(work->peer, work->host->parent, err) < 0) {
        return -1;
    }
    int done = 0;
    for (size_t i = 0; i < n_of_peer(work->plan) && done == 0; i++) {
        int fd = open_source(&work->plan->mounts[i], &sources->is_dir[i], err);
        if (fd < 0) {
            done = -1;
        } else {
            sources->fds[sources->n++] = fd;
        }
    }
    if (has_peer) {
        sb_peer_leave(work->host->parent);
    }
    return done;
}

/* Whose files under source i become the job's. */
static int owner_of(const struct work *work, size_t i, struct owner *ret_owner, struct sb_err *err)
{
    struct stat st;
    if (work->peer->uid != 0) {
        *ret_owner = (struct owner){work->peer->uid, work->peer->gid};
        return 0;
    }
    if (fstat(work->sources.fds[i], &st) < 0) {
        return sb_err_sys(err, errno, "look at %s", work->plan->mounts[i].source);
    }
    *ret_owner = (struct owner){st.st_uid, st.st_gid};
    return 0;
}

static int clone_source(struct work *work, size_t i, struct sb_err *err)
{
    const struct sb_plan_mount *mount = &work->plan->mounts[i];
    uint64_t attr = (sb_mutated("bind.nosuid") ? 0ULL : MOUNT_ATTR_NOSUID) |
                    (sb_mutated("bind.nodev") ? 0ULL : MOUNT_ATTR_NODEV);
    if (!mount->is_writable && !sb_mutated("bind.read-only")) {
        attr |= MOUNT_ATTR_RDONLY;
    }
    int fd = sb_mount_clone(work->sources.fds[i], "", attr, err);
    if (fd < 0) {
        return sb_err_wrap(err, "%s", mount->source);
    }
    work->mounts.fds[work->mounts.n++] = fd;
    return 0;
}

/* Clones all sources. @job  ids to map owners to; NULL: no mapping.
 * Returns 1, or 0 when ids cannot be mapped, or -1. */
static int clone_sources(struct work *work, const struct sb_ids *job, struct sb_err *err)
{
    for (size_t i = 0; i < work->sources.n; i++) {
        if (clone_source(work, i, err) < 0) {
            return -1;
        }
        if (job == NULL || sb_mutated("bind.owner")) {
            continue;
        }
        struct owner owner;
        if (owner_of(work, i, &owner, err) < 0) {
            return -1;
        }
        struct sb_idmap map = {
            .disk_uid = owner.uid,
            .disk_gid = owner.gid,
            .host_uid = sb_ids_job_uid(job),
            .host_gid = sb_ids_job_gid(job),
            .count = 1,
            .shows_others = sb_plan_is_overlay(work->plan, i), /* nothing of it is written */
        };
        int mapped = sb_idmap_apply(work->mounts.fds[i], &map, err);
        if (mapped <= 0) {
            return mapped;
        }
    }
    return 1;
}

/* The ids that the job shares when none can be mapped. */
static int share_ids(const struct work *work, struct sb_ids *ids, struct sb_err *err)
{
    struct owner owner = {0, 0}; /* user mode: the caller */
    if (work->host->is_root) {
        if (owner_of(work, 0, &owner, err) < 0) {
            return -1;
        }
        if (owner.uid == 0 || owner.gid == 0) {
            return sb_err_set(err, SB_PRECONDITION,
                              "%s: its file system cannot map ids, and its owner is root: give it "
                              "to another user",
                              work->plan->mounts[0].source);
        }
    }
    sb_ids_share(ids, owner.uid, owner.gid);
    return 0;
}

static int make_mounts(struct work *work, struct sb_ids *ids, struct sb_err *err)
{
    if (work->host->is_root) {
        int mapped = work->host->has_idmap ? clone_sources(work, ids, err) : 0;
        if (mapped != 0) {
            return mapped < 0 ? -1 : 0;
        }
        sb_hostmount_done(&work->mounts);
        work->mounts.lacks_idmap = true;
    }
    return share_ids(work, ids, err) < 0 || clone_sources(work, NULL, err) < 0 ? -1 : 0;
}

/* The directory of the spawner's own mount namespace that the worker's descriptor is of. */
static int open_same(const struct sb_plan_mount *mount, int theirs, struct sb_err *err)
{
    struct stat want;
    struct stat got;
    SB_CLEANUP(sb_closep)
    int fd = open(mount->source, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &got) < 0 || fstat(theirs, &want) < 0) {
        return sb_err_sys(err, errno, "open %s", mount->source);
    }
    if (want.st_dev != got.st_dev || want.st_ino != got.st_ino) {
        return sb_err_set(err, SB_DENIED, "%s is not the directory that the worker has open",
                          mount->source);
    }
    return SB_STEAL_FD(fd);
}

static int clone_of_worker(struct work *work,
                           const struct sb_plan_mount *mount,
                           int theirs,
                           struct sb_err *err)
{
    const uint64_t attr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                          (sb_mutated("bind.read-only") ? 0ULL : MOUNT_ATTR_RDONLY);
    bool is_dir = false;
    SB_CLEANUP(sb_closep) int own = -1;
    if (check_kind(theirs, mount->source, &is_dir, err) < 0) {
        return -1;
    }
    if (!is_dir) {
        return sb_err_set(err, SB_INVALID, "%s is not a directory", mount->source);
    }
    if (!work->host->is_root) {
        own = open_same(mount, theirs, err);
        if (own < 0) {
            return -1;
        }
    }
    int fd = sb_mount_clone(own >= 0 ? own : theirs, "", attr, err);
    if (fd < 0) {
        return sb_err_wrap(err, "%s", mount->source);
    }
    work->mounts.is_dir[work->mounts.n] = true;
    work->mounts.fds[work->mounts.n++] = fd;
    return 0;
}

static int make_peer_mounts(struct work *work, struct sb_ids *ids, struct sb_err *err)
{
    /* In user mode the spawner has the rights of its one user, who is id 0 to it. */
    if (!work->host->is_root && work->peer->uid != 0) {
        return sb_err_set(err, SB_DENIED, "only the user who runs the worker may bind directories");
    }
    if (open_sources(work, err) < 0 || make_mounts(work, ids, err) < 0) {
        return -1;
    }
    memcpy(work->mounts.is_dir, work->sources.is_dir, sizeof work->mounts.is_dir);
    return 0;
}

int sb_hostmount_open(const struct sb_host *host,
                      const struct sb_plan *plan,
                      const struct sb_peer *peer,
                      const int *of_worker,
                      struct sb_ids *ids,
                      struct sb_hostmounts *ret_mounts,
                      struct sb_err *err)
{
    SB_CLEANUP(work_done) struct work work = {.host = host, .plan = plan, .peer = peer};
    size_t n = n_of_peer(plan);
    SB_CLEANUP(sb_closep) int changes_fd = n > 0 ? sb_bound_watch() : -1;
    if (n > 0 &&
        (make_peer_mounts(&work, ids, err) < 0 ||
         sb_bound_keep(&work.mounts.bound, plan, work.sources.fds, &changes_fd, err) < 0)) {
        return -1;
    }
    for (size_t i = n; i < plan->n_mounts; i++) {
        if (clone_of_worker(&work, &plan->mounts[i], of_worker[i - n], err) < 0) {
            return -1;
        }
    }
    *ret_mounts = work.mounts;
    work.mounts.n = work.mounts.bound.n = 0;
    return 0;
}

static bool is_same(const struct sb_bound_file *file, struct sb_err *err)
{
    const struct sb_plan_mount mount = {.source = file->source, .is_writable = file->is_writable};
    bool is_dir = false;
    SB_CLEANUP(sb_closep) int fd = open_source(&mount, &is_dir, err);
    return fd >= 0 && sb_bound_is(file, fd);
}

int sb_hostmount_compare(const struct sb_host *host,
                         const struct sb_bound *bound,
                         const struct sb_peer *peer,
                         struct sb_err *err)
{
    bool are_same = sb_bound_mounts_stay(bound);
    if (!host->is_root && peer->uid != 0) {
        return 0;
    }
    if (host->is_root && sb_peer_enter(peer, host->parent, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < bound->n && are_same; i++) {
        are_same = is_same(&bound->files[i], err);
    }
    if (host->is_root) {
        sb_peer_leave(host->parent);
    }
    return are_same ? 1 : 0;
}

void sb_hostmount_done(struct sb_hostmounts *mounts)
{
    sb_fd_close_all(mounts->fds, mounts->n);
    sb_bound_done(&mounts->bound);
    mounts->n = 0;
}
