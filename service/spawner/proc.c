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
#include "base/mutate.h"
#include "service/spawner/child.h"
#include "service/spawner/mount.h"
#include "service/spawner/rootfs.h"

#define COVER_ATTR (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

/* What covers: an empty file and an empty directory of the new root, which have no name once they
 * are bound. Nobody may open the file. It is not /dev/null, since a device on a read-only mount can
 * still be opened for writing. */
#define EMPTY_FILE SB_PROC_EMPTY_FILE
#define EMPTY_DIR  SB_PROC_EMPTY_DIR

/* Absent ones are skipped: which exist depends on the kernel. A mount of the wrong kind is refused,
 * and the other one tried, but each refusal has the kernel wait for all processors (RCU), as each
 * umount2 has. */
const struct sb_proc_cover sb_proc_covers[] = {
    {"proc/sys", SB_PROC_READ_ONLY},
    {"proc/fs", SB_PROC_READ_ONLY},
    {"proc/bus", SB_PROC_HIDE_DIR},
    {"proc/irq", SB_PROC_HIDE_DIR},
    {"proc/acpi", SB_PROC_HIDE_DIR},
    {"proc/asound", SB_PROC_HIDE_DIR},
    {"proc/driver", SB_PROC_HIDE_DIR},
    {"proc/dynamic_debug", SB_PROC_HIDE_DIR},
    {"proc/scsi", SB_PROC_HIDE_DIR},
    {"proc/bootconfig", SB_PROC_HIDE},
    {"proc/buddyinfo", SB_PROC_HIDE},
    {"proc/cmdline", SB_PROC_HIDE},
    {"proc/config.gz", SB_PROC_HIDE},
    {"proc/consoles", SB_PROC_HIDE},
    {"proc/diskstats", SB_PROC_HIDE},
    {"proc/interrupts", SB_PROC_HIDE},
    {"proc/iomem", SB_PROC_HIDE},
    {"proc/ioports", SB_PROC_HIDE},
    {"proc/kallsyms", SB_PROC_HIDE},
    {"proc/kcore", SB_PROC_HIDE},
    {"proc/key-users", SB_PROC_HIDE},
    {"proc/keys", SB_PROC_HIDE},
    {"proc/kmsg", SB_PROC_HIDE},
    {"proc/kpagecgroup", SB_PROC_HIDE},
    {"proc/kpagecount", SB_PROC_HIDE},
    {"proc/kpageflags", SB_PROC_HIDE},
    {"proc/latency_stats", SB_PROC_HIDE},
    {"proc/modules", SB_PROC_HIDE},
    {"proc/mtrr", SB_PROC_HIDE},
    {"proc/pagetypeinfo", SB_PROC_HIDE},
    {"proc/partitions", SB_PROC_HIDE},
    {"proc/sched_debug", SB_PROC_HIDE},
    {"proc/slabinfo", SB_PROC_HIDE},
    {"proc/softirqs", SB_PROC_HIDE},
    {"proc/swaps", SB_PROC_HIDE},
    {"proc/sysrq-trigger", SB_PROC_HIDE},
    {"proc/timer_list", SB_PROC_HIDE},
    {"proc/timer_stats", SB_PROC_HIDE},
    {"proc/vmallocinfo", SB_PROC_HIDE},
    {"proc/zoneinfo", SB_PROC_HIDE},
    {NULL, SB_PROC_HIDE},
};

static int add_cover(const struct sb_proc_cover *cover, struct sb_err *err)
{
    const char *path = cover->path;
    const bool is_dir = cover->kind == SB_PROC_HIDE_DIR;
    if (cover->kind == SB_PROC_READ_ONLY) {
        return sb_mount_bind(path, path, err);
    }
    if (mount(is_dir ? EMPTY_DIR : EMPTY_FILE, path, NULL, MS_BIND, NULL) == 0 || errno == ENOENT) {
        return 0;
    }
    if (errno == ENOTDIR &&
        mount(is_dir ? EMPTY_FILE : EMPTY_DIR, path, NULL, MS_BIND, NULL) == 0) {
        return 0;
    }
    return sb_err_sys(err, errno, "cover %s", path);
}

/* They lose their names, and stay where they are bound. */
static int drop_empty(struct sb_err *err)
{
    return unlink(EMPTY_FILE) < 0 || rmdir(EMPTY_DIR) < 0 ? sb_err_sys(err, errno, "unname covers")
                                                          : 0;
}

int sb_proc_make_empty(struct sb_child *child, struct sb_err *err)
{
    (void)child;
    return mknod(EMPTY_FILE, S_IFREG, 0) < 0 ? sb_err_sys(err, errno, "make a cover")
                                             : sb_rootfs_mkdir(EMPTY_DIR, 0555, err);
}

static int cover_all(struct sb_child *child, struct sb_err *err)
{
    if (sb_proc_make_empty(child, err) < 0) {
        return -1;
    }
    for (const struct sb_proc_cover *cover = sb_proc_covers; cover->path != NULL; cover++) {
        const bool hides = cover->kind != SB_PROC_READ_ONLY;
        bool is_left_out =
            (hides && sb_mutated("proc.hide")) || (!hides && sb_mutated("proc.read-only"));
        if (!is_left_out && add_cover(cover, err) < 0) {
            return -1;
        }
    }
    /* All covers at once; the procfs itself takes writes. */
    return sb_mount_add_attr_below(AT_FDCWD, "proc", COVER_ATTR, MOUNT_ATTR_RDONLY, err) < 0
               ? -1
               : drop_empty(err);
}

/* Of the sandbox's user namespace, whatever the host allows. What is made inside counts for whoever
 * made the namespace too: for all sandboxes and the host's user together. Absent ones are skipped.
 */
static const struct {
    const char *path; /* relative to the new root */
    const char *value;
    const char *around; /* when another program makes the sandbox's namespaces inside of ours */
} pools[] = {
    {"proc/sys/user/max_user_namespaces", "0", "2"},
    {"proc/sys/user/max_pid_namespaces", "0", "2"}, /* ours counts */
    {"proc/sys/user/max_mnt_namespaces", "0", "2"},
    {"proc/sys/user/max_uts_namespaces", "0", "2"},
    {"proc/sys/user/max_net_namespaces", "0", "1"},
    {"proc/sys/user/max_ipc_namespaces", "0", "1"},
    {"proc/sys/user/max_cgroup_namespaces", "0", "1"},
    {"proc/sys/user/max_time_namespaces", "0", "0"},
    {"proc/sys/user/max_fanotify_groups", "0", "0"},
    {"proc/sys/user/max_fanotify_marks", "0", "0"},
    {"proc/sys/user/max_inotify_instances", "16", "16"},
    {"proc/sys/user/max_inotify_watches", "8192", "8192"},
};

/* Needs CAP_SYS_RESOURCE in the user namespace, and /proc/sys writable. */
static int limit_pools(bool is_around, struct sb_err *err)
{
    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++) {
        const char *value = is_around ? pools[i].around : pools[i].value;
        SB_CLEANUP(sb_closep) int fd = open(pools[i].path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT) {
            continue;
        }
        if (fd < 0 || write(fd, value, strlen(value)) < 0) {
            return sb_err_sys(err, errno, "write /%s", pools[i].path);
        }
    }
    return 0;
}

static int mount_proc(struct sb_err *err)
{
    if (sb_mutated("proc.own")) {
        return sb_mount_bind("/proc", "proc", err);
    }
    if (mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0) {
        return 0;
    }
    if (errno == EPERM) {
        return sb_err_set(err, SB_PRECONDITION,
                          "mount proc: not permitted, as parts of /proc are covered here; run the "
                          "container with an unmasked /proc "
                          "(--security-opt systempaths=unconfined)");
    }
    return sb_err_sys(err, errno, "mount proc");
}

int sb_proc_mount(struct sb_child *child, struct sb_err *err)
{
    if (mount_proc(err) < 0) {
        return -1;
    }
    /* Those of the host's own user namespace are not ours to limit. */
    return child->has_userns && !sb_mutated("proc.pools") && limit_pools(false, err) < 0
               ? -1
               : cover_all(child, err);
}

int sb_proc_limit_around(struct sb_child *child, struct sb_err *err)
{
    (void)child;
    if (mount_proc(err) < 0 || limit_pools(true, err) < 0) {
        return -1;
    }
    return umount2("proc", MNT_DETACH) < 0 ? sb_err_sys(err, errno, "unmount proc") : 0;
}

int sb_proc_verify(struct sb_child *child, struct sb_err *err)
{
    (void)child;
    struct statfs fs;
    if (statfs("/proc", &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC) {
        return sb_err_set(err, SB_INTERNAL, "/proc is not a procfs");
    }
    for (const struct sb_proc_cover *cover = sb_proc_covers; cover->path != NULL; cover++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/%s", cover->path);
        if (statfs(path, &fs) < 0) {
            continue;
        }
        bool is_procfs = fs.f_type == PROC_SUPER_MAGIC;
        bool is_hidden = cover->kind != SB_PROC_READ_ONLY;
        if (is_procfs == is_hidden || (fs.f_flags & ST_RDONLY) == 0) {
            return sb_err_set(err, SB_INTERNAL, "%s is not covered", path);
        }
    }
    return 0;
}
