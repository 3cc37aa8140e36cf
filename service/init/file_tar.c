#include "service/init/file_tar.h"

#include <errno.h>
#include <fcntl.h>

#include "service/init/file_sys.h"
#include "service/init/text.h"

/* Theory of operation. Bytes are gathered in a buffer that goes out when it is full. A file has the
 * size it had when it was opened, and its holes are looked for then; one that turns shorter fails
 * the archive, which must not look whole. Of files with several names the first MAX_LINKS are
 * remembered, in a pool of names; what is met beyond is written once for each name. */

enum {
    MAX_LINKS = 4096,
    LINK_POOL = 512 << 10, /* bytes of names */
    KEPT_MODE = 01777,     /* permissions and the sticky bit */
};

struct link {
    dev_t dev;
    ino_t ino;
    uint32_t name; /* in the pool */
};

struct sb_filetar {
    const struct sb_file *file;
    char out[SB_FILE_MAX_DATA];
    size_t len;
    char target[SB_FILE_MAX_PATH];
    char head[SB_TAR_MAX_HEAD];
    char map[SB_TAR_MAX_MAP];
    struct sb_tar_part parts[SB_TAR_MAX_PARTS];
    struct link links[MAX_LINKS];
    size_t n_links;
    char pool[LINK_POOL];
    size_t pool_len;
};

struct sb_filetar *sb_filetar_new(const struct sb_file *file)
{
    struct sb_filetar *tar = sb_file_memory(file, sizeof *tar);
    tar->file = file;
    return tar;
}

static void flush(struct sb_filetar *tar)
{
    const struct sb_file_head head = {SB_FILE_DATA};
    if (tar->len > 0) {
        sb_file_send(tar->file, &head, sizeof head, tar->out, tar->len);
        tar->len = 0;
    }
}

static void put(struct sb_filetar *tar, const char *bytes, size_t len)
{
    while (len > 0) {
        size_t room = sizeof tar->out - tar->len;
        size_t n = len < room ? len : room;
        if (bytes == NULL) {
            __builtin_memset(tar->out + tar->len, 0, n);
        } else {
            __builtin_memcpy(tar->out + tar->len, bytes, n);
            bytes += n;
        }
        tar->len += n;
        len -= n;
        if (tar->len == sizeof tar->out) {
            flush(tar);
        }
    }
}

static void put_zeros(struct sb_filetar *tar, size_t len)
{
    put(tar, NULL, len);
}

/* ---- second names ---- */

static void remember(struct sb_filetar *tar, const struct stat *st, const char *path)
{
    size_t len = sb_text_len(path) + 1;
    if (tar->n_links == MAX_LINKS || len > sizeof tar->pool - tar->pool_len) {
        return;
    }
    tar->links[tar->n_links++] = (struct link){st->st_dev, st->st_ino, (uint32_t)tar->pool_len};
    __builtin_memcpy(tar->pool + tar->pool_len, path, len);
    tar->pool_len += len;
}

static const char *first_name(const struct sb_filetar *tar, const struct stat *st)
{
    for (size_t i = 0; i < tar->n_links; i++) {
        if (tar->links[i].ino == st->st_ino && tar->links[i].dev == st->st_dev) {
            return tar->pool + tar->links[i].name;
        }
    }
    return NULL;
}

/* ---- content ---- */

/* Where a file has bytes. Returns how many parts, 0: it has no holes. */
static size_t find_parts(struct sb_filetar *tar, int fd, int64_t size)
{
    size_t n = 0;
    for (int64_t at = 0; at < size;) {
        long begin = sb_sys_seek(fd, at, SB_SYS_SEEK_DATA);
        if (begin == -ENXIO || begin >= size) {
            break;
        }
        long end = begin < 0 ? begin : sb_sys_seek(fd, begin, SB_SYS_SEEK_HOLE);
        if (end < 0) {
            return 0; /* the file system cannot say */
        }
        if (end > size || n == SB_TAR_MAX_PARTS - 2) {
            end = size;
        }
        tar->parts[n++] = (struct sb_tar_part){(uint64_t)begin, (uint64_t)(end - begin)};
        at = end;
    }
    if (n == 1 && tar->parts[0].offset == 0 && tar->parts[0].len == (uint64_t)size) {
        return 0;
    }
    tar->parts[n++] = (struct sb_tar_part){(uint64_t)size, 0}; /* as GNU tar ends its lists */
    return n;
}

static void
put_part(struct sb_filetar *tar, int fd, const struct sb_tar_part *part, const char *path)
{
    long error = sb_sys_lseek(fd, (int64_t)part->offset);
    for (uint64_t left = part->len; left > 0;) {
        size_t room = sizeof tar->out - tar->len;
        long n =
            error < 0 ? error : sb_sys_read(fd, tar->out + tar->len, left < room ? left : room);
        if (n <= 0) {
            sb_file_fail_at(tar->file, n == 0 ? -EAGAIN : n, n == 0 ? SB_FILE_WHY_SHRUNK : 0, path);
        }
        tar->len += (size_t)n;
        left -= (uint64_t)n;
        if (tar->len == sizeof tar->out) {
            flush(tar);
        }
    }
}

static void put_head(struct sb_filetar *tar, const struct sb_tar_entry *entry, size_t n_parts)
{
    size_t len = sb_tar_head(entry, n_parts > 0 ? tar->parts : NULL, n_parts, tar->head);
    if (len == 0) {
        sb_file_fail_at(tar->file, -ENAMETOOLONG, 0, entry->path);
    }
    put(tar, tar->head, len);
}

static void put_content(struct sb_filetar *tar, int fd, const struct sb_tar_entry *entry)
{
    const struct sb_tar_part whole = {0, entry->size};
    size_t n = find_parts(tar, fd, (int64_t)entry->size);
    uint64_t sum = 0;
    put_head(tar, entry, n);
    if (n > 0) {
        put(tar, tar->map, sb_tar_map(tar->parts, n, tar->map));
    }
    for (size_t i = 0; i < (n == 0 ? 1 : n); i++) {
        const struct sb_tar_part *part = n == 0 ? &whole : &tar->parts[i];
        put_part(tar, fd, part, entry->path);
        sum += part->len;
    }
    put_zeros(tar, sb_tar_pad(sum));
}

/* ---- entries ---- */

static void describe(struct sb_tar_entry *entry, const struct stat *st)
{
    entry->mode = st->st_mode & KEPT_MODE;
    entry->uid = st->st_uid;
    entry->gid = st->st_gid;
    entry->mtime_s = st->st_mtim.tv_sec;
    entry->mtime_ns = (uint32_t)st->st_mtim.tv_nsec;
}

static void put_file(
    struct sb_filetar *tar, int dir, const char *name, struct sb_tar_entry *entry, struct stat *st)
{
    int fd =
        (int)sb_sys_openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
    long error = fd < 0 ? fd : sb_sys_fstat(fd, st);
    if (fd == -ENOENT || fd == -ELOOP || (error == 0 && !S_ISREG(st->st_mode))) {
        st->st_mode = 0; /* became something else: left out, as what is gone */
        if (fd >= 0) {
            sb_sys_close(fd);
        }
        return;
    }
    if (error < 0) {
        sb_file_fail_at(tar->file, error, 0, entry->path);
    }
    describe(entry, st);
    const char *first = st->st_nlink > 1 ? first_name(tar, st) : NULL;
    if (first != NULL) {
        entry->kind = SB_TAR_HARDLINK;
        entry->link = first;
        put_head(tar, entry, 0);
    } else {
        entry->size = (uint64_t)st->st_size;
        put_content(tar, fd, entry);
        if (st->st_nlink > 1) {
            remember(tar, st, entry->path);
        }
    }
    sb_sys_close(fd);
}

static void put_link(
    struct sb_filetar *tar, int dir, const char *name, struct sb_tar_entry *entry, struct stat *st)
{
    long len = sb_sys_readlinkat(dir, name, tar->target, sizeof tar->target - 1);
    if (len == -ENOENT || len == -EINVAL) {
        st->st_mode = 0;
        return;
    }
    if (len < 0) {
        sb_file_fail_at(tar->file, len, 0, entry->path);
    }
    tar->target[len] = '\0';
    entry->kind = SB_TAR_SYMLINK;
    entry->link = tar->target;
    put_head(tar, entry, 0);
}

void sb_filetar_add(
    struct sb_filetar *tar, int dir, const char *name, const char *path, struct stat *ret_stat)
{
    struct sb_tar_entry entry = {.kind = SB_TAR_FILE, .path = path, .link = ""};
    long error = sb_sys_lstatat(dir, name, ret_stat);
    if (error == -ENOENT) {
        ret_stat->st_mode = 0;
        return;
    }
    if (error < 0) {
        sb_file_fail_at(tar->file, error, 0, path);
    }
    describe(&entry, ret_stat);
    if (S_ISREG(ret_stat->st_mode)) {
        put_file(tar, dir, name, &entry, ret_stat);
    } else if (S_ISLNK(ret_stat->st_mode)) {
        put_link(tar, dir, name, &entry, ret_stat);
    } else if (S_ISDIR(ret_stat->st_mode)) {
        entry.kind = SB_TAR_DIR;
        put_head(tar, &entry, 0);
    } else if (S_ISFIFO(ret_stat->st_mode)) {
        entry.kind = SB_TAR_FIFO;
        put_head(tar, &entry, 0);
    } else {
        ret_stat->st_mode = 0;
    }
}

void sb_filetar_finish(struct sb_filetar *tar)
{
    put_zeros(tar, SB_TAR_END);
    flush(tar);
    sb_file_finish(tar->file, 1);
}
