#pragma once
/** System calls of file helpers alone. Unlike those of sys.h they are not in the table of
 *  service/shared/floor.c: a profile that refuses them to its programs refuses them to helpers. */

#include "service/init/sys.h"

static inline long sb_sys_openat(int dir, const char *name, int flags, unsigned mode)
{
    return SB_SYS(__NR_openat, dir, SB_SYS_PTR(name), flags, mode, 0);
}

static inline long sb_sys_fstat(int fd, struct stat *ret_stat)
{
    return SB_SYS(__NR_newfstatat, fd, SB_SYS_PTR(""), SB_SYS_PTR(ret_stat), 0x1000, 0);
}

static inline long sb_sys_lstatat(int dir, const char *name, struct stat *ret_stat)
{
    return SB_SYS(__NR_newfstatat, dir, SB_SYS_PTR(name), SB_SYS_PTR(ret_stat), 0x100, 0);
}

static inline long sb_sys_readlinkat(int dir, const char *name, char *text, size_t len)
{
    return SB_SYS(__NR_readlinkat, dir, SB_SYS_PTR(name), SB_SYS_PTR(text), len, 0);
}

static inline long sb_sys_mkdirat(int dir, const char *name, unsigned mode)
{
    return SB_SYS(__NR_mkdirat, dir, SB_SYS_PTR(name), mode, 0, 0);
}

static inline long sb_sys_unlinkat(int dir, const char *name, int flags)
{
    return SB_SYS(__NR_unlinkat, dir, SB_SYS_PTR(name), flags, 0, 0);
}

static inline long
sb_sys_renameat(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    return SB_SYS(__NR_renameat2, from_dir, SB_SYS_PTR(from), to_dir, SB_SYS_PTR(to), flags);
}

static inline long sb_sys_linkat(int from_dir, const char *from, int to_dir, const char *to)
{
    return SB_SYS(__NR_linkat, from_dir, SB_SYS_PTR(from), to_dir, SB_SYS_PTR(to), 0);
}

static inline long sb_sys_fchmod(int fd, unsigned mode)
{
    return SB_SYS(__NR_fchmod, fd, mode, 0, 0, 0);
}

static inline long sb_sys_fchmodat(int dir, const char *name, unsigned mode)
{
    return SB_SYS(__NR_fchmodat, dir, SB_SYS_PTR(name), mode, 0, 0);
}

static inline long sb_sys_lseek(int fd, int64_t offset)
{
    return SB_SYS(__NR_lseek, fd, offset, 0, 0, 0);
}

enum { SB_SYS_SEEK_DATA = 3, SB_SYS_SEEK_HOLE = 4 };
static inline long sb_sys_seek(int fd, int64_t offset, int whence)
{
    return SB_SYS(__NR_lseek, fd, offset, whence, 0, 0);
}

static inline long sb_sys_ftruncate(int fd, int64_t size)
{
    return SB_SYS(__NR_ftruncate, fd, size, 0, 0, 0);
}

static inline long sb_sys_symlinkat(const char *target, int dir, const char *name)
{
    return SB_SYS(__NR_symlinkat, SB_SYS_PTR(target), dir, SB_SYS_PTR(name), 0, 0);
}

/* Both times; of a link itself. @name  NULL: of dir, a descriptor. */
static inline long sb_sys_utimensat(int dir, const char *name, const struct timespec times[2])
{
    int flags = name == NULL ? 0 : 0x100 /* AT_SYMLINK_NOFOLLOW */;
    return SB_SYS(__NR_utimensat, dir, SB_SYS_PTR(name), SB_SYS_PTR(times), flags, 0);
}

static inline long sb_sys_fchdir(int dir)
{
    return SB_SYS(__NR_fchdir, dir, 0, 0, 0, 0);
}

static inline long sb_sys_inotify(int flags)
{
    return SB_SYS(__NR_inotify_init1, flags, 0, 0, 0, 0);
}

static inline long sb_sys_inotify_add(int fd, const char *path, uint32_t mask)
{
    return SB_SYS(__NR_inotify_add_watch, fd, SB_SYS_PTR(path), mask, 0, 0);
}

static inline void sb_sys_inotify_remove(int fd, int watch)
{
    (void)SB_SYS(__NR_inotify_rm_watch, fd, watch, 0, 0, 0);
}

/* Zeroed memory, or -errno. */
static inline long sb_sys_memory(size_t size)
{
    return SB_SYS(__NR_mmap, 0, size, 3 /* PROT_READ | PROT_WRITE */,
                  0x22 /* MAP_PRIVATE | MAP_ANONYMOUS */, -1);
}

static inline uint64_t sb_sys_seconds(void)
{
    struct timespec now = {.tv_sec = 0};
    (void)SB_SYS(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, SB_SYS_PTR(&now), 0, 0, 0);
    return (uint64_t)now.tv_sec;
}
