#include "service/spawner/idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/spawner/ids.h"
#include "service/spawner/mount.h"
#include "service/spawner/userns.h"

/* A user namespace whose only purpose is its map. */
static int open_map(const struct sb_idmap *map, struct sb_err *err)
{
    const struct sb_userns_map ids = {
        .inside_uid = map->disk_uid,
        .outside_uid = map->host_uid,
        .inside_gid = map->disk_gid,
        .outside_gid = map->host_gid,
        .count = map->count,
        .has_setgroups = true,
        .others = map->shows_others ? SB_IDS_FIRST : 0,
    };
    return sb_userns_open(&ids, err);
}

int sb_idmap_apply(int tree_fd, const struct sb_idmap *map, struct sb_err *err)
{
    SB_CLEANUP(sb_closep) int userns_fd = open_map(map, err);
    if (userns_fd < 0) {
        return sb_err_wrap(err, "map ids of a mount");
    }
    struct mount_attr set = {
        .attr_set = MOUNT_ATTR_IDMAP,
        .userns_fd = (unsigned)userns_fd,
    };
    if (mount_setattr(tree_fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &set, sizeof set) == 0) {
        return 1;
    }
    /* EINVAL: the file system; EPERM: mapped already, or not ours to map. */
    if (errno == EINVAL || errno == EPERM || errno == ENOSYS) {
        return 0;
    }
    return sb_err_sys(err, errno, "map ids of a mount");
}

bool sb_idmap_works(void)
{
    struct sb_err err;
    struct sb_idmap map = {.host_uid = SB_IDS_FIRST, .host_gid = SB_IDS_FIRST, .count = 1};
    SB_CLEANUP(sb_closep) int fd = sb_mount_new_tmpfs("size=64k,nr_inodes=16", &err);
    return fd >= 0 && sb_idmap_apply(fd, &map, &err) == 1;
}
