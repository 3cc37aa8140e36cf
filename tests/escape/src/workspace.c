/** The directory that is bound from the host: links out of it, and what is left in it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/escape/src/probe.h"

static enum sb_verdict symlink_out(struct sb_run *run)
{
    struct sb_found found = {0};
    size_t made = 0;
    for (const char *const *dir = sb_probe_dirs; *dir != NULL; dir++) {
        char path[128];
        sb_probe_path(path, sizeof(path), *dir, "sym");
        if (symlink(sb_probe_arg(run, "secret", "/"), path) < 0) {
            continue;
        }
        made++;
        if (sb_probe_shows_token(run, path)) {
            sb_probe_found(&found, "%s", path);
        }
        unlink(path);
    }
    if (made == 0) {
        return sb_probe_held(run, "no directory to put a link into");
    }
    return sb_probe_by_found(run, &found, "led to the secret", "links stay inside the root");
}

/** A second name of a host file in the workspace outlives the sandbox and may be chowned by it. */
static enum sb_verdict hardlink_out(struct sb_run *run)
{
    struct sb_found found = {0};
    const char *const targets[] = {sb_probe_arg(run, "secret", "/none"), "/etc/passwd",
                                   "/usr/bin/env", run->self};
    for (size_t i = 0; i < SB_COUNT(targets); i++) {
        for (const char *const *dir = sb_probe_dirs; *dir != NULL; dir++) {
            char path[128];
            sb_probe_path(path, sizeof(path), *dir, "hard");
            if (link(targets[i], path) == 0) {
                unlink(path);
                sb_probe_found(&found, "%s in %s", targets[i], *dir);
            }
        }
    }
    return sb_probe_by_found(run, &found, "linked", "no file from outside can be linked");
}

/** Descriptors of /proc/self/fd give link() a file whose own path is out of the mount. */
static enum sb_verdict hardlink_by_descriptor(struct sb_run *run)
{
    struct sb_found found = {0};
    int fd = open(run->self, O_PATH | O_CLOEXEC);
    char source[64];
    (void)snprintf(source, sizeof(source), "/proc/self/fd/%d", fd);
    for (const char *const *dir = sb_probe_dirs; *dir != NULL; dir++) {
        char path[128];
        sb_probe_path(path, sizeof(path), *dir, "hardfd");
        if (linkat(AT_FDCWD, source, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0 ||
            linkat(fd, "", AT_FDCWD, path, AT_EMPTY_PATH) == 0) {
            unlink(path);
            sb_probe_found(&found, "%s", *dir);
        }
    }
    close(fd);
    return sb_probe_by_found(run, &found, "the program itself was linked into",
                             "no file from outside can be linked");
}

/** The runner looks at the owner outside. */
static enum sb_verdict workspace_owner(struct sb_run *run)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "sbx-owner-%s", sb_probe_arg(run, "tag", "x"));
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0) {
        return sb_probe_held(run, "the workspace is not writable: %m");
    }
    int changed = fchown(fd, 0, 0);
    close(fd);
    return changed == 0 && getuid() != 0 ? sb_probe_leaked(run, "a file was given to uid 0")
                                         : sb_probe_held(run, "no foreign owner");
}

static bool sets_capability(const char *path)
{
    // struct vfs_cap_data, revision 2: effective, permitted all.
    static const unsigned value[] = {0x02000001, 0xffffffff, 0, 0xffffffff, 0};
    int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0755);
    if (fd < 0) {
        return false;
    }
    bool is_set = fsetxattr(fd, "security.capability", value, sizeof(value), 0) == 0;
    close(fd);
    unlink(path);
    return is_set;
}

static enum sb_verdict file_capability(struct sb_run *run)
{
    struct sb_found found = {0};
    for (const char *const *dir = sb_probe_dirs; *dir != NULL; dir++) {
        char path[128];
        sb_probe_path(path, sizeof(path), *dir, "cap");
        if (sets_capability(path)) {
            sb_probe_found(&found, "%s", *dir);
        }
    }
    return sb_probe_by_found(run, &found, "a file got capabilities in", "refused");
}

static const struct sb_probe probes[] = {
    {"symlink-out", "none", "a symlink to a host path resolves inside the root", symlink_out},
    {"hardlink-out", "none", "no host file gets a second name in a writable directory",
     hardlink_out},
    {"hardlink-by-descriptor", "none", "nor through /proc/self/fd or AT_EMPTY_PATH",
     hardlink_by_descriptor},
    {"workspace-owner", "none", "no file of the job belongs to another user outside",
     workspace_owner},
    {"file-capability", "none", "no file can be given capabilities", file_capability},
};
const struct sb_probe_class sb_probes_workspace = {"workspace", probes, SB_COUNT(probes)};
