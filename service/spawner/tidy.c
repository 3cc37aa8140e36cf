#include "service/spawner/tidy.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define LOCK_OF_STARTS "start.lock" /* proto/client/embedded.c */

static bool open_place(struct sb_tidy_place *place, const char *path)
{
    char dir[SB_TIDY_NAME_SIZE];
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path);
    if (path[0] != '/' || strlen(path) >= sizeof dir) {
        return false;
    }
    memcpy(dir, path, len);
    dir[len] = '\0';
    (void)snprintf(place->name, sizeof place->name, "%s", slash + 1);
    place->dir_fd = open(len == 0 ? "/" : dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return place->dir_fd >= 0;
}

void sb_tidy_open(
    struct sb_tidy *ret_tidy, char *const *sockets, const bool *keeps, size_t n, bool is_embedded)
{
    *ret_tidy = (struct sb_tidy){.is_embedded = is_embedded};
    for (size_t i = 0; i < n && ret_tidy->n < SB_TIDY_MAX; i++) {
        struct sb_tidy_place *place = &ret_tidy->places[ret_tidy->n];
        if (open_place(place, sockets[i])) {
            place->keeps_socket = keeps[i];
            ret_tidy->n++;
        }
    }
}

/* The lock on a file that is still the one of its name; -1: somebody else's, or none. */
static int take_lock(int dir_fd, const char *name)
{
    struct stat locked;
    struct stat named;
    SB_CLEANUP(sb_closep) int fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &locked) == 0 &&
                   fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
                   locked.st_dev == named.st_dev && locked.st_ino == named.st_ino
               ? SB_STEAL_FD(fd)
               : -1;
}

/* Only what is of the kind that we make. */
static void remove_one(int dir_fd, const char *name, mode_t kind)
{
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && (st.st_mode & S_IFMT) == kind) {
        (void)unlinkat(dir_fd, name, kind == S_IFDIR ? AT_REMOVEDIR : 0);
    }
}

static bool is_socket_name(const char *name)
{
    size_t len = strlen(name);
    return len > 5 && strcmp(name + len - 5, ".sock") == 0;
}

/* Whether no other worker has its socket there. With another AISBX_CONFIG_PATH it has. */
static bool is_alone(const struct sb_tidy_place *place)
{
    bool found = false;
    int fd = openat(place->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        sb_closep(&fd);
        return false;
    }
    for (const struct dirent *entry; !found && (entry = readdir(dir)) != NULL;) {
        found = is_socket_name(entry->d_name) && strcmp(entry->d_name, place->name) != 0;
    }
    (void)closedir(dir);
    return !found;
}

static void remove_embedded(const struct sb_tidy_place *place, bool is_orderly)
{
    char name[SB_TIDY_NAME_SIZE + 16];
    (void)snprintf(name, sizeof name, "%s.config", place->name);
    remove_one(place->dir_fd, name, S_IFLNK);
    if (is_orderly && is_socket_name(place->name)) {
        (void)snprintf(name, sizeof name, "%.*s.log", (int)strlen(place->name) - 5, place->name);
        remove_one(place->dir_fd, name, S_IFREG);
    }
    if (is_alone(place)) {
        remove_one(place->dir_fd, "output", S_IFDIR);
        remove_one(place->dir_fd, LOCK_OF_STARTS, S_IFREG);
    }
}

static void tidy_place(const struct sb_tidy_place *place, bool is_embedded, bool is_orderly)
{
    char lock[SB_TIDY_NAME_SIZE + 16];
    (void)snprintf(lock, sizeof lock, "%s.lock", place->name);
    SB_CLEANUP(sb_closep)
    int starts = is_embedded ? take_lock(place->dir_fd, LOCK_OF_STARTS) : -1;
    if (is_embedded && starts < 0) {
        return; /* whoever holds it starts the next worker, in our place */
    }
    SB_CLEANUP(sb_closep) int own = take_lock(place->dir_fd, lock);
    if (own < 0) {
        return;
    }
    if (!place->keeps_socket) {
        remove_one(place->dir_fd, place->name, S_IFSOCK);
    }
    if (is_embedded) {
        remove_embedded(place, is_orderly);
    }
    remove_one(place->dir_fd, lock, S_IFREG);
}

void sb_tidy_run(struct sb_tidy *tidy, bool is_orderly)
{
    for (size_t i = 0; i < tidy->n; i++) {
        tidy_place(&tidy->places[i], tidy->is_embedded, is_orderly);
        (void)close(tidy->places[i].dir_fd);
    }
    tidy->n = 0;
}
