#include "service/spawner/dev.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/err.h"
#include "base/mutate.h"
#include "service/spawner/child.h"
#include "service/spawner/mount.h"
#include "service/spawner/rootfs.h"

/* Not MOUNT_ATTR_NODEV, as the node is the point of the mount. */
#define NODE_ATTR (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)

static const struct {
    const char *name;
    unsigned major;
    unsigned minor;
} nodes[] = {
    {"null", 1, 3},   {"zero", 1, 5},    {"full", 1, 7},
    {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
};

static const struct {
    const char *text;
    const char *path;
} links[] = {
    {"/proc/self/fd", "dev/fd"},       {"/proc/self/fd/0", "dev/stdin"},
    {"/proc/self/fd/1", "dev/stdout"}, {"/proc/self/fd/2", "dev/stderr"},
    {"pts/ptmx", "dev/ptmx"},
};

static int add_node(size_t i, struct sb_err *err)
{
    char host[32];
    struct stat st;
    (void)snprintf(host, sizeof host, "/dev/%s", nodes[i].name);
    const char *inside = host + 1;
    if (sb_rootfs_touch(inside, err) < 0 || sb_mount_bind(host, inside, err) < 0 ||
        sb_mount_add_attr(AT_FDCWD, inside, NODE_ATTR, err) < 0) {
        return -1;
    }
    if (lstat(inside, &st) < 0) {
        return sb_err_sys(err, errno, "look at %s", inside);
    }
    if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(nodes[i].major, nodes[i].minor)) {
        return sb_err_set(err, SB_PRECONDITION, "%s is not the device %u:%u", host, nodes[i].major,
                          nodes[i].minor);
    }
    return 0;
}

int sb_dev_make(struct sb_child *child, struct sb_err *err)
{
    if (sb_mutated("dev.own")) {
        return sb_mount_bind("/dev", "dev", err);
    }
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        if (add_node(i, err) < 0) {
            return -1;
        }
    }
    /* max: ptys come from one pool of the whole host. */
    const char *options = sb_mutated("dev.ptys") ? "newinstance,ptmxmode=0666,mode=0620"
                          : child->has_tty_group
                              ? "newinstance,ptmxmode=0666,mode=0620,gid=5,max=64"
                              : "newinstance,ptmxmode=0666,mode=0620,max=64";
    if (mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, options) < 0) {
        return sb_err_sys(err, errno, "mount devpts");
    }
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        if (sb_rootfs_symlink(links[i].text, links[i].path, err) < 0) {
            return -1;
        }
    }
    return 0;
}
