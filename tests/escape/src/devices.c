/** Device nodes: those that are there, and those that could be made. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tests/escape/src/probe.h"

static const char *const harmless[] = {"null",    "zero", "full", "random",
                                       "urandom", "tty",  "ptmx", "console"};

static bool is_harmless(const char *name)
{
    for (size_t i = 0; i < SB_COUNT(harmless); i++) {
        if (strcmp(name, harmless[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_device(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode));
}

static void look_for_devices(const char *folder, struct sb_found *found)
{
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        char path[300];
        (void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (!is_harmless(entry->d_name) && is_device(path) && sb_probe_opens(path, O_RDONLY)) {
            sb_probe_found(found, "%s", path);
        }
    }
    closedir(dir);
}

static enum sb_verdict device_nodes(struct sb_run *run)
{
    struct sb_found found = {0};
    static const char *const dirs[] = {"/dev",        "/dev/net",   "/dev/dri",
                                       "/dev/mapper", "/dev/input", "/dev/vfio"};
    for (size_t i = 0; i < SB_COUNT(dirs); i++) {
        look_for_devices(dirs[i], &found);
    }
    return sb_probe_by_found(run, &found, "open", "only the standard nodes open");
}

/** /dev/null that is a file would keep what everyone writes to it. */
static enum sb_verdict device_null(struct sb_run *run)
{
    struct stat st;
    if (stat("/dev/null", &st) < 0) {
        return sb_probe_na(run, "no /dev/null");
    }
    bool is_null = S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
    return is_null ? sb_probe_held(run, "/dev/null is the device 1:3")
                   : sb_probe_leaked(run, "/dev/null is not the device 1:3");
}

static enum sb_verdict nodes_made(struct sb_run *run, mode_t type, dev_t device)
{
    struct sb_found found = {0};
    int error = 0;
    for (const char *const *dir = sb_probe_dirs; *dir != NULL; dir++) {
        char path[128];
        sb_probe_path(path, sizeof(path), *dir, "node");
        if (mknod(path, type | 0600, device) == 0) {
            bool opens = sb_probe_opens(path, O_RDONLY);
            unlink(path);
            sb_probe_found(&found, "%s%s", *dir, opens ? " (and opened)" : "");
        } else {
            error = errno;
        }
    }
    errno = error;
    return found.count > 0 ? sb_probe_by_found(run, &found, "made in", "")
                           : sb_probe_held(run, "mknod: %m");
}

static enum sb_verdict make_block_node(struct sb_run *run)
{
    unsigned major = 254;
    unsigned minor = 0;
    const char *disk = sb_probe_arg(run, "disk", "254:0");
    char *rest;
    major = (unsigned)strtoul(disk, &rest, 10);
    minor = *rest == ':' ? (unsigned)strtoul(rest + 1, NULL, 10) : 0;
    return nodes_made(run, S_IFBLK, makedev(major, minor));
}

static enum sb_verdict make_memory_node(struct sb_run *run)
{
    return nodes_made(run, S_IFCHR, makedev(1, 1));
}

/** Device 0:0 is overlayfs' whiteout and the one an unprivileged user may make. */
static enum sb_verdict make_whiteout(struct sb_run *run)
{
    return nodes_made(run, S_IFCHR, makedev(0, 0));
}

static const struct sb_probe probes[] = {
    {"device-nodes", "none", "only the standard device nodes can be opened", device_nodes},
    {"device-null", "none", "/dev/null is the null device", device_null},
    {"make-block-node", "none", "the host's disk cannot be made with mknod", make_block_node},
    {"make-memory-node", "none", "nor /dev/mem", make_memory_node},
    {"make-whiteout", "none", "nor a whiteout, which needs no privilege", make_whiteout},
};
const struct sb_probe_class sb_probes_devices = {"devices", probes, SB_COUNT(probes)};
