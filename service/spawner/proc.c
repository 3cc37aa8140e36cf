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
#include "service/spawner/proc_list.h"
#include "service/spawner/rootfs.h"

#define COVER_ATTR (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

/* What covers: an empty file and an empty directory of the new root, which have no name once they
 * are bound. Nobody may open the file. It is not /dev/null, since a device on a read-only mount can
 * still be opened for writing. */
#define EMPTY_FILE SB_PROC_EMPTY_FILE
#define EMPTY_DIR  SB_PROC_EMPTY_DIR

/* procfs has short names; a longer one stops the sandbox. */
enum { PATH_SIZE = 80 };

static int name_path(char *ret_path, const char *proc, const char *name, struct sb_err *err)
{
    int len = snprintf(ret_path, PATH_SIZE, "%s/%s", proc, name);
    return len < 0 || len >= PATH_SIZE ? sb_err_set(err, SB_INTERNAL, "%s has a long name", proc)
                                       : 0;
}

/* A mount of the wrong kind would be refused, and have the kernel wait for all processors (RCU). */
static int cover(void *arg, const char *name, bool is_dir, struct sb_err *err)
{
    char path[PATH_SIZE];
    (void)arg;
    if (name_path(path, "proc", name, err) < 0) {
        return -1;
    }
    return mount(is_dir ? EMPTY_DIR : EMPTY_FILE, path, NULL, MS_BIND, NULL) < 0
               ? sb_err_sys(err, errno, "cover %s", path)
               : 0;
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
    if ((!sb_mutated("proc.hide") && sb_proc_each_hidden("proc", cover, NULL, err) < 0) ||
        (!sb_mutated("proc.read-only") && sb_mount_bind("proc/sys", "proc/sys", err) < 0)) {
        return -1;
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

/* Who has no login id in the kernel's audit log may take any of its user namespace. Of the host's
 * that could be anybody's; once it has one, that takes a capability. */
static int take_login_id(const struct sb_child *child, struct sb_err *err)
{
    char id[16];
    int len = snprintf(id, sizeof id, "%u", child->job_uid);
    SB_CLEANUP(sb_closep) int fd = open("proc/self/loginuid", O_WRONLY | O_CLOEXEC);
    bool is_done = (fd < 0 && errno == ENOENT) || (fd >= 0 && write(fd, id, (size_t)len) == len);
    return is_done || errno == EPERM /* it has one */ ? 0
                                                      : sb_err_sys(err, errno, "set a login id");
}

int sb_proc_mount(struct sb_child *child, struct sb_err *err)
{
    if (mount_proc(err) < 0 || (!child->has_userns && take_login_id(child, err) < 0)) {
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

static int verify(const char *path, bool is_hidden, struct sb_err *err)
{
    struct statfs fs;
    if (statfs(path, &fs) < 0) {
        return sb_err_sys(err, errno, "look at %s", path);
    }
    bool is_procfs = fs.f_type == PROC_SUPER_MAGIC;
    return is_procfs == is_hidden || (fs.f_flags & ST_RDONLY) == 0
               ? sb_err_set(err, SB_INTERNAL, "%s is not covered", path)
               : 0;
}

static int verify_hidden(void *arg, const char *name, bool is_dir, struct sb_err *err)
{
    char path[PATH_SIZE];
    (void)arg;
    (void)is_dir;
    return name_path(path, "/proc", name, err) < 0 ? -1 : verify(path, true, err);
}

int sb_proc_verify(struct sb_child *child, struct sb_err *err)
{
    (void)child;
    struct statfs fs;
    if (statfs("/proc", &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC) {
        return sb_err_set(err, SB_INTERNAL, "/proc is not a procfs");
    }
    return verify("/proc/sys", false, err) < 0
               ? -1
               : sb_proc_each_hidden("/proc", verify_hidden, NULL, err);
}
