#include "service/spawner/layers/tell.h"

/* Theory of operation. Three forms: names alone; names, each followed by the bytes of its file; an
 * archive. In the archive what was removed is an empty file ".wh.NAME" beside its place, as OCI's
 * image layers have it, so nothing else can have such a name. All that is told of a file is read by
 * one descriptor, so it is of one file, whatever programs put in its place meanwhile. */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/tar.h"

enum { MAX_LINKS = 1024, LINK_POOL = 128 << 10, KEPT_MODE = 01777 };
#define WHITEOUT ".wh."

/* Bytes on their way; there is one child, and so one of them. */
static struct {
    struct sb_change_head head;
    struct sb_file_head type;
    char bytes[SB_FILE_MAX_DATA];
} data;
static size_t data_len;

/* Files of several names that are in the archive. */
static struct {
    struct {
        dev_t dev;
        ino_t ino;
        size_t name; /* in the pool */
    } items[MAX_LINKS];
    size_t n;
    char pool[LINK_POOL];
    size_t pool_len;
} links;

static int say(const struct sb_tell *tell, const void *packet, size_t len, struct sb_err *err)
{
    return sb_fd_send(tell->sock, packet, len, NULL, 0, err) < 0 ? -1 : 0;
}

static int flush(const struct sb_tell *tell, struct sb_err *err)
{
    if (data_len == 0) {
        return 0;
    }
    size_t len = offsetof(typeof(data), bytes) + data_len;
    data.type.type = SB_FILE_DATA;
    data_len = 0;
    return say(tell, &data, len, err);
}

/* Where a path without its first slash ends; -1: too long. */
static int join(const struct sb_tell *tell,
                const char *prefix,
                const char *name,
                char ret_path[SB_FILE_MAX_PATH],
                struct sb_err *err)
{
    int len = snprintf(ret_path, SB_FILE_MAX_PATH, "%.*s/%s%s", (int)tell->path_len, tell->path,
                       prefix, name);
    return len < 0 || len >= SB_FILE_MAX_PATH
               ? sb_err_set(err, SB_PRECONDITION, "a path is longer than %d bytes",
                            SB_FILE_MAX_PATH - 1)
               : len;
}

/* ---- a name ---- */

static uint32_t kind_of(mode_t mode)
{
    return S_ISREG(mode)   ? SB_FILE_KIND_REGULAR
           : S_ISDIR(mode) ? SB_FILE_KIND_DIRECTORY
           : S_ISLNK(mode) ? SB_FILE_KIND_SYMLINK
                           : SB_FILE_KIND_SPECIAL;
}

static int tell_name(const struct sb_tell *tell,
                     enum sb_change change,
                     int dir,
                     const char *name,
                     const struct stat *st,
                     struct sb_err *err)
{
    static struct {
        struct sb_change_head head;
        struct sb_file_info info;
        char texts[2 * SB_FILE_MAX_PATH];
    } packet;
    int len = join(tell, "", name, packet.texts, err);
    if (len < 0) {
        return -1;
    }
    ssize_t link =
        S_ISLNK(st->st_mode) ? readlinkat(dir, name, packet.texts + len, SB_FILE_MAX_PATH - 1) : 0;
    packet.head = (struct sb_change_head){.change = change};
    packet.info = (struct sb_file_info){
        .type = SB_FILE_INFO,
        .kind = kind_of(st->st_mode),
        .mode = st->st_mode & 0777,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .links = (uint32_t)st->st_nlink,
        .size = (uint64_t)st->st_size,
        .allocated = (uint64_t)st->st_blocks * 512,
        .modify_s = st->st_mtim.tv_sec,
        .modify_ns = (uint32_t)st->st_mtim.tv_nsec,
        .path_len = (uint16_t)len,
        .link_len = (uint16_t)(link < 0 ? 0 : link),
    };
    size_t size = sizeof packet.head + sizeof packet.info + (size_t)len + packet.info.link_len;
    return say(tell, &packet, size, err);
}

/* ---- content ---- */

/* -1: it is gone, or no regular file any more; -2 with *err. */
static int open_file(int dir, const char *name, struct stat *ret_stat, struct sb_err *err)
{
    SB_CLEANUP(sb_closep)
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ELOOP || errno == ENXIO)) {
        return -1;
    }
    if (fd < 0 || fstat(fd, ret_stat) < 0) {
        (void)sb_err_sys(err, errno, "open %s", name);
        return -2;
    }
    return S_ISREG(ret_stat->st_mode) ? SB_STEAL_FD(fd) : -1;
}

/* Where there are bytes from @at on. Returns false: there are none. */
static bool next_part(int fd, off_t at, off_t size, struct sb_tar_part *ret_part)
{
    off_t begin = lseek(fd, at, SEEK_DATA);
    if ((begin < 0 && errno == ENXIO) || begin >= size || at >= size) {
        return false;
    }
    begin = begin < 0 ? at : begin; /* the file system cannot say */
    off_t end = lseek(fd, begin, SEEK_HOLE);
    end = end < 0 || end > size ? size : end;
    *ret_part = (struct sb_tar_part){(uint64_t)begin, (uint64_t)(end - begin)};
    return true;
}

/* Reads as much as there is room for. Returns how many, or -1. */
static ssize_t
read_some(int fd, const char *name, uint64_t at, uint64_t left, size_t room, struct sb_err *err)
{
    ssize_t n = pread(fd, data.bytes + data_len, left < room ? (size_t)left : room, (off_t)at);
    if (n < 0) {
        return sb_err_sys(err, errno, "read %s", name);
    }
    return n == 0 ? sb_err_set(err, SB_ABORTED, "%s became shorter", name) : n;
}

static int send_part(const struct sb_tell *tell,
                     int fd,
                     const char *name,
                     const struct sb_tar_part *part,
                     struct sb_err *err)
{
    for (uint64_t done = 0; done < part->len;) {
        uint64_t at = part->offset + done;
        ssize_t n = read_some(fd, name, at, part->len - done, sizeof data.bytes, err);
        if (n < 0) {
            return -1;
        }
        data.head = (struct sb_change_head){.offset = at};
        data_len = (size_t)n;
        done += (uint64_t)n;
        if (flush(tell, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int tell_file(const struct sb_tell *tell,
                     enum sb_change change,
                     int dir,
                     const char *name,
                     struct sb_err *err)
{
    struct stat st;
    struct sb_tar_part part;
    SB_CLEANUP(sb_closep) int fd = open_file(dir, name, &st, err);
    if (fd < 0) {
        return fd == -1 ? 0 : -1;
    }
    if (tell_name(tell, change, dir, name, &st, err) < 0) {
        return -1;
    }
    for (off_t at = 0; next_part(fd, at, st.st_size, &part); at = (off_t)(part.offset + part.len)) {
        if (send_part(tell, fd, name, &part, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- the archive ---- */

/* @bytes  NULL: zeros. */
static int put(const struct sb_tell *tell, const char *bytes, size_t len, struct sb_err *err)
{
    data.head = (struct sb_change_head){.offset = 0};
    while (len > 0) {
        size_t room = sizeof data.bytes - data_len;
        size_t n = len < room ? len : room;
        if (bytes == NULL) {
            memset(data.bytes + data_len, 0, n);
        } else {
            memcpy(data.bytes + data_len, bytes, n);
            bytes += n;
        }
        data_len += n;
        len -= n;
        if (data_len == sizeof data.bytes && flush(tell, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int put_head(const struct sb_tell *tell,
                    const struct sb_tar_entry *entry,
                    const struct sb_tar_part *parts,
                    size_t n_parts,
                    struct sb_err *err)
{
    static char head[SB_TAR_MAX_HEAD];
    size_t len = sb_tar_head(entry, parts, n_parts, head);
    return len == 0 ? sb_err_sys(err, ENAMETOOLONG, "archive") : put(tell, head, len, err);
}

/* Returns how many there are; 0: it has no holes. */
static size_t find_parts(int fd, off_t size, struct sb_tar_part parts[SB_TAR_MAX_PARTS])
{
    size_t n = 0;
    off_t at = 0;
    while (n < SB_TAR_MAX_PARTS - 1 && next_part(fd, at, size, &parts[n])) {
        if (n == SB_TAR_MAX_PARTS - 2) { /* the rest, with its holes */
            parts[n].len = (uint64_t)size - parts[n].offset;
        }
        at = (off_t)(parts[n].offset + parts[n].len);
        n++;
    }
    if (n == 1 && parts[0].offset == 0 && parts[0].len == (uint64_t)size) {
        return 0;
    }
    if (n == 0 && size == 0) {
        return 0;
    }
    parts[n++] = (struct sb_tar_part){(uint64_t)size, 0}; /* as GNU tar ends its lists */
    return n;
}

static int put_part(const struct sb_tell *tell,
                    int fd,
                    const char *name,
                    const struct sb_tar_part *part,
                    struct sb_err *err)
{
    data.head = (struct sb_change_head){.offset = 0};
    for (uint64_t done = 0; done < part->len;) {
        ssize_t n = read_some(fd, name, part->offset + done, part->len - done,
                              sizeof data.bytes - data_len, err);
        if (n < 0) {
            return -1;
        }
        data_len += (size_t)n;
        done += (uint64_t)n;
        if (data_len == sizeof data.bytes && flush(tell, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int put_content(const struct sb_tell *tell,
                       int fd,
                       const char *name,
                       const struct sb_tar_entry *entry,
                       struct sb_err *err)
{
    static struct sb_tar_part parts[SB_TAR_MAX_PARTS];
    static char map[SB_TAR_MAX_MAP];
    size_t n = find_parts(fd, (off_t)entry->size, parts);
    uint64_t sum = 0;
    if (put_head(tell, entry, n > 0 ? parts : NULL, n, err) < 0 ||
        (n > 0 && put(tell, map, sb_tar_map(parts, n, map), err) < 0)) {
        return -1;
    }
    if (n == 0) {
        parts[n++] = (struct sb_tar_part){0, entry->size};
    }
    for (size_t i = 0; i < n; i++) {
        if (put_part(tell, fd, name, &parts[i], err) < 0) {
            return -1;
        }
        sum += parts[i].len;
    }
    return put(tell, NULL, sb_tar_pad(sum), err);
}

static const char *first_name(const struct stat *st)
{
    for (size_t i = 0; i < links.n; i++) {
        if (links.items[i].ino == st->st_ino && links.items[i].dev == st->st_dev) {
            return links.pool + links.items[i].name;
        }
    }
    return NULL;
}

/* What is met beyond these is written once for each name. */
static void remember(const struct stat *st, const char *path)
{
    size_t len = strlen(path) + 1;
    if (links.n < MAX_LINKS && len <= sizeof links.pool - links.pool_len) {
        links.items[links.n].dev = st->st_dev;
        links.items[links.n].ino = st->st_ino;
        links.items[links.n++].name = links.pool_len;
        memcpy(links.pool + links.pool_len, path, len);
        links.pool_len += len;
    }
}

static void describe(struct sb_tar_entry *entry, const struct stat *st)
{
    entry->mode = st->st_mode & KEPT_MODE;
    entry->uid = st->st_uid;
    entry->gid = st->st_gid;
    entry->mtime_s = st->st_mtim.tv_sec;
    entry->mtime_ns = (uint32_t)st->st_mtim.tv_nsec;
}

static int put_file(const struct sb_tell *tell,
                    int dir,
                    const char *name,
                    struct sb_tar_entry *entry,
                    struct sb_err *err)
{
    struct stat st;
    SB_CLEANUP(sb_closep) int fd = open_file(dir, name, &st, err);
    if (fd < 0) {
        return fd == -1 ? 0 : -1;
    }
    describe(entry, &st);
    const char *first = st.st_nlink > 1 ? first_name(&st) : NULL;
    if (first != NULL) {
        entry->kind = SB_TAR_HARDLINK;
        entry->link = first;
        return put_head(tell, entry, NULL, 0, err);
    }
    entry->size = (uint64_t)st.st_size;
    if (put_content(tell, fd, name, entry, err) < 0) {
        return -1;
    }
    if (st.st_nlink > 1) {
        remember(&st, entry->path);
    }
    return 0;
}

static int put_symlink(const struct sb_tell *tell,
                       int dir,
                       const char *name,
                       struct sb_tar_entry *entry,
                       struct sb_err *err)
{
    static char target[SB_FILE_MAX_PATH];
    ssize_t len = readlinkat(dir, name, target, sizeof target - 1);
    if (len < 0) {
        return errno == ENOENT || errno == EINVAL ? 0 : sb_err_sys(err, errno, "read %s", name);
    }
    target[len] = '\0';
    entry->kind = SB_TAR_SYMLINK;
    entry->link = target;
    return put_head(tell, entry, NULL, 0, err);
}

static int put_change(const struct sb_tell *tell,
                      enum sb_change change,
                      int dir,
                      const char *name,
                      const struct stat *st,
                      struct sb_err *err)
{
    static char path[SB_FILE_MAX_PATH];
    struct sb_tar_entry entry = {.kind = SB_TAR_FILE, .path = path, .link = "", .mode = 0600};
    bool is_removed = change == SB_CHANGE_REMOVED;
    if (strncmp(name, WHITEOUT, sizeof WHITEOUT - 1) == 0) {
        return sb_err_set(err, SB_INVALID, "%s", name);
    }
    if (join(tell, is_removed ? WHITEOUT : "", name, path, err) < 0) {
        return -1;
    }
    if (is_removed) {
        return put_head(tell, &entry, NULL, 0, err);
    }
    describe(&entry, st);
    if (S_ISREG(st->st_mode)) {
        return put_file(tell, dir, name, &entry, err);
    }
    if (S_ISLNK(st->st_mode)) {
        return put_symlink(tell, dir, name, &entry, err);
    }
    if (!S_ISDIR(st->st_mode) && !S_ISFIFO(st->st_mode)) {
        return 0; /* sockets mean nothing elsewhere */
    }
    entry.kind = S_ISDIR(st->st_mode) ? SB_TAR_DIR : SB_TAR_FIFO;
    return put_head(tell, &entry, NULL, 0, err);
}

/* ---- all of them ---- */

int sb_tell_change(const struct sb_tell *tell,
                   enum sb_change change,
                   int dir,
                   const char *name,
                   const struct stat *st,
                   struct sb_err *err)
{
    if (tell->content == SB_CHANGE_TAR) {
        return put_change(tell, change, dir, name, st, err);
    }
    bool has_bytes = tell->content == SB_CHANGE_FILES && change != SB_CHANGE_REMOVED;
    return has_bytes && S_ISREG(st->st_mode) ? tell_file(tell, change, dir, name, err)
                                             : tell_name(tell, change, dir, name, st, err);
}

static uint32_t why_of(enum sb_code code)
{
    return code == SB_PRECONDITION ? SB_FILE_WHY_DEEP
           : code == SB_ABORTED    ? SB_FILE_WHY_SHRUNK
           : code == SB_INVALID    ? SB_FILE_WHY_WHITEOUT
                                   : SB_FILE_WHY_ERRNO;
}

void sb_tell_end(const struct sb_tell *tell, const struct sb_err *failure)
{
    struct sb_err ignored;
    struct {
        struct sb_change_head head;
        struct sb_file_done done;
    } done = {.done = {.type = SB_FILE_DONE}};
    struct {
        struct sb_change_head head;
        struct sb_file_failed failed;
    } failed = {.failed = {.type = SB_FILE_FAILED, .error = EIO}};
    if (failure != NULL) {
        failed.failed.error = failure->sys > 0 ? failure->sys : EIO;
        failed.failed.why = why_of(failure->code);
        (void)say(tell, &failed, sizeof failed, &ignored);
        return;
    }
    if (tell->content == SB_CHANGE_TAR &&
        (put(tell, NULL, SB_TAR_END, &ignored) < 0 || flush(tell, &ignored) < 0)) {
        return;
    }
    (void)say(tell, &done, sizeof done, &ignored);
}
