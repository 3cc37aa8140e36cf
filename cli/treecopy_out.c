#include "cli/treecopy_out.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "base/tar.h"
#include "cli/boxpath.h"
#include "cli/filecopy.h"
#include "cli/treecopy.h"

enum { DIR_MODE = 0777, PERMISSIONS = 0777, PART_SIZE = 40, MAX_NAME = 256 };

struct sb_treecopy_out {
    struct sb_treecopy *tree;
    const char *from;
    int root;
    mode_t mask;
    struct sb_err err;
    /* the file that is being written, beside its place */
    int dir; /* -1: none */
    int fd;
    char part[PART_SIZE];
    char name[MAX_NAME];
    struct sb_tar_entry entry;
    struct sb_tar_reader reader;
};

/* ---- places ---- */

/* The directory that a path below the root is in, through no link, and its last name. */
static int
open_parent(const struct sb_treecopy_out *out, const char *path, char name[MAX_NAME], int *ret_dir)
{
    int dir = fcntl(out->root, F_DUPFD_CLOEXEC, 3);
    for (const char *slash = NULL; dir >= 0; path = slash + 1) {
        slash = strchr(path, '/');
        size_t len = slash == NULL ? strlen(path) : (size_t)(slash - path);
        if (len >= MAX_NAME) {
            errno = ENAMETOOLONG;
            break;
        }
        memcpy(name, path, len);
        name[len] = '\0';
        if (slash == NULL) {
            *ret_dir = dir;
            return 0;
        }
        int next = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int failed = errno;
        (void)close(dir);
        errno = failed;
        dir = next;
    }
    if (dir >= 0) {
        (void)close(dir);
    }
    return -1;
}

static int fail(struct sb_treecopy_out *out, const char *path)
{
    return sb_err_sys(&out->err, errno, "%s", path);
}

static void name_part(char part[PART_SIZE])
{
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
        random = (uint64_t)getpid();
    }
    (void)snprintf(part, PART_SIZE, ".aisbx-%016" PRIx64, random);
}

static void drop_part(struct sb_treecopy_out *out)
{
    if (out->dir >= 0) {
        (void)unlinkat(out->dir, out->part, 0);
        (void)close(out->dir);
        out->dir = -1;
    }
    if (out->fd >= 0) {
        (void)close(out->fd);
        out->fd = -1;
    }
}

/* ---- entries ---- */

static void skip(struct sb_treecopy_out *out, const char *path, const char *why)
{
    char inside[SB_BOXPATH_SIZE];
    struct sb_err ignored;
    bool is_joined = sb_boxpath_join(out->from, path, inside, &ignored) == 0;
    out->tree->skip(out->tree->ctx, is_joined ? inside : path, why);
}

static int make_dir(struct sb_treecopy_out *out, const struct sb_tar_entry *entry)
{
    struct stat st;
    char name[MAX_NAME];
    int dir = -1;
    if (open_parent(out, entry->path, name, &dir) < 0) {
        return fail(out, entry->path);
    }
    int rc = mkdirat(dir, name, DIR_MODE);
    if (rc < 0 && errno == EEXIST) {
        rc = fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW);
        if (rc == 0 && !S_ISDIR(st.st_mode)) {
            errno = EEXIST;
            rc = -1;
        }
    }
    if (rc < 0) {
        (void)fail(out, entry->path);
    }
    (void)close(dir);
    return rc;
}

static int begin_file(struct sb_treecopy_out *out, const struct sb_tar_entry *entry)
{
    if (open_parent(out, entry->path, out->name, &out->dir) < 0) {
        return fail(out, entry->path);
    }
    name_part(out->part);
    out->fd = openat(out->dir, out->part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                     S_IRUSR | S_IWUSR);
    out->entry = *entry;
    return out->fd < 0 ? fail(out, entry->path) : 0;
}

/* A second name of a file that came before. */
static int make_link(struct sb_treecopy_out *out, const struct sb_tar_entry *entry)
{
    char other[MAX_NAME];
    int dir = -1;
    if (!sb_boxpath_is_below(entry->link)) {
        return sb_err_set(&out->err, SB_DATA_LOSS, "the archive has a link to %.200s", entry->link);
    }
    if (open_parent(out, entry->path, out->name, &out->dir) < 0 ||
        open_parent(out, entry->link, other, &dir) < 0) {
        return fail(out, entry->path);
    }
    name_part(out->part);
    int rc = linkat(dir, other, out->dir, out->part, 0);
    (void)close(dir);
    if (rc < 0 || renameat(out->dir, out->part, out->dir, out->name) < 0) {
        return fail(out, entry->path);
    }
    drop_part(out); /* which is still there when both were one file already */
    out->tree->files++;
    return 0;
}

static int on_entry(void *ctx, const struct sb_tar_entry *entry)
{
    struct sb_treecopy_out *out = ctx;
    if (entry->problem != SB_TAR_FINE) {
        skip(out, entry->path, sb_tar_problem_text(entry->problem));
        return 0;
    }
    if (!sb_boxpath_is_below(entry->path)) {
        return sb_err_set(&out->err, SB_DATA_LOSS, "the archive has %.200s", entry->path);
    }
    switch (entry->kind) {
    case SB_TAR_DIR:
        return make_dir(out, entry);
    case SB_TAR_FILE:
        return begin_file(out, entry);
    case SB_TAR_HARDLINK:
        return make_link(out, entry);
    case SB_TAR_SYMLINK:
    case SB_TAR_CHAR:
    case SB_TAR_BLOCK_DEVICE:
    case SB_TAR_FIFO:
    case SB_TAR_OTHER:
    default:
        skip(out, entry->path, "neither a directory nor a regular file");
        return 0;
    }
}

static int on_data(void *ctx, uint64_t offset, const char *bytes, size_t len)
{
    struct sb_treecopy_out *out = ctx;
    sb_filecopy_count(out->tree->copy, len);
    while (len > 0) {
        ssize_t n = pwrite(out->fd, bytes, len, (off_t)offset);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return fail(out, out->name);
        }
        bytes += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

static int on_end(void *ctx)
{
    struct sb_treecopy_out *out = ctx;
    if (out->fd < 0) {
        return 0;
    }
    const struct timespec time = {.tv_sec = out->entry.mtime_s,
                                  .tv_nsec = (long)out->entry.mtime_ns};
    const struct timespec times[2] = {time, time};
    if (ftruncate(out->fd, (off_t)out->entry.size) < 0 || /* holes at its end */
        fchmod(out->fd, (out->entry.mode & PERMISSIONS) & ~out->mask) < 0 ||
        futimens(out->fd, times) < 0 || renameat(out->dir, out->part, out->dir, out->name) < 0) {
        return fail(out, out->name);
    }
    (void)close(out->dir);
    out->dir = -1;
    (void)close(out->fd);
    out->fd = -1;
    out->tree->files++;
    return 0;
}

/* ---- the whole ---- */

void sb_treecopy_out_free(struct sb_treecopy_out *out)
{
    if (out != NULL) {
        drop_part(out);
        if (out->root >= 0) {
            (void)close(out->root);
        }
        free(out);
    }
}

int sb_treecopy_out_new(struct sb_treecopy *tree,
                        const char *from,
                        const char *to,
                        struct sb_treecopy_out **ret_out,
                        struct sb_err *err)
{
    static const struct sb_tar_sink sink = {.entry = on_entry, .data = on_data, .end = on_end};
    struct sb_treecopy_out *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return sb_err_oom(err);
    }
    made->tree = tree;
    made->from = from;
    made->dir = -1;
    made->fd = -1;
    made->mask = umask(0);
    (void)umask(made->mask);
    if (mkdir(to, DIR_MODE) < 0 && errno != EEXIST) {
        (void)sb_err_sys(err, errno, "%s", to);
        free(made);
        return -1;
    }
    made->root = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (made->root < 0) {
        (void)sb_err_sys(err, errno, "%s", to);
        free(made);
        return -1;
    }
    sb_tar_begin(&made->reader, &sink, made);
    *ret_out = made;
    return 0;
}

static int judge(struct sb_treecopy_out *out, enum sb_tar_result result, struct sb_err *err)
{
    if (result == SB_TAR_OK) {
        return 0;
    }
    if (result == SB_TAR_STOPPED) {
        *err = out->err;
        return -1;
    }
    return sb_err_set(err, SB_DATA_LOSS, "%s: the archive %s", out->from, sb_tar_why(result));
}

int sb_treecopy_out_feed(struct sb_treecopy_out *out,
                         const char *bytes,
                         size_t len,
                         struct sb_err *err)
{
    return judge(out, sb_tar_feed(&out->reader, bytes, len), err);
}

int sb_treecopy_out_finish(struct sb_treecopy_out *out, struct sb_err *err)
{
    return judge(out, sb_tar_finish(&out->reader), err);
}
