/** Files of the host: by name, by detour, by chroot, and places both sides might share. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/escape/src/probe.h"

static enum sb_verdict host_file_write(struct sb_run *run)
{
    const char *path = sb_probe_arg(run, "marker", "/var/tmp/sbx-marker");
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) {
        return sb_probe_held(run, "%s: %m", path);
    }
    close(fd);
    return sb_probe_held(run, "%s was written inside and is not outside", path);
}

static const char *const sensitive[] = {
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/ssh",
    "/etc/ssl/private",
    "/etc/kubernetes",
    "/root",
    "/home",
    "/boot",
    "/host",
    "/mnt",
    "/media",
    "/var/lib/dpkg",
    "/var/lib/docker",
    "/var/lib/kubelet",
    "/var/lib/private",
    "/var/log",
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/run/systemd",
    "/run/dbus/system_bus_socket",
    "/run/user",
    "/run/aisbx",
    "/run/secrets",
    "/proc/1/root/etc/shadow",
    "/proc/1/cwd/etc/shadow",
};

static enum sb_verdict sensitive_paths(struct sb_run *run)
{
    struct sb_found found = {0};
    for (size_t i = 0; i < SB_COUNT(sensitive); i++) {
        struct stat st;
        if (stat(sensitive[i], &st) < 0) {
            continue;
        }
        bool is_reached = S_ISSOCK(st.st_mode) ? access(sensitive[i], W_OK) == 0
                                               : sb_probe_gives_something(sensitive[i]);
        if (is_reached) {
            sb_probe_found(&found, "%s", sensitive[i]);
        }
    }
    return sb_probe_by_found(run, &found, "in reach", "no sensitive path is in reach");
}

static int walk_up_and_look(const void *arg)
{
    const struct sb_run *run = arg;
    const char *secret = sb_probe_arg(run, "secret", "/");
    for (int i = 0; i < 64 && chdir("..") == 0; i++) {
    }
    return sb_probe_shows_token(run, secret + 1);
}

static void try_detour(const struct sb_run *run, struct sb_found *found, const char *prefix)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s%s", prefix, sb_probe_arg(run, "secret", "/"));
    if (sb_probe_shows_token(run, path)) {
        sb_probe_found(found, "%s", prefix);
    }
}

static enum sb_verdict secret_by_detour(struct sb_run *run)
{
    struct sb_found found = {0};
    static const char *const prefixes[] = {
        "/proc/self/root",
        "/proc/self/cwd/../../../../../../../..",
        "/proc/1/root",
        "/proc/1/cwd/../../../../../../../..",
        "/proc/thread-self/root/../../..",
        "/.old",
        "/oldroot",
        "/newroot",
        "/put_old",
    };
    for (size_t i = 0; i < SB_COUNT(prefixes); i++) {
        try_detour(run, &found, prefixes[i]);
    }
    if (sb_probe_in_child(walk_up_and_look, run, 5) == 1) {
        sb_probe_found(&found, "walking up from the working directory");
    }
    return sb_probe_by_found(run, &found, "the secret is readable by", "no detour leads out");
}

static int escape_by_chroot(const void *arg)
{
    const struct sb_run *run = arg;
    char dir[64];
    sb_probe_path(dir, sizeof(dir), "/tmp", "root");
    mkdir(dir, 0700);
    if (chroot(dir) < 0) {
        rmdir(dir);
        return 0;
    }
    bool is_out = walk_up_and_look(run) == 1;
    rmdir(dir + 1); // the working directory is the real root now
    return is_out ? 2 : 1;
}

static enum sb_verdict chroot_walk(struct sb_run *run)
{
    switch (sb_probe_in_child(escape_by_chroot, run, 5)) {
    case 2:
        return sb_probe_leaked(run, "chroot and .. led to the secret");
    case 1:
        return sb_probe_leaked(run, "chroot is permitted (no way out found)");
    default:
        return sb_probe_held(run, "chroot is refused");
    }
}

static enum sb_verdict shared_directories(struct sb_run *run)
{
    struct sb_found found = {0};
    static const char *const dirs[] = {"/tmp", "/dev/shm", "/var/tmp", "/run", "/run/lock"};
    for (size_t i = 0; i < SB_COUNT(dirs); i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s/sbx-shared-%s", dirs[i],
                       sb_probe_arg(run, "tag", "x"));
        int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        if (fd >= 0) {
            close(fd);
            sb_probe_found(&found, "%s", dirs[i]);
        }
    }
    return sb_probe_held(run, "written inside: %s; none of it outside", found.text);
}

static enum sb_verdict shared_memory_directory(struct sb_run *run)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "/dev/shm/sbx-canary-%s", sb_probe_arg(run, "tag", "x"));
    return sb_probe_shows_token(run, path) ? sb_probe_leaked(run, "read %s", path)
                                           : sb_probe_held(run, "%s: %m", path);
}

static enum sb_verdict system_directories(struct sb_run *run)
{
    struct sb_found found = {0};
    static const char *const dirs[] = {"/",    "/usr",     "/usr/bin", "/usr/lib", "/usr/local/bin",
                                       "/etc", "/bin",     "/lib",     "/lib64",   "/opt",
                                       "/srv", "/var/lib", "/sys",     "/dev"};
    for (size_t i = 0; i < SB_COUNT(dirs); i++) {
        char path[128];
        sb_probe_path(path, sizeof(path), dirs[i], "w");
        int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        if (fd >= 0) {
            close(fd);
            unlink(path);
            sb_probe_found(&found, "%s", dirs[i]);
        }
    }
    return sb_probe_by_found(run, &found, "writable", "system directories are read-only");
}

/** What other programs of the sandbox, or the next sandbox, would believe. */
static enum sb_verdict system_files(struct sb_run *run)
{
    struct sb_found found = {0};
    static const char *const files[] = {
        "/etc/passwd",      "/etc/group",         "/etc/hosts", "/etc/resolv.conf",
        "/etc/ld.so.cache", "/etc/nsswitch.conf", "/bin/sh",    "/usr/bin/env"};
    for (size_t i = 0; i < SB_COUNT(files); i++) {
        if (access(files[i], W_OK) == 0) {
            sb_probe_found(&found, "%s", files[i]);
        }
    }
    return sb_probe_by_found(run, &found, "writable", "system files are read-only");
}

static const struct sb_probe probes[] = {
    {"host-file-write", "none", "what the job writes to a host path does not reach the host",
     host_file_write},
    {"sensitive-paths", "none", "secrets and control sockets of the host are out of reach",
     sensitive_paths},
    {"secret-by-detour", "none", "no link of /proc and no .. leads out of the root",
     secret_by_detour},
    {"chroot-walk", "none", "chroot is refused", chroot_walk},
    {"shared-directories", "none", "/tmp, /dev/shm and /run are the sandbox's own",
     shared_directories},
    {"shared-memory-directory", "none", "files in the host's /dev/shm are out of reach",
     shared_memory_directory},
    {"system-directories", "none", "no system directory is writable", system_directories},
    {"system-files", "none", "no system file is writable", system_files},
};
const struct sb_probe_class sb_probes_files = {"files", probes, SB_COUNT(probes)};
