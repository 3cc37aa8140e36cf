#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { SB_IODEV_MAX = 8 };

/** Disks, each once. */
struct sb_iodevs {
    dev_t disks[SB_IODEV_MAX];
    size_t n;
};

/** Adds the disk that the file system of an open file lies on: of a partition its whole disk, as
 *  limits of input and output are kept by disk. A file system in memory has none, and needs none.
 *  False: it lies on no block device that the kernel names (overlay, network, btrfs), there are too
 *  many disks, or the descriptor is none. */
bool sb_iodev_add(struct sb_iodevs *devs, int fd);
