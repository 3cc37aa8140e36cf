#include "service/spawner/rootfs.h"

/* Theory of operation. The child has a mount namespace of its own, a copy of the host's. It makes a
 * tmpfs that will be the root, works with paths relative to it while absolute paths still are the
 * host's, and fills it before any file of a job can exist: no path that is resolved here can be
 * influenced from inside. Then pivot_root makes it the root, the host's tree is detached, and the
 * tmpfs becomes read-only. What the job can write lies on mounts of its own: tmpfs with bounds, or
 * directories that the plan names; all of them nosuid and nodev. */

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mutate.h"
#include "service/spawner/child.h"
#include "service/spawner/layers/give.h"
#include "service/spawner/mount.h"

#define SYSTEM_ATTR  (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define PRIVATE_ATTR (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

/* Of the root tmpfs itself, which is read-only once a job runs. */
#define ROOT_OPTIONS "size=1m,nr_inodes=20000,mode=0755"

const struct sb_rootfs_tree sb_rootfs_trees[] = {
    {"usr", true, false},           {"usr/bin", false, true},
    {"usr/sbin", false, true},      {"usr/lib", false, true},
    {"usr/lib32", false, true},     {"usr/lib64", false, true},
    {"usr/libx32", false, true},    {"usr/libexec", false, true},
    {"usr/local/bin", false, true}, {"usr/local/sbin", false, true},
    {"usr/local/lib", false, true}, {"bin", true, true},
    {"sbin", true, true},           {"lib", true, true},
    {"lib32", true, true},          {"lib64", true, true},
    {"libx32", true, true},         {NULL, false, false},
};

static const struct {
    const char *path;
    unsigned mode;
} dirs[] = {
    {"proc", 0555}, {"tmp", 01777}, {"run", 0755},      {"var", 0755},
    {"dev", 0755},  {"etc", 0755},  {"dev/shm", 01777}, {"dev/pts", 0755},
};

int sb_rootfs_mkdir(const char *path, unsigned mode, struct sb_err *err)
{
    if (mkdir(path, mode) < 0 && errno != EEXIST) {
        return sb_err_sys(err, errno, "make directory %s", path);
    }
    return 0;
}

int sb_rootfs_touch(const char *path, struct sb_err *err)
{
    return mknod(path, S_IFREG | 0444, 0) < 0 ? sb_err_sys(err, errno, "make %s", path) : 0;
}

int sb_rootfs_write(const char *path, const char *text, struct sb_err *err)
{
    SB_CLEANUP(sb_closep)
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    size_t len = strlen(text);
    if (fd < 0 || write(fd, text, len) != (ssize_t)len) {
        return sb_err_sys(err, errno, "write %s", path);
    }
    return 0;
}

int sb_rootfs_symlink(const char *text, const char *path, struct sb_err *err)
{
    return symlink(text, path) < 0 ? sb_err_sys(err, errno, "link %s", path) : 0;
}

static int begin_at(struct sb_child *child, const char *target, struct sb_err *err)
{
    if (!sb_mutated("root.private") && mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        return sb_err_sys(err, errno, "make mounts private");
    }
    child->root_fd = sb_mount_new_tmpfs(ROOT_OPTIONS, err);
    if (child->root_fd < 0) {
        return -1;
    }
    if (sb_mount_attach(child->root_fd, AT_FDCWD, target, err) < 0) {
        return -1;
    }
    if (fchdir(child->root_fd) < 0) {
        return sb_err_sys(err, errno, "enter the new root");
    }
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
        if (sb_rootfs_mkdir(dirs[i].path, dirs[i].mode, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int sb_rootfs_begin(struct sb_child *child, struct sb_err *err)
{
    /* On top of the old root, where it hides nothing: absolute paths start below it. */
    return begin_at(child, "/", err) < 0 || sb_rootfs_mkdir("var/lib", 0755, err) < 0 ||
                   sb_rootfs_symlink("../tmp", "var/tmp", err) < 0 ||
                   sb_rootfs_symlink("../run", "var/run", err) < 0
               ? -1
               : 0;
}

int sb_rootfs_stage(struct sb_child *child, struct sb_err *err)
{
    return begin_at(child, SB_ROOTFS_STAGE, err);
}

/* Makes the directories above relative path, below the new root. */
static int make_parents(int root_fd, const char *path, struct sb_err *err)
{
    char part[SB_PLAN_MAX_PATH + 1];
    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        size_t len = (size_t)(slash - path);
        memcpy(part, path, len);
        part[len] = '\0';
        if (mkdirat(root_fd, part, 0755) < 0 && errno != EEXIST) {
            return sb_err_sys(err, errno, "make directory /%s", part);
        }
    }
    return 0;
}

static int add_tree(int root_fd, const char *path, struct sb_err *err)
{
    char host[64] = "/";
    char link[64];
    struct stat st;
    strncat(host, path, sizeof host - 2);
    if (lstat(host, &st) < 0) {
        return errno == ENOENT ? 0 : sb_err_sys(err, errno, "look at %s", host);
    }
    if (make_parents(root_fd, path, err) < 0) {
        return -1;
    }
    if (S_ISLNK(st.st_mode)) {
        ssize_t len = readlink(host, link, sizeof link - 1);
        if (len < 0) {
            return sb_err_sys(err, errno, "read link %s", host);
        }
        link[len] = '\0';
        return sb_rootfs_symlink(link, path, err);
    }
    return sb_rootfs_mkdir(path, 0755, err) < 0 ? -1 : sb_mount_bind(host, path, err);
}

int sb_rootfs_system(struct sb_child *child, struct sb_err *err)
{
    for (const struct sb_rootfs_tree *tree = sb_rootfs_trees; tree->path != NULL; tree++) {
        bool is_wanted = child->plan->is_minimal ? tree->in_minimal : tree->in_system;
        if (is_wanted && add_tree(child->root_fd, tree->path, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int sb_rootfs_freeze(struct sb_child *child, struct sb_err *err)
{
    /* The root itself still gets mount points, and is frozen by sb_rootfs_enter. */
    return sb_mount_add_attr_below(child->root_fd, "", SYSTEM_ATTR, MOUNT_ATTR_RDONLY, err);
}

int sb_rootfs_space(struct sb_child *child, struct sb_err *err)
{
    const struct sb_plan *plan = child->plan;
    const struct sb_mount_space shared = {plan->disk_bytes, plan->inodes, 01777, child->setup_id,
                                          child->setup_id};
    unsigned given = 0; /* places that start from a snapshot */
    if (plan->has_workspace && sb_rootfs_mkdir("workspace", 0755, err) < 0) {
        return -1;
    }
    if (sb_given_mount(child, &given, err) < 0 || sb_mount_tmpfs("dev/shm", &shared, err) < 0) {
        return -1;
    }
    if ((given >> SB_PLACE_TMP & 1) == 0 && sb_mount_tmpfs("tmp", &shared, err) < 0) {
        return -1;
    }
    if (!plan->has_workspace || !plan->workspace_is_tmpfs) {
        return 0;
    }
    const struct sb_mount_space own = {plan->disk_bytes, plan->inodes, 0755, child->job_uid,
                                       child->job_gid};
    if ((given >> SB_PLACE_WORKSPACE & 1) == 0 && sb_mount_tmpfs("workspace", &own, err) < 0) {
        return -1;
    }
    return plan->workspace_read_only
               ? sb_mount_add_attr(AT_FDCWD, "workspace", MOUNT_ATTR_RDONLY, err)
               : 0;
}

/* Opens the mount point below the new root without following anything. */
static int open_point(int root_fd, const char *path, struct sb_err *err)
{
    struct open_how how = {
        .flags = O_PATH | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof how);
    return fd < 0 ? sb_err_sys(err, errno, "open mount point /%s", path) : fd;
}

static int add_mount(struct sb_child *child, size_t i, struct sb_err *err)
{
    const char *path = child->plan->mounts[i].target + 1;
    if (make_parents(child->root_fd, path, err) < 0) {
        return -1;
    }
    if (child->mount_is_dir[i]) {
        if (sb_rootfs_mkdir(path, 0755, err) < 0) {
            return -1;
        }
    } else if (sb_rootfs_touch(path, err) < 0) {
        return -1;
    }
    SB_CLEANUP(sb_closep) int point = open_point(child->root_fd, path, err);
    if (point < 0) {
        return -1;
    }
    if (move_mount(child->mount_fds[i], "", point, "",
                   MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0) {
        return sb_err_sys(err, errno, "mount at /%s", path);
    }
    return 0;
}

int sb_rootfs_mounts(struct sb_child *child, struct sb_err *err)
{
    for (size_t i = 0; i < child->plan->n_mounts; i++) {
        bool is_there = sb_plan_is_overlay(child->plan, i); /* since sb_rootfs_space */
        if (!is_there && add_mount(child, i, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int sb_rootfs_enter(struct sb_child *child, struct sb_err *err)
{
    if (fchdir(child->root_fd) < 0) {
        return sb_err_sys(err, errno, "enter the new root");
    }
    /* Old root and new root at one place: no directory for the old one is needed (pivot_root(2),
     * "pivot_root(".", ".")"). An initramfs cannot be pivoted away from; chroot(2) onto the mount
     * that covers it is what switch_root does, and nothing inside could undo it. */
    if (syscall(SYS_pivot_root, ".", ".") == 0) {
        if (!sb_mutated("root.detach") && umount2(".", MNT_DETACH) < 0) {
            return sb_err_sys(err, errno, "detach the old root");
        }
    } else if (errno != EINVAL || chroot(".") < 0) {
        return sb_err_sys(err, errno, "make the new root the root");
    }
    if (chdir("/") < 0) {
        return sb_err_sys(err, errno, "enter /");
    }
    uint64_t read_only = sb_mutated("root.read-only") ? 0 : MOUNT_ATTR_RDONLY;
    return sb_mount_add_attr(AT_FDCWD, "/", read_only | PRIVATE_ATTR, err);
}

int sb_rootfs_cwd(struct sb_child *child, struct sb_err *err)
{
    const char *cwd = child->plan->has_workspace ? "/workspace" : "/";
    return chdir(cwd) < 0 ? sb_err_sys(err, errno, "enter %s", cwd) : 0;
}
