#include "service/worker/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "service/worker/options.h"

void sb_place_dir(char out[PATH_MAX])
{
    const char *own = getenv("AISBX_RUNTIME_DIR");
    const char *xdg = getenv("XDG_RUNTIME_DIR");
    if (own != NULL && own[0] == '/') {
        (void)snprintf(out, PATH_MAX, "%s", own);
    } else if (geteuid() == 0) {
        (void)snprintf(out, PATH_MAX, "/run/aisbx");
    } else if (xdg != NULL && xdg[0] == '/') {
        (void)snprintf(out, PATH_MAX, "%s/aisbx", xdg);
    } else {
        (void)snprintf(out, PATH_MAX, "/tmp/aisbx-%lu", (unsigned long)geteuid());
    }
}

static int make_own(const char *dir, mode_t mode, struct sb_err *err)
{
    struct stat st;
    if (mkdir(dir, mode) < 0 && errno != EEXIST) {
        return sb_err_sys(err, errno, "make %s", dir);
    }
    if (lstat(dir, &st) < 0) {
        return sb_err_sys(err, errno, "%s", dir);
    }
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022) != 0) {
        return sb_err_set(err, SB_DENIED, "%s is not a directory that only you can change", dir);
    }
    return 0;
}

int sb_place_settle(struct sb_options *options, struct sb_err *err)
{
    char dir[PATH_MAX - 32];
    char path[PATH_MAX];
    if (!options->is_embedded || options->n_listen > 0) {
        return 0;
    }
    sb_place_dir(path);
    if (strlen(path) >= sizeof dir) {
        return sb_err_set(err, SB_INVALID, "the runtime directory's name is too long");
    }
    memcpy(dir, path, strlen(path) + 1);
    if (make_own(dir, 0700, err) < 0) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "unix:%s/worker.sock", dir);
    options->listen[0] = sb_str_dup(sb_str_from(path));
    if (options->listen[0] == NULL) {
        return sb_err_oom(err);
    }
    options->n_listen = 1;
    (void)snprintf(path, sizeof path, "%s/worker.log", dir);
    SB_CLEANUP(sb_closep)
    int log = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (log < 0 || dup2(log, STDERR_FILENO) < 0) {
        return sb_err_sys(err, errno, "log %s", path);
    }
    return 0;
}

/** "" when output stays in memory. */
static void state_path(const struct sb_options *options, char out[PATH_MAX])
{
    out[0] = '\0';
    if (options->state_dir != NULL) {
        (void)snprintf(out, PATH_MAX, "%s", options->state_dir);
        return;
    }
    if (!options->is_embedded || options->n_listen == 0) {
        return;
    }
    const char *first = options->listen[0];
    const char *slash = strrchr(first, '/');
    if (slash != NULL && strncmp(first, "unix:/", 6) == 0) {
        (void)snprintf(out, PATH_MAX, "%.*s/output", (int)(slash - first - 5), first + 5);
    }
}

int sb_place_state(
    const struct sb_options *options, uid_t owner, gid_t group, int *ret_fd, struct sb_err *err)
{
    char path[PATH_MAX];
    struct stat st;
    state_path(options, path);
    if (path[0] == '\0') {
        *ret_fd = -1;
        return 0;
    }
    if (mkdir(path, 0700) < 0 && errno != EEXIST) {
        return sb_err_sys(err, errno, "make %s", path);
    }
    SB_CLEANUP(sb_closep) int fd = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) < 0) {
        return sb_err_sys(err, errno, "%s", path);
    }
    if (st.st_uid != owner && (st.st_uid != geteuid() || fchown(fd, owner, group) < 0)) {
        return sb_err_set(err, SB_DENIED, "%s belongs to another user", path);
    }
    *ret_fd = SB_STEAL_FD(fd);
    return 0;
}
