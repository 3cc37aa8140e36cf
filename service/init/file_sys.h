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
