#include "service/spawner/iodev.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"

/* "254:1" of a partition becomes "254:0". Without a /sys it stays. */
static dev_t whole_disk(dev_t dev)
{
    char path[96];
    char text[32] = {0};
    unsigned disk_major = 0;
    unsigned disk_minor = 0;
    (void)snprintf(path, sizeof path, "/sys/dev/block/%u:%u/partition", major(dev), minor(dev));
    if (access(path, F_OK) < 0) {
        return dev;
    }
    (void)snprintf(path, sizeof path, "/sys/dev/block/%u:%u/../dev", major(dev), minor(dev));
    SB_CLEANUP(sb_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof text - 1) <= 0 ||
        sscanf(text, "%u:%u", &disk_major, &disk_minor) != 2) { /* NOLINT(cert-err34-c) */
        return dev;
    }
    return makedev(disk_major, disk_minor);
}

bool sb_iodev_add(struct sb_iodevs *devs, int fd)
{
    struct stat st;
    struct statfs fs;
    if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0) {
        return false;
    }
    if (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC) {
        return true;
    }
    if (major(st.st_dev) == 0) {
        return false;
    }
    dev_t dev = whole_disk(st.st_dev);
    for (size_t i = 0; i < devs->n; i++) {
        if (devs->disks[i] == dev) {
            return true;
        }
    }
    if (devs->n == SB_IODEV_MAX) {
        return false;
    }
    devs->disks[devs->n++] = dev;
    return true;
}
