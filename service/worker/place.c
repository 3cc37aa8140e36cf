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
    if (!options->is_embedded || options->listen.n > 0) {
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
    options->listen.items[0] = sb_str_dup(sb_str_from(path));
    if (options->listen.items[0] == NULL) {
        return sb_err_oom(err);
    }
    options->listen.n = 1;
    (void)snprintf(path, sizeof path, "%s/worker.log", dir);
    SB_CLEANUP(sb_closep)
    int log = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (log < 0 || dup2(log, STDERR_FILENO) < 0) {
        return sb_err_sys(err, errno, "log %s", path);
    }
    return 0;
}

/** What outlives the machine's next start; "" where there is no such place. */
static void lasting_path(char out[PATH_MAX])
{
    const char *xdg = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    out[0] = '\0';
    if (geteuid() == 0) {
        (void)snprintf(out, PATH_MAX, "/var/lib/aisbx");
    } else if (xdg != NULL && xdg[0] == '/') {
        (void)snprintf(out, PATH_MAX, "%s/aisbx", xdg);
    } else if (home != NULL && home[0] == '/') {
        (void)snprintf(out, PATH_MAX, "%s/.local/state/aisbx", home);
    }
}

/** Parts of the first unix socket's path; false: there is none. */
static bool
split_socket(const struct sb_options *options, struct sb_str *ret_dir, struct sb_str *ret_stem)
{
    for (size_t i = 0; i < options->listen.n; i++) {
        struct sb_str path = sb_str_from(options->listen.items[i]);
        const char *slash = strrchr(options->listen.items[i], '/');
        if (slash == NULL || !sb_str_starts_with(path, SB_STR("unix:/"))) {
            continue;
        }
        *ret_dir = sb_str_of(path.ptr + 5, (size_t)(slash - path.ptr) - 5);
        *ret_stem = sb_str_from(slash + 1);
        if (sb_str_ends_with(*ret_stem, SB_STR(".sock"))) {
            *ret_stem = sb_str_head(*ret_stem, ret_stem->len - 5);
        }
        return true;
    }
    return false;
}

/* Each worker has its own: those of other configurations have sockets of other names. */
static void state_path(const struct sb_options *options, char out[PATH_MAX])
{
    char runtime[PATH_MAX];
    char lasting[PATH_MAX];
    struct sb_str dir;
    struct sb_str stem;
    const char *own = getenv("AISBX_RUNTIME_DIR");
    lasting_path(lasting);
    (void)snprintf(out, PATH_MAX, "%s", options->state_dir != NULL ? options->state_dir : lasting);
    if (options->state_dir != NULL || !split_socket(options, &dir, &stem)) {
        return;
    }
    sb_place_dir(runtime);
    bool is_usual = sb_str_eq(stem, SB_STR("worker"));
    bool is_lasting = options->is_embedded && lasting[0] != '\0' &&
                      (own == NULL || own[0] != '/') && sb_str_eq(dir, sb_str_from(runtime));
    if (is_lasting && !is_usual) {
        (void)snprintf(out, PATH_MAX, "%.*s/%.*s", (int)(PATH_MAX / 2), lasting, SB_STR_ARG(stem));
    } else if (!is_lasting && is_usual) {
        (void)snprintf(out, PATH_MAX, "%.*s/output", SB_STR_ARG(dir));
    } else if (!is_lasting) {
        (void)snprintf(out, PATH_MAX, "%.*s/%.*s.state", SB_STR_ARG(dir), SB_STR_ARG(stem));
    }
}

/** mkdir -p. */
static int make_path(char path[PATH_MAX], struct sb_err *err)
{
    for (char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        int rc = mkdir(path, 0755);
        int failure = errno;
        *at = '/';
        if (rc < 0 && failure != EEXIST) {
            return sb_err_sys(err, failure, "make %s", path);
        }
    }
    return mkdir(path, 0700) < 0 && errno != EEXIST ? sb_err_sys(err, errno, "make %s", path) : 0;
}

int sb_place_state(
    const struct sb_options *options, uid_t owner, gid_t group, int *ret_fd, struct sb_err *err)
{
    char path[PATH_MAX];
    struct stat st;
    state_path(options, path);
    if (path[0] == '\0') {
        return sb_err_set(err, SB_INVALID, "nowhere to keep records: give --state-dir");
    }
    if (make_path(path, err) < 0) {
        return -1;
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
