/* IMPORT: an archive into a directory.
 *
 * Theory of operation. The archive is a stranger's, and so is what lies in the directory already.
 * So no path is ever given to the kernel: each entry is walked from the directory on, name by name,
 * without following a link, be it from the archive or there before; what ".." or "/" is in is
 * refused. A file is written beside its place and renamed, which replaces a link instead of writing
 * through it. Directories on the way to the last entry stay open (trail), and get their mode and
 * time when the archive leaves them, since what is made in them changes both.
 *
 * An entry that is refused is told, and its data is passed over. What concerns all of them (no
 * space, no memory) ends the import; what was made so far stays. */
#include <errno.h>
#include <fcntl.h>

#include "base/mutate.h"
#include "base/tar.h"
#include "service/init/file.h"
#include "service/init/file_sys.h"
#include "service/init/place.h"
#include "service/init/text.h"

enum {
    OWN = 0700, /* of a directory while it is filled */
    DIR_MODE = 0755,
    PERMISSIONS = 0777,
    DIR_PERMISSIONS = 01777,
    MAX_NAME = 256, /* with its NUL */
};

struct level {
    int fd; /* O_PATH */
    char name[MAX_NAME];
    int has_end; /* mode and time are to be set when it is left */
    uint32_t mode;
    struct timespec time;
};

struct import {
    const struct sb_file *file;
    int root;
    struct level trail[SB_FILE_MAX_DEPTH];
    int depth;
    uint64_t entries;
    uint64_t bytes;
    uint64_t refused;
    /* the regular file that is being written */
    struct sb_file_part part;
    struct sb_tar_entry entry;
    char path[SB_FILE_MAX_PATH]; /* of the entry, without "." and double slashes */
    char link[SB_FILE_MAX_PATH];
    const char *name; /* its last part */
    uint64_t position;
    struct sb_tar_reader reader;
    char data[SB_FILE_MAX_DATA];
};

/* What may go wrong is a why and an errno. */
struct wrong {
    unsigned why;
    long error;
};

static int refuse(struct import *import, const char *path, unsigned why, long error)
{
    struct sb_file_failed failed = {SB_FILE_REFUSED, (int32_t)-error, why, 0};
    sb_file_part_drop(&import->part);
    if (import->refused++ < SB_FILE_MAX_REFUSED) {
        sb_file_send(import->file, &failed, sizeof failed, path, sb_text_len(path));
    }
    return 1;
}

static _Noreturn void give_up(struct import *import, unsigned why, long error)
{
    sb_file_part_drop(&import->part);
    sb_file_fail_at(import->file, error, why, why == SB_FILE_WHY_TAR ? "" : import->path);
}

/* Some errors are of one entry, others will meet the next one as well. */
static int failed(struct import *import, unsigned why, long error)
{
    switch (why == SB_FILE_WHY_ERRNO ? error : 0) {
    case -ENOSPC:
    case -EDQUOT:
    case -EFBIG:
    case -ENOMEM:
    case -EIO:
    case -EROFS:
    case -EMFILE:
    case -ENFILE:
        give_up(import, why, error);
    default:
        return refuse(import, import->path, why, error);
    }
}

/* ---- names ---- */

/* "a//./b/" becomes "a/b". Returns 0, or why not. */
static unsigned clean(const char *path, char *out)
{
    char *at = out;
    if (path[0] == '/') {
        return SB_FILE_WHY_ABSOLUTE;
    }
    while (*path != '\0') {
        size_t len = 0;
        while (path[len] != '\0' && path[len] != '/') {
            len++;
        }
        if (len == 2 && path[0] == '.' && path[1] == '.' && !sb_mutated("import.dots")) {
            return SB_FILE_WHY_DOTS;
        }
        if (len > 0 && !(len == 1 && path[0] == '.')) {
            if (at != out) {
                *at++ = '/';
            }
            __builtin_memcpy(at, path, len);
            at += len;
        }
        path += len;
        while (*path == '/') {
            path++;
        }
    }
    *at = '\0';
    return 0;
}

/* The next name of a clean path. Returns what comes after it, or NULL: it is longer than one may
 * be. */
static const char *next(const char *path, char name[MAX_NAME])
{
    size_t len = 0;
    while (path[len] != '\0' && path[len] != '/') {
        if (len == MAX_NAME - 1) {
            return NULL;
        }
        name[len] = path[len];
        len++;
    }
    name[len] = '\0';
    return path[len] == '/' ? path + len + 1 : path + len;
}

static int is_same(const char *a, const char *b)
{
    while (*a == *b && *a != '\0') {
        a++;
        b++;
    }
    return *a == *b;
}

/* ---- directories ---- */

/* A directory and nothing that leads to one. Returns its descriptor, or -1 with *wrong. */
static int enter(int dir, const char *name, struct wrong *wrong)
{
    int follow = sb_mutated("import.links") ? 0 : O_NOFOLLOW;
    struct stat st = {.st_mode = 0};
    int fd = (int)sb_sys_openat(dir, name, O_PATH | follow | O_CLOEXEC, 0);
    long error = fd < 0 ? fd : sb_sys_fstat(fd, &st);
    if (error == 0 && S_ISDIR(st.st_mode)) {
        return fd;
    }
    *wrong = (struct wrong){error < 0             ? SB_FILE_WHY_ERRNO
                            : S_ISLNK(st.st_mode) ? SB_FILE_WHY_THROUGH
                                                  : SB_FILE_WHY_NO_DIR,
                            error < 0 ? error : -ENOTDIR};
    if (fd >= 0) {
        sb_sys_close(fd);
    }
    return -1;
}

static int here(const struct import *import)
{
    return import->depth == 0 ? import->root : import->trail[import->depth - 1].fd;
}

static void leave(struct import *import)
{
    struct level *level = &import->trail[--import->depth];
    sb_sys_close(level->fd);
    if (!level->has_end) {
        return;
    }
    int fd = sb_file_open_dir(here(import), level->name);
    if (fd >= 0) {
        const struct timespec times[2] = {level->time, level->time};
        (void)sb_sys_fchmod(fd, level->mode);
        (void)sb_sys_utimensat(fd, NULL, times);
        sb_sys_close(fd);
    }
}

/* One level further down. @mode  0: it has to be there. Returns 0, or 1 with *wrong. */
static int go_down(struct import *import, const char *name, uint32_t mode, struct wrong *wrong)
{
    if (import->depth == SB_FILE_MAX_DEPTH) {
        *wrong = (struct wrong){SB_FILE_WHY_LEVELS, -ELOOP};
        return 1;
    }
    long error = sb_sys_mkdirat(here(import), name, mode);
    if (error == 0) {
        error = sb_sys_fchmodat(here(import), name, mode); /* whatever the umask is */
    }
    if (error < 0 && error != -EEXIST) {
        *wrong = (struct wrong){SB_FILE_WHY_ERRNO, error};
        return 1;
    }
    int fd = enter(here(import), name, wrong);
    if (fd < 0) {
        return 1;
    }
    struct level *level = &import->trail[import->depth++];
    char *at = level->name;
    level->fd = fd;
    level->has_end = 0;
    sb_text_add(&at, level->name + sizeof level->name, name);
    return 0;
}

/* To the directory that the entry is in, which is made when it is missing. */
static int go_to_parent(struct import *import, struct wrong *wrong)
{
    const char *rest = import->path;
    int depth = 0;
    for (;;) {
        char name[MAX_NAME];
        const char *after = next(rest, name);
        if (after == NULL) {
            *wrong = (struct wrong){SB_FILE_WHY_ERRNO, -ENAMETOOLONG};
            return 1;
        }
        if (*after == '\0') {
            break;
        }
        if (depth == import->depth || !is_same(import->trail[depth].name, name)) {
            while (import->depth > depth) {
                leave(import);
            }
            if (go_down(import, name, DIR_MODE, wrong) != 0) {
                return 1;
            }
        }
        depth++;
        rest = after;
    }
    import->name = rest;
    while (import->depth > depth) {
        leave(import);
    }
    return 0;
}

/* ---- entries ---- */

static int take_dir(struct import *import)
{
    struct wrong wrong;
    if (go_down(import, import->name, OWN, &wrong) != 0) {
        return failed(import, wrong.why, wrong.error);
    }
    struct level *level = &import->trail[import->depth - 1];
    level->has_end = 1;
    level->mode = import->entry.mode & DIR_PERMISSIONS;
    level->time.tv_sec = import->entry.mtime_s;
    level->time.tv_nsec = import->entry.mtime_ns;
    return 0;
}

static int take_file(struct import *import)
{
    long error = sb_file_part_open(&import->part, here(import));
    import->position = 0;
    return error < 0 ? failed(import, 0, error) : 0;
}

static long make_symlink(const struct sb_file_part *part, void *ctx)
{
    struct import *import = ctx;
    return sb_sys_symlinkat(import->entry.link, part->dir, part->name);
}

static int take_symlink(struct import *import)
{
    const struct timespec time = {.tv_sec = import->entry.mtime_s,
                                  .tv_nsec = import->entry.mtime_ns};
    const struct timespec times[2] = {time, time};
    long error = sb_file_part_new(&import->part, here(import), make_symlink, import);
    if (error == 0) {
        (void)sb_sys_utimensat(import->part.dir, import->part.name, times);
        error = sb_file_part_name(&import->part, import->part.dir, import->name);
    }
    if (error < 0) {
        return failed(import, 0, error);
    }
    import->part.name[0] = '\0';
    return 0;
}

/* What a hard link is to, and where. */
struct other {
    int dir;
    char name[MAX_NAME];
};

static long make_link(const struct sb_file_part *part, void *ctx)
{
    const struct other *other = ctx;
    return sb_sys_linkat(other->dir, other->name, part->dir, part->name);
}

/* Walks to a regular file below the directory. Returns 0, or 1 with *wrong. */
static int find_other(struct import *import, struct other *other, struct wrong *wrong)
{
    struct stat st = {.st_mode = 0};
    const char *rest = import->link;
    int dir = import->root;
    for (;;) {
        const char *after = next(rest, other->name);
        if (after == NULL) {
            *wrong = (struct wrong){SB_FILE_WHY_ERRNO, -ENAMETOOLONG};
            break;
        }
        if (*after == '\0') {
            other->dir = dir;
            if (other->name[0] != '\0' && sb_sys_lstatat(dir, other->name, &st) == 0 &&
                S_ISREG(st.st_mode)) {
                return 0;
            }
            *wrong = (struct wrong){SB_FILE_WHY_HARDLINK, -ENOENT};
            break;
        }
        int inner = enter(dir, other->name, wrong);
        if (dir != import->root) {
            sb_sys_close(dir);
        }
        dir = inner;
        if (inner < 0) {
            return 1;
        }
        rest = after;
    }
    if (dir != import->root) {
        sb_sys_close(dir);
    }
    return 1;
}

static int take_hardlink(struct import *import)
{
    struct wrong wrong = {0, 0};
    struct other other;
    wrong.why = clean(import->entry.link, import->link);
    if (wrong.why != 0) {
        return failed(import, SB_FILE_WHY_HARDLINK, -EINVAL);
    }
    if (find_other(import, &other, &wrong) != 0) {
        return failed(import, wrong.why, wrong.error);
    }
    long error = sb_file_part_new(&import->part, here(import), make_link, &other);
    if (other.dir != import->root) {
        sb_sys_close(other.dir);
    }
    if (error == 0) {
        error = sb_file_part_name(&import->part, import->part.dir, import->name);
    }
    if (error < 0) {
        return failed(import, 0, error);
    }
    sb_file_part_drop(&import->part); /* stays when both were the same file already */
    return 0;
}

static int take_fifo(struct import *import)
{
    return failed(import, SB_FILE_WHY_FIFO, -EPERM);
}

static int take_device(struct import *import)
{
    return failed(import, SB_FILE_WHY_DEVICE, -EPERM);
}

static int take_other(struct import *import)
{
    return failed(import, SB_FILE_WHY_KIND, -EINVAL);
}

static int (*const takers[])(struct import *import) = {
    [SB_TAR_FILE] = take_file,       [SB_TAR_HARDLINK] = take_hardlink,
    [SB_TAR_SYMLINK] = take_symlink, [SB_TAR_CHAR] = take_device,
    [SB_TAR_DIR] = take_dir,         [SB_TAR_BLOCK_DEVICE] = take_device,
    [SB_TAR_FIFO] = take_fifo,       [SB_TAR_OTHER] = take_other,
};

static int on_entry(void *ctx, const struct sb_tar_entry *entry)
{
    struct import *import = ctx;
    struct wrong wrong = {0, 0};
    import->entry = *entry;
    import->path[0] = '\0';
    if (entry->problem != SB_TAR_FINE) {
        return refuse(import, entry->path, SB_FILE_WHY_ENTRY, -(long)entry->problem);
    }
    unsigned why = clean(entry->path, import->path);
    if (why != 0) {
        return refuse(import, entry->path, why, -EINVAL);
    }
    if (import->path[0] == '\0') { /* the directory itself, which stays as it is */
        return entry->kind == SB_TAR_DIR ? 1
                                         : refuse(import, entry->path, SB_FILE_WHY_NO_DIR, -EISDIR);
    }
    if (go_to_parent(import, &wrong) != 0) {
        return failed(import, wrong.why, wrong.error);
    }
    return takers[entry->kind](import);
}

static int on_data(void *ctx, uint64_t offset, const char *bytes, size_t len)
{
    struct import *import = ctx;
    if (import->part.fd < 0) {
        return 0; /* it failed before */
    }
    if (import->file->request.max_bytes != 0 &&
        len > import->file->request.max_bytes - import->bytes) {
        give_up(import, SB_FILE_WHY_BYTES, -EFBIG);
    }
    long error = offset == import->position ? 0 : sb_sys_lseek(import->part.fd, (int64_t)offset);
    error = error < 0 ? error : sb_file_write_all(import->part.fd, bytes, len);
    if (error < 0) {
        (void)failed(import, 0, error);
        return 0;
    }
    import->position = offset + len;
    import->bytes += len;
    return 0;
}

static long end_file(struct import *import)
{
    const struct timespec time = {.tv_sec = import->entry.mtime_s,
                                  .tv_nsec = import->entry.mtime_ns};
    const struct timespec times[2] = {time, time};
    int fd = import->part.fd;
    long error = 0;
    if (import->position != import->entry.size) {
        error = sb_sys_ftruncate(fd, (int64_t)import->entry.size);
    }
    error = error < 0 ? error : sb_sys_fchmod(fd, import->entry.mode & PERMISSIONS);
    error = error < 0 ? error : sb_sys_utimensat(fd, NULL, times);
    return error < 0 ? error : sb_file_part_name(&import->part, import->part.dir, import->name);
}

static int on_end(void *ctx)
{
    struct import *import = ctx;
    if (import->entry.kind == SB_TAR_FILE) {
        if (import->part.fd < 0) {
            return 0;
        }
        long error = end_file(import);
        if (error < 0) {
            (void)failed(import, 0, error);
            return 0;
        }
        import->part.name[0] = '\0';
        sb_file_part_drop(&import->part);
    }
    import->entries++;
    return 0;
}

static const struct sb_tar_sink sink = {on_entry, on_data, on_end};

void sb_file_import(const struct sb_file *file)
{
    static struct sb_place place;
    const struct sb_file_head ready = {SB_FILE_READY};
    struct import *import = sb_file_memory(file, sizeof *import);
    import->file = file;
    import->root = sb_file_open_root(file, &place);
    import->part.fd = -1;
    if (place.is_proc) {
        sb_file_fail(file, -EACCES, SB_FILE_WHY_PROC);
    }
    sb_tar_begin(&import->reader, &sink, import);
    sb_file_send(file, &ready, sizeof ready, "", 0);
    long len = 0;
    enum sb_tar_result result = SB_TAR_OK;
    while (result == SB_TAR_OK && (len = sb_file_receive(file, import->data)) > 0) {
        result = sb_tar_feed(&import->reader, import->data, (size_t)len);
    }
    if (len < 0) {
        sb_file_part_drop(&import->part);
        sb_sys_exit(0);
    }
    result = result == SB_TAR_OK ? sb_tar_finish(&import->reader) : result;
    if (result != SB_TAR_OK) {
        give_up(import, SB_FILE_WHY_TAR, -(long)result);
    }
    while (import->depth > 0) {
        leave(import);
    }
    const struct sb_file_done done = {.type = SB_FILE_DONE,
                                      .count = import->entries,
                                      .bytes = import->bytes,
                                      .refused = import->refused};
    sb_file_send(file, &done, sizeof done, "", 0);
    sb_sys_exit(0);
}
