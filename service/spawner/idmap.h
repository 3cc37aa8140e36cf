#pragma once
#include <stdbool.h>
#include <stdint.h>

struct sb_err;

/** Which owner on disk appears as which id. */
struct sb_idmap {
    uint32_t disk_uid;
    uint32_t disk_gid;
    uint32_t host_uid;
    uint32_t host_gid;
    uint32_t count; /* of both */
    bool
        shows_others; /* count 1: owners below SB_IDS_FIRST that are not mapped stay what they are
                         on disk; else the kernel lets nobody write to their files or remove them */
};

/** Maps the ids of a detached mount tree and of all mounts in it.
 *  Returns 1, or 0 when a file system in the tree has no support for it, or -1. */
int sb_idmap_apply(int tree_fd, const struct sb_idmap *map, struct sb_err *err);

/** True when the kernel maps the ids of a tmpfs. Root mode. */
bool sb_idmap_works(void);
