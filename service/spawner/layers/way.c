#include "service/spawner/layers/way.h"

/* Theory of operation. Nothing is believed of versions. What sandboxes on an overlay need is a
 * kernel that lets a user namespace make one, whose tmpfs keeps the mark by which a directory hides
 * the one below it (user attributes: Linux 6.6; before it the overlay can be mounted, and then "rm
 * -r" fails), and that maps the ids of a tmpfs (Linux 6.3), as each sandbox has ids of its own. So
 * a directory is removed and made again on one, and an id is mapped. What copying needs is what
 * every snapshot needs: a tmpfs that nobody can write to any more. */

#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/spawner/host.h"
#include "service/spawner/idmap.h"
#include "service/spawner/ids.h"
#include "service/spawner/mount.h"
#include "service/spawner/probe.h"

#define SMALL "size=64k,nr_inodes=16"

static int try_read_only(struct sb_err *err)
{
    SB_CLEANUP(sb_closep) int fd = sb_mount_new_tmpfs(SMALL, err);
    return fd < 0 ? -1 : sb_mount_freeze_tmpfs(fd, err);
}

static int try_ids(const struct sb_host *host, struct sb_err *err)
{
    unsigned other = host->is_root ? SB_IDS_FIRST : 1;
    const struct sb_idmap map = {.host_uid = other, .host_gid = other, .count = 1};
    if (!host->is_root && host->n_subids == 0) {
        return 0; /* all sandboxes have the same */
    }
    SB_CLEANUP(sb_closep) int fd = sb_mount_new_tmpfs(SMALL, err);
    int mapped = fd < 0 ? -1 : sb_idmap_apply(fd, &map, err);
    return mapped == 0 ? sb_err_set(err, SB_PRECONDITION,
                                    "this kernel cannot map the ids of a tmpfs: Linux 6.3")
                       : mapped;
}

enum sb_layers_way sb_layers_find_way(const struct sb_host *host, struct sb_err *ret_why)
{
    if (try_read_only(ret_why) < 0) {
        return SB_LAYERS_NONE;
    }
    if (host->copies_snapshots) {
        (void)sb_err_set(ret_why, SB_PRECONDITION, "the worker was started with --snapshots copy");
        return SB_LAYERS_COPY;
    }
    if (try_ids(host, ret_why) < 0 || sb_probe_overlay(host, ret_why) < 0) {
        return SB_LAYERS_COPY;
    }
    sb_err_clear(ret_why);
    return SB_LAYERS_OVERLAY;
}
