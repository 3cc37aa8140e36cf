#include "service/spawner/layers/copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/spawner/dirent.h"
#include "service/spawner/layers/between.h"

enum {
    NAMES_SIZE = 8 << 10, /* of a directory, at one time; one for each depth */
    CHUNK_SIZE = 256 << 10,
    XATTR_LIST = 4 << 10,
    XATTR_VALUE = 64 << 10,
    LINK_SIZE = 4096,
};

#define OVERLAY_XATTR "user.overlay."
#define OPAQUE_XATTR  OVERLAY_XATTR "opaque"
#define ACL_XATTR     "system.posix_acl_"

static int fail(const char *name, struct sb_err *err)
{
    return errno == ENOSPC || errno == EDQUOT
               ? sb_err_set(err, SB_EXHAUSTED, "no space is left for %s", name)
               : sb_err_sys(err, errno, "copy %s", name);
}

/* ---- attributes ---- */

static bool is_acl(const char *name)
{
    return strncmp(name, ACL_XATTR, sizeof ACL_XATTR - 1) == 0;
}

static bool is_wanted(const struct sb_copy *copy, const char *name)
{
    if (strncmp(name, OVERLAY_XATTR, sizeof OVERLAY_XATTR - 1) == 0) {
        return copy->is_layer && strcmp(name, OPAQUE_XATTR) == 0;
    }
    return strncmp(name, "user.", 5) == 0 || is_acl(name);
}

static int copy_xattrs(const struct sb_copy *copy, int from, int to, struct sb_err *err)
{
    static char names[XATTR_LIST];
    static char value[XATTR_VALUE];
    ssize_t len = flistxattr(from, names, sizeof names);
    if (len < 0) {
        return errno == EOPNOTSUPP ? 0 : sb_err_sys(err, errno, "list attributes");
    }
    for (const char *name = names; name < names + len; name += strlen(name) + 1) {
        if (!is_wanted(copy, name)) {
            continue;
        }
        ssize_t size = fgetxattr(from, name, value, sizeof value);
        if (size > 0 && is_acl(name)) {
            sb_between_acl(copy->between, value, (size_t)size);
        }
        if (size < 0 || fsetxattr(to, name, value, (size_t)size, 0) < 0) {
            return fail(name, err);
        }
    }
    return 0;
}

/* Owner before mode: changing it takes bits away. */
static int copy_stat(const struct sb_copy *copy, int to, const struct stat *st, struct sb_err *err)
{
    const struct timespec times[] = {st->st_atim, st->st_mtim};
    if (fchown(to, sb_between_id(copy->between, st->st_uid),
               sb_between_id(copy->between, st->st_gid)) < 0 ||
        fchmod(to, st->st_mode & 07777) < 0 || futimens(to, times) < 0) {
        return sb_err_sys(err, errno, "set owner, mode and time");
    }
    return 0;
}

/* ---- files ---- */

static int copy_range(int from, int to, off_t at, off_t end, struct sb_err *err)
{
    static char chunk[CHUNK_SIZE];
    while (at < end) {
        size_t want = end - at < CHUNK_SIZE ? (size_t)(end - at) : CHUNK_SIZE;
        ssize_t got = pread(from, chunk, want, at);
        if (got <= 0) {
            return got == 0 ? 0 : sb_err_sys(err, errno, "read"); /* it became shorter */
        }
        ssize_t put = pwrite(to, chunk, (size_t)got, at);
        if (put != got) {
            errno = put >= 0 ? ENOSPC : errno; /* some of it had room */
            return fail("content", err);
        }
        at += got;
    }
    return 0;
}

static int copy_content(struct sb_copy *copy, int from, int to, off_t size, struct sb_err *err)
{
    for (off_t at = 0; at < size;) {
        off_t data = lseek(from, at, SEEK_DATA);
        if (data < 0 || data >= size) {
            break; /* nothing but a hole */
        }
        off_t hole = lseek(from, data, SEEK_HOLE);
        off_t end = hole < 0 || hole > size ? size : hole;
        if (copy_range(from, to, data, end, err) < 0) {
            return -1;
        }
        copy->bytes += (uint64_t)(end - data);
        at = end;
    }
    return ftruncate(to, size) < 0 ? fail("content", err) : 0;
}

/* A file of more than one name is copied once. Returns 1 when it has been. */
static int find_link(const struct sb_copy *copy, const char *seen, int to, const char *name)
{
    return linkat(copy->links_fd, seen, to, name, 0) == 0;
}

static int
copy_file(struct sb_copy *copy, int from_dir, int to_dir, const char *name, struct sb_err *err)
{
    struct stat st;
    char seen[48];
    SB_CLEANUP(sb_closep)
    int from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (from < 0 || fstat(from, &st) < 0) {
        return errno == ENOENT ? 0 : fail(name, err);
    }
    if (!S_ISREG(st.st_mode)) {
        return 0; /* it has become something else meanwhile */
    }
    /* Of which file system, too: places have one each, and an overlay tells of several. */
    (void)snprintf(seen, sizeof seen, "%" PRIxMAX "-%" PRIxMAX, (uintmax_t)st.st_dev,
                   (uintmax_t)st.st_ino);
    if (st.st_nlink > 1 && find_link(copy, seen, to_dir, name)) {
        return 0;
    }
    SB_CLEANUP(sb_closep)
    int to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0) {
        return fail(name, err);
    }
    if (copy_content(copy, from, to, st.st_size, err) < 0 || copy_xattrs(copy, from, to, err) < 0 ||
        copy_stat(copy, to, &st, err) < 0) {
        return sb_err_wrap(err, "%s", name);
    }
    if (st.st_nlink > 1 && linkat(to_dir, name, copy->links_fd, seen, 0) < 0) {
        return fail(name, err);
    }
    return 0;
}

static int set_owner(const struct sb_copy *copy,
                     int dir,
                     const char *name,
                     const struct stat *st,
                     struct sb_err *err)
{
    return fchownat(dir, name, sb_between_id(copy->between, st->st_uid),
                    sb_between_id(copy->between, st->st_gid), AT_SYMLINK_NOFOLLOW) < 0
               ? fail(name, err)
               : 0;
}

static int copy_symlink(const struct sb_copy *copy,
                        int from,
                        int to,
                        const char *name,
                        const struct stat *st,
                        struct sb_err *err)
{
    static char text[LINK_SIZE];
    const struct timespec times[] = {st->st_atim, st->st_mtim};
    ssize_t len = readlinkat(from, name, text, sizeof text - 1);
    if (len < 0) {
        return fail(name, err);
    }
    text[len] = '\0';
    if (symlinkat(text, to, name) < 0 || utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0) {
        return fail(name, err);
    }
    return set_owner(copy, to, name, st, err);
}

static int copy_node(
    const struct sb_copy *copy, int to, const char *name, const struct stat *st, struct sb_err *err)
{
    bool is_whiteout = S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0) && copy->is_layer;
    if (!S_ISFIFO(st->st_mode) && !S_ISSOCK(st->st_mode) && !is_whiteout) {
        return 0;
    }
    mode_t mode = is_whiteout ? S_IFCHR : (st->st_mode & (S_IFMT | 0777));
    if (mknodat(to, name, mode, 0) < 0) {
        return fail(name, err);
    }
    if (is_whiteout) {
        return 0;
    }
    if (set_owner(copy, to, name, st, err) < 0) {
        return -1;
    }
    return fchmodat(to, name, st->st_mode & 07777, 0) < 0 ? fail(name, err) : 0;
}

/* ---- directories ---- */

static int copy_dir(struct sb_copy *copy, int from, int to, unsigned depth, struct sb_err *err);

/* -1 with EXDEV: another mount. */
static int open_dir(int at, const char *name)
{
    struct open_how how = {
        .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    return (int)syscall(SYS_openat2, at, name, &how, sizeof how);
}

static int copy_below(struct sb_copy *copy,
                      int from_dir,
                      int to_dir,
                      const char *name,
                      unsigned depth,
                      struct sb_err *err)
{
    if (depth >= SB_COPY_MAX_DEPTH) {
        return sb_err_set(err, SB_PRECONDITION,
                          "more than %d directories within each other: remove some first",
                          SB_COPY_MAX_DEPTH);
    }
    SB_CLEANUP(sb_closep) int from = open_dir(from_dir, name);
    bool is_mount = from < 0 && errno == EXDEV;
    if (from < 0 && !is_mount) {
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : fail(name, err);
    }
    if (mkdirat(to_dir, name, is_mount ? 0755 : 0700) < 0) {
        return fail(name, err);
    }
    if (is_mount) {
        return 0;
    }
    SB_CLEANUP(sb_closep) int to = open_dir(to_dir, name);
    if (to < 0) {
        return fail(name, err);
    }
    return copy_dir(copy, from, to, depth + 1, err);
}

static int copy_entry(
    struct sb_copy *copy, int from, int to, const char *name, unsigned depth, struct sb_err *err)
{
    struct stat st;
    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return errno == ENOENT ? 0 : fail(name, err);
    }
    copy->files++;
    if (S_ISDIR(st.st_mode)) {
        return copy_below(copy, from, to, name, depth, err);
    }
    if (S_ISREG(st.st_mode)) {
        return copy_file(copy, from, to, name, err);
    }
    return S_ISLNK(st.st_mode) ? copy_symlink(copy, from, to, name, &st, err)
                               : copy_node(copy, to, name, &st, err);
}

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int copy_dir(struct sb_copy *copy, int from, int to, unsigned depth, struct sb_err *err)
{
    struct stat st;
    _Alignas(struct sb_dirent) char names[NAMES_SIZE];
    for (;;) {
        long len = syscall(SYS_getdents64, from, names, sizeof names);
        if (len <= 0) {
            if (len < 0) {
                return sb_err_sys(err, errno, "read a directory");
            }
            break;
        }
        for (long at = 0; at < len;) {
            const struct sb_dirent *entry = (const void *)(names + at);
            at += entry->len;
            if (!is_dot(entry->name) && copy_entry(copy, from, to, entry->name, depth, err) < 0) {
                return -1;
            }
        }
    }
    /* Last, as what is made below changes its time. */
    if (fstat(from, &st) < 0) {
        return sb_err_sys(err, errno, "look at a directory");
    }
    return copy_xattrs(copy, from, to, err) < 0 ? -1 : copy_stat(copy, to, &st, err);
}

int sb_copy_begin(struct sb_copy *copy, int dir, const char *name, struct sb_err *err)
{
    copy->links_fd = mkdirat(dir, name, 0700) < 0
                         ? -1
                         : openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return copy->links_fd < 0 ? sb_err_sys(err, errno, "begin the copy") : 0;
}

/* A directory that nobody else has, of files alone. */
int sb_copy_end(struct sb_copy *copy, int dir, const char *name, struct sb_err *err)
{
    DIR *links = fdopendir(copy->links_fd);
    for (const struct dirent *entry; links != NULL && (entry = readdir(links)) != NULL;) {
        (void)unlinkat(dirfd(links), entry->d_name, 0);
    }
    if (links != NULL) {
        (void)closedir(links);
    }
    copy->links_fd = -1;
    return unlinkat(dir, name, AT_REMOVEDIR) < 0
               ? sb_err_sys(err, errno, "remove what was remembered of names")
               : 0;
}

int sb_copy_tree(struct sb_copy *copy, int from, int to, struct sb_err *err)
{
    return copy_dir(copy, from, to, 0, err);
}
