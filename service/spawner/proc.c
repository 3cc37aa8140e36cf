#include "service/spawner/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "service/spawner/child.h"
#include "service/spawner/mount.h"
#include "service/spawner/rootfs.h"

#define COVER_ATTR (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

/* Parents of covers: an empty file and an empty directory of the new root, which have no name once
 * the covers are on. Nobody may open the file. It is not /dev/null, since a device on a read-only
 * mount can still be opened for writing. */
#define EMPTY_FILE "run/file"
#define EMPTY_DIR  "run/dir"

enum cover {
    COVER_HIDE,      /* an empty file or directory in its place */
    COVER_READ_ONLY, /* bound onto itself, read-only */
};

/* Absent ones are skipped: which exist depends on the kernel. */
static const struct {
    const char *path; /* relative to the new root */
    enum cover cover;
} covers[] = {
    {"proc/sys", COVER_READ_ONLY},      {"proc/fs", COVER_READ_ONLY},
    {"proc/bus", COVER_HIDE},           {"proc/irq", COVER_HIDE},
    {"proc/acpi", COVER_HIDE},          {"proc/asound", COVER_HIDE},
    {"proc/driver", COVER_HIDE},        {"proc/dynamic_debug", COVER_HIDE},
    {"proc/scsi", COVER_HIDE},          {"proc/bootconfig", COVER_HIDE},
    {"proc/buddyinfo", COVER_HIDE},     {"proc/cmdline", COVER_HIDE},
    {"proc/config.gz", COVER_HIDE},     {"proc/consoles", COVER_HIDE},
    {"proc/diskstats", COVER_HIDE},     {"proc/interrupts", COVER_HIDE},
    {"proc/iomem", COVER_HIDE},         {"proc/ioports", COVER_HIDE},
    {"proc/kallsyms", COVER_HIDE},      {"proc/kcore", COVER_HIDE},
    {"proc/key-users", COVER_HIDE},     {"proc/keys", COVER_HIDE},
    {"proc/kmsg", COVER_HIDE},          {"proc/kpagecgroup", COVER_HIDE},
    {"proc/kpagecount", COVER_HIDE},    {"proc/kpageflags", COVER_HIDE},
    {"proc/latency_stats", COVER_HIDE}, {"proc/modules", COVER_HIDE},
    {"proc/mtrr", COVER_HIDE},          {"proc/pagetypeinfo", COVER_HIDE},
    {"proc/partitions", COVER_HIDE},    {"proc/sched_debug", COVER_HIDE},
    {"proc/slabinfo", COVER_HIDE},      {"proc/softirqs", COVER_HIDE},
    {"proc/swaps", COVER_HIDE},         {"proc/sysrq-trigger", COVER_HIDE},
    {"proc/timer_list", COVER_HIDE},    {"proc/timer_stats", COVER_HIDE},
    {"proc/vmallocinfo", COVER_HIDE},   {"proc/zoneinfo", COVER_HIDE},
};

/* A cover's parent is a read-only mount, so each bind of it is one. */
static int make_parent(const char *path, struct sb_err *err)
{
    return sb_mount_bind(path, path, err) < 0 ? -1
                                              : sb_mount_add_attr(AT_FDCWD, path, COVER_ATTR, err);
}

static int add_cover(size_t i, struct sb_err *err)
{
    const char *path = covers[i].path;
    if (covers[i].cover == COVER_READ_ONLY) {
        return sb_mount_bind(path, path, err) < 0
                   ? -1
                   : sb_mount_add_attr(AT_FDCWD, path, COVER_ATTR, err);
    }
    /* The kernel says which of the two kinds it is. */
    if (mount(EMPTY_FILE, path, NULL, MS_BIND, NULL) == 0 || errno == ENOENT) {
        return 0;
    }
    if (errno == ENOTDIR && mount(EMPTY_DIR, path, NULL, MS_BIND, NULL) == 0) {
        return 0;
    }
    return sb_err_sys(err, errno, "cover %s", path);
}

/* The parents lose their names, and stay where they are bound. */
static int drop_parents(struct sb_err *err)
{
    if (umount2(EMPTY_FILE, MNT_DETACH) < 0 || umount2(EMPTY_DIR, MNT_DETACH) < 0 ||
        unlink(EMPTY_FILE) < 0 || rmdir(EMPTY_DIR) < 0) {
        return sb_err_sys(err, errno, "unname covers");
    }
    return 0;
}

static int cover_all(struct sb_err *err)
{
    if (mknod(EMPTY_FILE, S_IFREG, 0) < 0) {
        return sb_err_sys(err, errno, "make a cover");
    }
    if (sb_rootfs_mkdir(EMPTY_DIR, 0555, err) < 0 || make_parent(EMPTY_FILE, err) < 0 ||
        make_parent(EMPTY_DIR, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof covers / sizeof *covers; i++) {
        if (add_cover(i, err) < 0) {
            return -1;
        }
    }
    return drop_parents(err);
}

/* Of the sandbox's user namespace, whatever the host allows. What is made inside counts for whoever
 * made the namespace too: for all sandboxes and the host's user together. Absent ones are skipped.
 */
static const struct {
    const char *path; /* relative to the new root */
    const char *value;
} pools[] = {
    {"proc/sys/user/max_user_namespaces", "0"},    {"proc/sys/user/max_pid_namespaces", "0"},
    {"proc/sys/user/max_mnt_namespaces", "0"},     {"proc/sys/user/max_net_namespaces", "0"},
    {"proc/sys/user/max_ipc_namespaces", "0"},     {"proc/sys/user/max_uts_namespaces", "0"},
    {"proc/sys/user/max_cgroup_namespaces", "0"},  {"proc/sys/user/max_time_namespaces", "0"},
    {"proc/sys/user/max_fanotify_groups", "0"},    {"proc/sys/user/max_fanotify_marks", "0"},
    {"proc/sys/user/max_inotify_instances", "16"}, {"proc/sys/user/max_inotify_watches", "8192"},
};

/* Needs CAP_SYS_RESOURCE in the user namespace, and /proc/sys writable. */
static int limit_pools(struct sb_err *err)
{
    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++) {
        SB_CLEANUP(sb_closep) int fd = open(pools[i].path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT) {
            continue;
        }
        if (fd < 0 || write(fd, pools[i].value, strlen(pools[i].value)) < 0) {
            return sb_err_sys(err, errno, "write /%s", pools[i].path);
        }
    }
    return 0;
}

int sb_proc_mount(struct sb_child *child, struct sb_err *err)
{
    if (mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0) {
        /* Those of the host's own user namespace are not ours to limit. */
        return child->has_userns && limit_pools(err) < 0 ? -1 : cover_all(err);
    }
    if (errno == EPERM) {
        return sb_err_set(err, SB_PRECONDITION,
                          "mount proc: not permitted, as parts of /proc are covered here; run the "
                          "container with an unmasked /proc "
                          "(--security-opt systempaths=unconfined)");
    }
    return sb_err_sys(err, errno, "mount proc");
}

int sb_proc_verify(struct sb_child *child, struct sb_err *err)
{
    (void)child;
    struct statfs fs;
    if (statfs("/proc", &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC) {
        return sb_err_set(err, SB_INTERNAL, "/proc is not a procfs");
    }
    for (size_t i = 0; i < sizeof covers / sizeof *covers; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/%s", covers[i].path);
        if (statfs(path, &fs) < 0) {
            continue;
        }
        bool is_procfs = fs.f_type == PROC_SUPER_MAGIC;
        bool is_hidden = covers[i].cover == COVER_HIDE;
        if (is_procfs == is_hidden || (fs.f_flags & ST_RDONLY) == 0) {
            return sb_err_set(err, SB_INTERNAL, "%s is not covered", path);
        }
    }
    return 0;
}
