#include "cli/apply.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "cli/boxpath.h"

enum { PERMISSIONS = 0777, OWN = 0700, MAX_DEPTH = 512, PASSES = 4 };

#define BENEATH (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV)

static int open_beneath(int dir, const char *path, int flags)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_DIRECTORY | O_CLOEXEC),
        .resolve = BENEATH,
    };
    return (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
}

int sb_apply_open(const char *dir, struct sb_apply *ret_apply, struct sb_err *err)
{
    struct open_how how = {
        .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
        .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    int fd = (int)syscall(SYS_openat2, AT_FDCWD, dir, &how, sizeof how);
    if (fd < 0) {
        return errno == ELOOP ? sb_err_set(err, SB_DENIED, "%s: a link is on its way now", dir)
                              : sb_err_sys(err, errno, "%s", dir);
    }
    *ret_apply = (struct sb_apply){.root = fd, .parent = -1, .fd = -1};
    return 0;
}

static void drop(struct sb_apply *apply)
{
    if (apply->temp[0] != '\0') {
        (void)unlinkat(apply->parent, apply->temp, 0);
        apply->temp[0] = '\0';
    }
    sb_fd_close_all(&apply->fd, 1);
    sb_fd_close_all(&apply->parent, 1);
}

void sb_apply_done(struct sb_apply *apply)
{
    drop(apply);
    sb_fd_close_all(&apply->root, 1);
    for (size_t i = 0; i < apply->n_late; i++) {
        free(apply->late[i].path);
    }
    free(apply->late);
    *apply = (struct sb_apply){.root = -1, .parent = -1, .fd = -1};
}

/* ---- where it belongs ---- */

static int fail(const char *what, struct sb_err *err)
{
    switch (errno) {
    case ELOOP:
        return sb_err_set(err, SB_DENIED, "a link is on its way");
    case EXDEV:
        return sb_err_set(err, SB_DENIED, "another file system is mounted on its way");
    default:
        return sb_err_sys(err, errno, "%s", what);
    }
}

/* Opens the directory of a path, and keeps it and the last name. */
static int go_to(struct sb_apply *apply, const char *path, struct sb_err *err)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    char dir[SB_BOXPATH_SIZE] = ".";
    if (!sb_boxpath_is_below(path) || strlen(path) >= sizeof dir ||
        strlen(name) >= sizeof apply->name) {
        return sb_err_set(err, SB_INVALID, "is no path below the directory");
    }
    if (slash != NULL) {
        memcpy(dir, path, (size_t)(slash - path));
        dir[slash - path] = '\0';
    }
    apply->parent = open_beneath(apply->root, dir, O_PATH);
    if (apply->parent < 0) {
        return fail("open its directory", err);
    }
    memcpy(apply->name, name, strlen(name) + 1);
    return 0;
}

static int name_temp(struct sb_apply *apply, struct sb_err *err)
{
    uint64_t number = 0;
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number) {
        return sb_err_sys(err, errno, "getrandom");
    }
    (void)snprintf(apply->temp, sizeof apply->temp, ".aisbx-commit.%016" PRIx64, number);
    return 0;
}

/* ---- what goes. To MAX_DEPTH. NOLINTBEGIN(misc-no-recursion) ---- */

static int remove_tree(int parent, const char *name, unsigned depth, struct sb_err *err);

static int remove_at(int dir, const char *name, unsigned depth, struct sb_err *err)
{
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return errno == ENOENT ? 0 : sb_err_sys(err, errno, "look at it");
    }
    if (S_ISDIR(st.st_mode)) {
        return remove_tree(dir, name, depth, err);
    }
    return unlinkat(dir, name, 0) < 0 && errno != ENOENT ? sb_err_sys(err, errno, "remove it") : 0;
}

static void close_dir(DIR **dir)
{
    if (*dir != NULL) {
        (void)closedir(*dir);
    }
}

static int empty(int fd, unsigned depth, struct sb_err *err)
{
    SB_CLEANUP(close_dir) DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        (void)close(fd);
        return sb_err_sys(err, errno, "read what is in it");
    }
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        bool is_dot = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        if (!is_dot && remove_at(dirfd(dir), entry->d_name, depth + 1, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* A directory may leave names out while others go, so it is read again. */
static int remove_tree(int parent, const char *name, unsigned depth, struct sb_err *err)
{
    if (depth >= MAX_DEPTH) {
        return sb_err_set(err, SB_PRECONDITION, "more than %d directories within each other",
                          MAX_DEPTH);
    }
    for (int i = 0; i < PASSES; i++) {
        int fd = open_beneath(parent, name, O_RDONLY);
        if (fd < 0) {
            return errno == ENOENT ? 0 : fail("open it", err);
        }
        if (empty(fd, depth, err) < 0) {
            return -1;
        }
        if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT) {
            return 0;
        }
        if (errno != ENOTEMPTY && errno != EEXIST) {
            break;
        }
    }
    return sb_err_sys(err, errno, "remove it");
}

/* NOLINTEND(misc-no-recursion) */

/* ---- what comes ---- */

/* Gives what is whole its name. */
static int place(struct sb_apply *apply, struct sb_err *err)
{
    int rc = renameat(apply->parent, apply->temp, apply->parent, apply->name);
    if (rc < 0 && (errno == EISDIR || errno == ENOTEMPTY || errno == EEXIST)) {
        if (!apply->gives_way) {
            return sb_err_set(err, SB_PRECONDITION,
                              "a directory is there that the sandbox has not seen");
        }
        if (remove_tree(apply->parent, apply->name, 0, err) < 0) {
            return -1;
        }
        rc = renameat(apply->parent, apply->temp, apply->parent, apply->name);
    }
    if (rc < 0) {
        return sb_err_sys(err, errno, "give it its name");
    }
    apply->temp[0] = '\0';
    return 0;
}

static int set_late(struct sb_apply *apply, const char *path, unsigned mode, struct sb_err *err)
{
    struct sb_apply_late *more = reallocarray(apply->late, apply->n_late + 1, sizeof *apply->late);
    if (more == NULL) {
        return sb_err_oom(err);
    }
    apply->late = more;
    char *copy = strdup(path);
    if (copy == NULL) {
        return sb_err_oom(err);
    }
    apply->late[apply->n_late++] = (struct sb_apply_late){copy, mode};
    return 0;
}

static int
make_dir(struct sb_apply *apply, const struct sb_apply_change *change, struct sb_err *err)
{
    struct stat st;
    unsigned mode = change->mode & PERMISSIONS;
    int rc = mkdirat(apply->parent, apply->name, OWN);
    if (rc < 0 && errno == EEXIST &&
        fstatat(apply->parent, apply->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        !S_ISDIR(st.st_mode)) {
        if (change->is_new) {
            return sb_err_set(err, SB_PRECONDITION,
                              "something is there that the sandbox has not seen");
        }
        if (unlinkat(apply->parent, apply->name, 0) < 0) {
            return sb_err_sys(err, errno, "remove what was there");
        }
        rc = mkdirat(apply->parent, apply->name, OWN);
    }
    if (rc < 0 && errno != EEXIST) {
        return sb_err_sys(err, errno, "make a directory");
    }
    SB_CLEANUP(sb_closep) int fd = open_beneath(apply->parent, apply->name, O_RDONLY);
    if (fd < 0 || fchmod(fd, mode | OWN) < 0) {
        return fd < 0 ? fail("open it", err) : sb_err_sys(err, errno, "set its mode");
    }
    return (mode & OWN) == OWN ? 0 : set_late(apply, change->path, mode, err);
}

static int
make_link(struct sb_apply *apply, const struct sb_apply_change *change, struct sb_err *err)
{
    if (name_temp(apply, err) < 0) {
        return -1;
    }
    if (symlinkat(change->link, apply->parent, apply->temp) < 0) {
        apply->temp[0] = '\0';
        return sb_err_sys(err, errno, "make a link");
    }
    return place(apply, err);
}

static int open_file(struct sb_apply *apply, struct sb_err *err)
{
    if (name_temp(apply, err) < 0) {
        return -1;
    }
    apply->end = 0;
    apply->fd = openat(apply->parent, apply->temp,
                       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (apply->fd < 0) {
        apply->temp[0] = '\0';
        return sb_err_sys(err, errno, "make a file beside it");
    }
    return 0;
}

static int begin(struct sb_apply *apply, const struct sb_apply_change *change, struct sb_err *err)
{
    if (change->is_removal) {
        return remove_at(apply->parent, apply->name, 0, err);
    }
    switch (change->kind) {
    case SB_APPLY_FILE:
        return open_file(apply, err);
    case SB_APPLY_DIR:
        return make_dir(apply, change, err);
    case SB_APPLY_SYMLINK:
        return make_link(apply, change, err);
    case SB_APPLY_OTHER:
        break;
    }
    return sb_err_set(err, SB_DENIED, "is neither a file, a directory nor a link");
}

int sb_apply_begin(struct sb_apply *apply, const struct sb_apply_change *change, struct sb_err *err)
{
    drop(apply);
    apply->gives_way = !change->is_new;
    int rc = go_to(apply, change->path, err) < 0 ? -1 : begin(apply, change, err);
    if (rc < 0 || apply->fd < 0) {
        drop(apply);
    }
    return rc;
}

int sb_apply_data(
    struct sb_apply *apply, uint64_t offset, const void *data, size_t len, struct sb_err *err)
{
    const char *at = data;
    for (size_t done = 0; done < len;) {
        ssize_t n = pwrite(apply->fd, at + done, len - done, (off_t)(offset + done));
        if (n <= 0) {
            (void)sb_err_sys(err, n < 0 ? errno : ENOSPC, "write it");
            drop(apply);
            return -1;
        }
        done += (size_t)n;
    }
    apply->end = offset + len;
    return 0;
}

int sb_apply_end(struct sb_apply *apply, const struct sb_apply_change *change, struct sb_err *err)
{
    const struct timespec times[] = {change->time, change->time};
    int rc = 0;
    if ((apply->end != change->size && ftruncate(apply->fd, (off_t)change->size) < 0) ||
        fchmod(apply->fd, change->mode & PERMISSIONS) < 0 || futimens(apply->fd, times) < 0) {
        rc = sb_err_sys(err, errno, "finish it");
    }
    int fd = SB_STEAL_FD(apply->fd);
    if (close(fd) < 0 && rc == 0) {
        rc = sb_err_sys(err, errno, "write it");
    }
    rc = rc < 0 ? -1 : place(apply, err);
    drop(apply);
    return rc;
}

void sb_apply_finish(struct sb_apply *apply)
{
    drop(apply);
    for (size_t i = apply->n_late; i > 0; i--) {
        int fd = open_beneath(apply->root, apply->late[i - 1].path, O_RDONLY);
        if (fd >= 0) {
            (void)fchmod(fd, apply->late[i - 1].mode);
            (void)close(fd);
        }
    }
}
