/** Mounting, by the old calls and the new, and what the mounts that are there permit. */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/escape/src/probe.h"

static int mount_something(const void *arg)
{
    const char *dir = arg;
    int worked = 0;
    if (mount("none", dir, "tmpfs", 0, "size=64k") == 0) {
        worked |= 1;
        umount2(dir, MNT_DETACH);
    }
    if (mount("/", dir, NULL, MS_BIND, NULL) == 0) {
        worked |= 2;
        umount2(dir, MNT_DETACH);
    }
    if (mount("proc", dir, "proc", 0, NULL) == 0) {
        worked |= 4;
        umount2(dir, MNT_DETACH);
    }
    return worked;
}

static int mount_in_userns(const void *arg)
{
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ? 0 : mount_something(arg);
}

static enum sb_verdict mount_old(struct sb_run *run)
{
    struct sb_found found = {0};
    char dir[64];
    sb_probe_path(dir, sizeof(dir), "/tmp", "mount");
    mkdir(dir, 0700);
    int here = sb_probe_in_child(mount_something, dir, 5);
    int inside = sb_probe_in_child(mount_in_userns, dir, 5);
    rmdir(dir);
    if (here > 0) {
        sb_probe_found(&found, "mask %d", here);
    }
    if (inside > 0) {
        sb_probe_found(&found, "mask %d in a user namespace", inside);
    }
    return sb_probe_by_found(run, &found, "mounted (1 tmpfs, 2 bind, 4 proc)", "mount is refused");
}

/** Raw numbers: they are the same on every machine, and a libc may not know them yet. */
static int use_new_api(const void *arg)
{
    (void)arg;
    struct mount_attr attr = {0};
    int worked = 0;
    worked |= syscall(SYS_fsopen, "tmpfs", 0) >= 0 ? 1 : 0;
    worked |= syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE) >= 0 ? 2 : 0;
    worked |= syscall(SYS_fspick, AT_FDCWD, "/", 0) >= 0 ? 4 : 0;
    worked |= syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &attr, sizeof(attr)) == 0 ? 8 : 0;
    syscall(SYS_move_mount, -1, "", -1, "", 0);
    worked |= sb_probe_is_refusal(errno) ? 0 : 16;
    return worked;
}

static int use_new_api_in_userns(const void *arg)
{
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ? 0 : use_new_api(arg);
}

static enum sb_verdict mount_new(struct sb_run *run)
{
    struct sb_found found = {0};
    int here = sb_probe_in_child(use_new_api, NULL, 5);
    int inside = sb_probe_in_child(use_new_api_in_userns, NULL, 5);
    if (here > 0) {
        sb_probe_found(&found, "mask %d", here);
    }
    if (inside > 0) {
        sb_probe_found(&found, "mask %d in a user namespace", inside);
    }
    return sb_probe_by_found(
        run, &found, "worked (1 fsopen, 2 open_tree, 4 fspick, 8 mount_setattr, 16 move_mount)",
        "the new mount calls are refused");
}

static int take_apart(const void *arg)
{
    (void)arg;
    int worked = 0;
    worked |= umount2("/sbx-none", MNT_DETACH) == 0 || !sb_probe_is_refusal(errno) ? 1 : 0;
    worked |= syscall(SYS_pivot_root, "/sbx-none", "/sbx-none") == 0 || !sb_probe_is_refusal(errno)
                  ? 2
                  : 0;
    return worked;
}

static enum sb_verdict unmount(struct sb_run *run)
{
    int worked = sb_probe_in_child(take_apart, NULL, 5);
    return worked == 0 ? sb_probe_held(run, "umount2 and pivot_root are refused")
                       : sb_probe_leaked(run, "mask %d (1 umount2, 2 pivot_root)", worked);
}

/** release_agent of a fresh hierarchy runs a program as root of the host. It is never written. */
static int mount_cgroup(const void *arg)
{
    const char *dir = arg;
    static const char *const options[] = {"rdma", "misc", "memory", "pids", "none,name=sbx"};
    for (size_t i = 0; i < SB_COUNT(options); i++) {
        if (mount("cgroup", dir, "cgroup", 0, options[i]) == 0) {
            char path[128];
            (void)snprintf(path, sizeof(path), "%s/release_agent", dir);
            int worked = sb_probe_opens(path, O_WRONLY) ? 2 : 1;
            umount2(dir, MNT_DETACH);
            return worked;
        }
    }
    return 0;
}

static int mount_cgroup_in_userns(const void *arg)
{
    return unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP) < 0 ? 0 : mount_cgroup(arg);
}

static enum sb_verdict cgroup_release_agent(struct sb_run *run)
{
    char dir[64];
    sb_probe_path(dir, sizeof(dir), "/tmp", "cgroup");
    mkdir(dir, 0700);
    int here = sb_probe_in_child(mount_cgroup, dir, 5);
    int inside = sb_probe_in_child(mount_cgroup_in_userns, dir, 5);
    rmdir(dir);
    return here > 0 || inside > 0
               ? sb_probe_leaked(run, "cgroup v1 mounted%s",
                                 here == 2 || inside == 2 ? ", release_agent writable" : "")
               : sb_probe_held(run, "no cgroup hierarchy can be mounted");
}

/** Calls @visit with each line of mountinfo. */
static bool for_each_mount(void (*visit)(const char *line, struct sb_found *found),
                           struct sb_found *found)
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    if (file == NULL) {
        return false;
    }
    char line[4096];
    while (fgets(line, sizeof(line), file) != NULL) {
        visit(line, found);
    }
    (void)fclose(file);
    return true;
}

static void visit_flags(const char *line, struct sb_found *found)
{
    char point[1024];
    char options[512];
    struct stat st;
    if (sscanf(line, "%*s %*s %*s %*s %1023s %511s", point, options) != 2 || stat(point, &st) < 0 ||
        !S_ISDIR(st.st_mode) || access(point, W_OK) < 0) {
        return;
    }
    bool is_devpts = strstr(line, " - devpts ") != NULL;
    bool is_safe =
        strstr(options, "nosuid") != NULL && (is_devpts || strstr(options, "nodev") != NULL);
    if (!is_safe) {
        sb_probe_found(found, "%.60s (%.40s)", point, options);
    }
}

static enum sb_verdict mount_flags(struct sb_run *run)
{
    struct sb_found found = {0};
    if (!for_each_mount(visit_flags, &found)) {
        return sb_probe_held(run, "no mountinfo");
    }
    return sb_probe_by_found(run, &found, "writable without nosuid,nodev",
                             "every writable mount is nosuid,nodev");
}

static void visit_propagation(const char *line, struct sb_found *found)
{
    char point[1024];
    const char *end = strstr(line, " - ");
    const char *tag = strstr(line, " shared:");
    tag = tag != NULL ? tag : strstr(line, " master:");
    if (end != NULL && tag != NULL && tag < end &&
        sscanf(line, "%*s %*s %*s %*s %1023s", point) == 1) {
        sb_probe_found(found, "%.60s%.12s", point, tag);
    }
}

static enum sb_verdict mount_propagation(struct sb_run *run)
{
    struct sb_found found = {0};
    if (!for_each_mount(visit_propagation, &found)) {
        return sb_probe_held(run, "no mountinfo");
    }
    return sb_probe_by_found(run, &found, "tied to the host", "every mount is private");
}

static void visit_suid_mounts(const char *line, struct sb_found *found)
{
    char point[1024];
    char options[512];
    if (sscanf(line, "%*s %*s %*s %*s %1023s %511s", point, options) == 2 &&
        strstr(options, "nosuid") == NULL) {
        sb_probe_found(found, "%.60s", point);
    }
}

static enum sb_verdict mount_nosuid(struct sb_run *run)
{
    struct sb_found found = {0};
    if (!for_each_mount(visit_suid_mounts, &found)) {
        return sb_probe_held(run, "no mountinfo");
    }
    return sb_probe_by_found(run, &found, "not nosuid", "every mount is nosuid");
}

static const struct sb_probe probes[] = {
    {"mount-old", "none", "mount(2) is refused", mount_old},
    {"mount-new", "none", "fsopen, open_tree, fspick, move_mount, mount_setattr are refused",
     mount_new},
    {"unmount", "none", "umount2 and pivot_root are refused", unmount},
    {"cgroup-release-agent", "none", "no release_agent is in reach", cgroup_release_agent},
    {"mount-flags", "none", "every writable mount is nosuid and nodev", mount_flags},
    {"mount-nosuid", "none", "every mount is nosuid, the read-only ones as well", mount_nosuid},
    {"mount-propagation", "none", "no mount is shared with the host or follows it",
     mount_propagation},
};
const struct sb_probe_class sb_probes_mounts = {"mounts", probes, SB_COUNT(probes)};
