#include "service/init/place.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>

#include "service/init/file_sys.h"
#include "service/init/text.h"
#include "service/shared/fileproto.h"

enum { MAX_LINKS = 40, MAX_REST = 2 * SB_FILE_MAX_PATH, DIR_MODE = 0755 };

struct walk {
    char rest[MAX_REST];
    const char *at; /* in rest: what is still to go */
    int n_links;
    int flags;
    int has_proc;
    dev_t proc; /* the file system of /proc */
    struct sb_place *place;
};

static void look_for_proc(struct walk *walk)
{
    struct statfs fs = {.f_type = 0};
    struct stat st = {.st_dev = 0};
    if (sb_sys_statfs("/proc", &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC &&
        sb_sys_stat("/proc", &st) == 0) {
        walk->has_proc = 1;
        walk->proc = st.st_dev;
    }
}

static int is_proc(const struct walk *walk, const struct stat *st)
{
    return walk->has_proc && st->st_dev == walk->proc;
}

/* The next name. Returns its length, 0 at the end, or -errno. */
static int next_name(struct walk *walk, char *name, unsigned size)
{
    unsigned len = 0;
    while (*walk->at == '/') {
        walk->at++;
    }
    while (walk->at[len] != '\0' && walk->at[len] != '/') {
        if (len == size - 1) {
            return -ENAMETOOLONG;
        }
        name[len] = walk->at[len];
        len++;
    }
    name[len] = '\0';
    walk->at += len;
    return (int)len;
}

static void go(struct walk *walk, int dir)
{
    sb_sys_close(walk->place->dir);
    walk->place->dir = dir;
}

static int go_to(struct walk *walk, const char *path, int base)
{
    int fd = (int)sb_sys_openat(base, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd >= 0) {
        go(walk, fd);
    }
    return fd < 0 ? fd : 0;
}

/* Puts where a link leads in front of what is still to go. */
static int follow(struct walk *walk, int link)
{
    char target[SB_FILE_MAX_PATH];
    char joined[MAX_REST];
    char *end = joined;
    long len = sb_sys_readlinkat(link, "", target, sizeof target - 1);
    if (++walk->n_links > MAX_LINKS) {
        return -ELOOP;
    }
    if (len <= 0) {
        return len < 0 ? (int)len : -ENOENT;
    }
    target[len] = '\0';
    if ((unsigned long)len + 1 + sb_text_len(walk->at) >= sizeof joined) {
        return -ENAMETOOLONG;
    }
    sb_text_add(&end, joined + sizeof joined, target);
    sb_text_add(&end, joined + sizeof joined, walk->at);
    __builtin_memcpy(walk->rest, joined, sizeof joined);
    walk->at = walk->rest;
    return target[0] == '/' ? go_to(walk, "/", -1) : 0;
}

static int is_dot(const char *name)
{
    return name[0] == '.' && name[1] == '\0';
}

static int is_dots(const char *name)
{
    return name[0] == '.' && name[1] == '.' && name[2] == '\0';
}

static int is_last(const char *rest)
{
    while (*rest == '/') {
        rest++;
    }
    return *rest == '\0';
}

static int open_name(struct walk *walk, const char *name, int is_end)
{
    const int flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
    int fd = (int)sb_sys_openat(walk->place->dir, name, flags, 0);
    if (fd == -ENOENT && !is_end && (walk->flags & SB_PLACE_PARENTS) != 0) {
        long error = sb_sys_mkdirat(walk->place->dir, name, DIR_MODE);
        if (error < 0 && error != -EEXIST) {
            return (int)error;
        }
        fd = (int)sb_sys_openat(walk->place->dir, name, flags, 0);
    }
    return fd;
}

/* One name further. Returns 1: this was the last, 0: go on, or -errno. */
static int advance(struct walk *walk, const char *name, unsigned *ret_why)
{
    struct sb_place *place = walk->place;
    int is_end = is_last(walk->at);
    int wants_dir = is_end && *walk->at == '/';
    int fd = open_name(walk, name, is_end);
    if (fd == -ENOENT && is_end) {
        return 1;
    }
    if (fd < 0) {
        return fd;
    }
    long error = sb_sys_fstat(fd, &place->st);
    if (error < 0) {
        sb_sys_close(fd);
        return (int)error;
    }
    if (S_ISLNK(place->st.st_mode) &&
        (!is_end || wants_dir || (walk->flags & SB_PLACE_FOLLOW) != 0)) {
        *ret_why = is_proc(walk, &place->st) ? SB_FILE_WHY_MAGIC : SB_FILE_WHY_ERRNO;
        error = is_proc(walk, &place->st) ? -ELOOP : follow(walk, fd);
        sb_sys_close(fd);
        return (int)error;
    }
    if ((!is_end || wants_dir) && !S_ISDIR(place->st.st_mode)) {
        sb_sys_close(fd);
        return -ENOTDIR;
    }
    if (is_end) {
        place->fd = fd;
        return 1;
    }
    go(walk, fd);
    return 0;
}

static int end_in_dir(struct walk *walk)
{
    struct sb_place *place = walk->place;
    place->name[0] = '.';
    place->name[1] = '\0';
    place->fd = (int)sb_sys_openat(place->dir, ".", O_PATH | O_CLOEXEC, 0);
    return place->fd < 0 ? place->fd : (int)sb_sys_fstat(place->fd, &place->st);
}

int sb_place_find(const char *path, int flags, struct sb_place *ret_place, unsigned *ret_why)
{
    static struct walk walk;
    char *end = walk.rest;
    walk.at = walk.rest;
    walk.n_links = 0;
    walk.flags = flags;
    walk.place = ret_place;
    ret_place->dir = -1;
    ret_place->fd = -1;
    *ret_why = SB_FILE_WHY_ERRNO;
    look_for_proc(&walk);
    sb_text_add(&end, walk.rest + sizeof walk.rest, path);
    int error = go_to(&walk, "/", -1);
    while (error == 0) {
        int len = next_name(&walk, ret_place->name, sizeof ret_place->name);
        if (len < 0) {
            return len;
        }
        if (len == 0) {
            error = end_in_dir(&walk);
            break;
        }
        error = is_dot(ret_place->name)    ? 0
                : is_dots(ret_place->name) ? go_to(&walk, "..", ret_place->dir)
                                           : advance(&walk, ret_place->name, ret_why);
    }
    if (error < 0) {
        return error;
    }
    struct stat dir = {.st_dev = 0};
    error = (int)sb_sys_fstat(ret_place->dir, &dir);
    ret_place->is_proc =
        is_proc(&walk, &dir) || (ret_place->fd >= 0 && is_proc(&walk, &ret_place->st));
    return error;
}

int sb_place_is_proc(const struct stat *st)
{
    static struct walk walk;
    static int has_looked;
    if (!has_looked) {
        look_for_proc(&walk);
        has_looked = 1;
    }
    return is_proc(&walk, st);
}
