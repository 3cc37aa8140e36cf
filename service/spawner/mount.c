#include "service/spawner/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mutate.h"

int sb_mount_clone(int dirfd, const char *path, uint64_t attr, struct sb_err *err)
{
    /* Always the whole tree: the kernel refuses to clone a mount alone when that would uncover
     * what lies below mounts that came from a more privileged namespace. */
    SB_CLEANUP(sb_closep)
    int fd =
        open_tree(dirfd, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_EMPTY_PATH);
    if (fd < 0) {
        return sb_err_sys(err, errno, "clone mount %s", path);
    }
    struct mount_attr set = {.attr_set = attr, .propagation = MS_PRIVATE};
    if (mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &set, sizeof set) < 0) {
        return sb_err_sys(err, errno, "set attributes of mount %s", path);
    }
    return SB_STEAL_FD(fd);
}

int sb_mount_attach(int tree_fd, int dirfd, const char *target, struct sb_err *err)
{
    if (move_mount(tree_fd, "", dirfd, target, MOVE_MOUNT_F_EMPTY_PATH) < 0) {
        return sb_err_sys(err, errno, "mount at %s", target);
    }
    return 0;
}

int sb_mount_bind(const char *source, const char *target, struct sb_err *err)
{
    return mount(source, target, NULL, MS_BIND | MS_REC, NULL) < 0
               ? sb_err_sys(err, errno, "bind %s", source)
               : 0;
}

/* Sets "key=value" pairs one by one. */
static int configure(int fs, const char *options, struct sb_err *err)
{
    char text[256];
    if (strlen(options) >= sizeof text) {
        return sb_err_set(err, SB_INTERNAL, "options of tmpfs are too long");
    }
    memcpy(text, options, strlen(options) + 1);
    char *rest = text;
    for (char *pair; (pair = strsep(&rest, ",")) != NULL;) {
        char *value = strchr(pair, '=');
        if (value == NULL) {
            return sb_err_set(err, SB_INTERNAL, "option of tmpfs without value: %s", pair);
        }
        *value++ = '\0';
        if (fsconfig(fs, FSCONFIG_SET_STRING, pair, value, 0) < 0) {
            return sb_err_sys(err, errno, "tmpfs %s=%s", pair, value);
        }
    }
    return 0;
}

int sb_mount_new_tmpfs(const char *options, struct sb_err *err)
{
    SB_CLEANUP(sb_closep) int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
    if (fs < 0) {
        return sb_err_sys(err, errno, "open tmpfs");
    }
    if (configure(fs, options, err) < 0) {
        return -1;
    }
    if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
        return sb_err_sys(err, errno, "create tmpfs");
    }
    int fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    return fd < 0 ? sb_err_sys(err, errno, "mount tmpfs") : fd;
}

int sb_mount_freeze_tmpfs(int mount_fd, struct sb_err *err)
{
    SB_CLEANUP(sb_closep) int fs = fspick(mount_fd, "", FSPICK_EMPTY_PATH | FSPICK_CLOEXEC);
    if (fs < 0 || fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0 ||
        fsconfig(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0) {
        return errno == EBUSY ? sb_err_set(err, SB_PRECONDITION, "somebody can still write to it")
                              : sb_err_sys(err, errno, "make a tmpfs read-only");
    }
    return 0;
}

int sb_mount_limit_tmpfs(int mount_fd, uint64_t inodes, struct sb_err *err)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)inodes);
    SB_CLEANUP(sb_closep) int fs = fspick(mount_fd, "", FSPICK_EMPTY_PATH | FSPICK_CLOEXEC);
    if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "nr_inodes", text, 0) < 0 ||
        fsconfig(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0) {
        return sb_err_sys(err, errno, "bound the files of a tmpfs");
    }
    return 0;
}

int sb_mount_tmpfs(const char *target, const struct sb_mount_space *space, struct sb_err *err)
{
    char options[128];
    (void)snprintf(options, sizeof options, "size=%llu,nr_inodes=%llu,mode=%o,uid=%u,gid=%u",
                   sb_mutated("space.bytes") ? 0ULL : (unsigned long long)space->bytes,
                   sb_mutated("space.inodes") ? 0ULL : (unsigned long long)space->inodes,
                   space->mode, space->uid, space->gid);
    unsigned long flags = (sb_mutated("space.nosuid") ? 0UL : MS_NOSUID) |
                          (sb_mutated("space.nodev") ? 0UL : MS_NODEV);
    if (mount("tmpfs", target, "tmpfs", flags, options) < 0) {
        return sb_err_sys(err, errno, "mount tmpfs at %s", target);
    }
    return 0;
}

int sb_mount_add_attr(int dirfd, const char *path, uint64_t attr, struct sb_err *err)
{
    struct mount_attr set = {.attr_set = attr};
    if (mount_setattr(dirfd, path, AT_EMPTY_PATH, &set, sizeof set) < 0) {
        return sb_err_sys(err, errno, "set attributes of mount %s", path);
    }
    return 0;
}

int sb_mount_add_attr_below(
    int dirfd, const char *path, uint64_t attr, uint64_t except, struct sb_err *err)
{
    struct mount_attr all = {.attr_set = attr};
    struct mount_attr one = {.attr_clr = except};
    if (mount_setattr(dirfd, path, AT_EMPTY_PATH | AT_RECURSIVE, &all, sizeof all) < 0 ||
        mount_setattr(dirfd, path, AT_EMPTY_PATH, &one, sizeof one) < 0) {
        return sb_err_sys(err, errno, "set attributes of mounts");
    }
    return 0;
}
