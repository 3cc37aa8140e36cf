#pragma once
#include <stdbool.h>
#include <stdint.h>

struct sb_err;

/* Mounts by descriptor (the mount API of Linux 5.2 and 5.12). All calls are safe in a cloned child:
 * they neither allocate nor log. Errors: by errno; the text names the path. */

/** A detached copy of the mount tree at @path, or at @dirfd itself when path is "": private, with
 *  @attr (MOUNT_ATTR_*) added to every mount in it. Returns the descriptor, owned by the caller. */
int sb_mount_clone(int dirfd, const char *path, uint64_t attr, struct sb_err *err);

/** Puts a detached mount at @target, which exists. @tree_fd stays open. */
int sb_mount_attach(int tree_fd, int dirfd, const char *target, struct sb_err *err);

/** Binds the tree at @source to @target, relative to the working directory, with the attributes
 *  it has. One call of the kernel, where clone and attach are four. */
int sb_mount_bind(const char *source, const char *target, struct sb_err *err);

/** A new tmpfs that is not attached anywhere, nosuid and nodev.
 *  @options  "size=..,nr_inodes=..": pairs parted by commas, at most 256 bytes. */
int sb_mount_new_tmpfs(const char *options, struct sb_err *err);

/** Makes the file system of a tmpfs read-only, not a mount of it: then no descriptor and no mapping
 *  that anybody kept can write. Errors: SB_PRECONDITION: somebody can still write to it; by errno.
 */
int sb_mount_freeze_tmpfs(int mount_fd, struct sb_err *err);

/** Bounds the files of a tmpfs anew. Errors: by errno; EINVAL: it has more. */
int sb_mount_limit_tmpfs(int mount_fd, uint64_t inodes, struct sb_err *err);

/** A writable tmpfs. */
struct sb_mount_space {
    uint64_t bytes;
    uint64_t inodes;
    unsigned mode; /* of its root directory, as the next */
    unsigned uid;
    unsigned gid;
};

/** Mounts one at @target, relative to the working directory: nosuid, nodev, bounded. */
int sb_mount_tmpfs(const char *target, const struct sb_mount_space *space, struct sb_err *err);

/** Adds @attr to the mount whose root is @path. */
int sb_mount_add_attr(int dirfd, const char *path, uint64_t attr, struct sb_err *err);

/** Adds @attr to the mount whose root is @path ("": @dirfd itself) and to all below it, then takes
 *  @except from that one itself. */
int sb_mount_add_attr_below(
    int dirfd, const char *path, uint64_t attr, uint64_t except, struct sb_err *err);
