#pragma once
#include <stdbool.h>

struct sb_child;
struct sb_err;

/** System directories, as the host has them: a directory is bound, a symbolic link copied. Ended by
 *  a NULL path. */
extern const struct sb_rootfs_tree {
    const char *path; /* relative to both roots */
    bool in_system;
    bool in_minimal;
} sb_rootfs_trees[];

/** Where sb_rootfs_stage puts what another program then makes a root of. It covers the host's, in
 *  the child's mount namespace alone; every host has it. */
#define SB_ROOTFS_STAGE "/tmp"

/* Steps of the child that build its root file system, in this order. Theory of operation: rootfs.c.
 * Errors: by errno; the text names the path. */

/** Cuts mount propagation, mounts the new root and works in it from then on. */
int sb_rootfs_begin(struct sb_child *child, struct sb_err *err);
/** The same at SB_ROOTFS_STAGE, where it stays. */
int sb_rootfs_stage(struct sb_child *child, struct sb_err *err);
/** System directories. */
int sb_rootfs_system(struct sb_child *child, struct sb_err *err);
/** Makes all that is bound so far read-only, nosuid, nodev. */
int sb_rootfs_freeze(struct sb_child *child, struct sb_err *err);
/** /tmp, /dev/shm and /workspace. */
int sb_rootfs_space(struct sb_child *child, struct sb_err *err);
/** Host files and directories of the plan. */
int sb_rootfs_mounts(struct sb_child *child, struct sb_err *err);
/** Makes the new root the only one, read-only. */
int sb_rootfs_enter(struct sb_child *child, struct sb_err *err);
/** Goes to where the sandbox starts. */
int sb_rootfs_cwd(struct sb_child *child, struct sb_err *err);

/** Makes a directory of the new root; it may exist. Path relative to the new root. */
int sb_rootfs_mkdir(const char *path, unsigned mode, struct sb_err *err);
/** Makes an empty file to mount on; relative path. */
int sb_rootfs_touch(const char *path, struct sb_err *err);
/** Makes a file of the new root with that text; relative path. */
int sb_rootfs_write(const char *path, const char *text, struct sb_err *err);
/** Makes a symbolic link; relative path. */
int sb_rootfs_symlink(const char *text, const char *path, struct sb_err *err);
