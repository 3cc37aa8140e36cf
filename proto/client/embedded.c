/** The worker of one's own.
 *
 *  Theory of operation. The fast path is one connect(2) on a path made from the environment. Only
 *  when nobody answers there:
 *
 *      aisbx                                     aisbx-worker --embedded
 *      make DIR (0700), flock DIR/start.lock
 *      connect again: another aisbx may have been faster
 *      wait for the lock of the socket: the worker before may still be ending
 *      spawn: new session, 0-2 to null and log  -->  bind, listen
 *      read the pipe                            <--  "READY ...\n", or why not
 *      unlock, connect
 *
 *  The worker gets a chosen few environment variables, not the caller's secrets, and no descriptor
 *  but the pipe: it outlives the shell that started it. */
#include "proto/client/embedded.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mutate.h"
#include "base/say.h"
#include "base/str.h"
#include "proto/client/refresh.h"
#include "proto/client/setting.h"
#include "proto/client/sibling.h"
#include "proto/rpc/rpc.h"

enum {
    READY_FD = 3,
    START_TIMEOUT_MS = 20000,
    READY_LINE_BYTES = 400,
    END_TIMEOUT_MS = 30000, /* more than a worker needs to end */
    END_NOTE_MS = 1000,
    END_STEP_MS = 10,
    MAX_EXPECT = 63, /* the worker takes no longer one */
};

/* What is to be started. */
struct start {
    const char *address;
    const char *expect; /* a profile that will be asked for first; NULL: not known */
};

/* ---- where ---- */

/* Directories below /tmp could have been made by anybody. */
static int check_owner(const char *dir, struct sb_err *err)
{
    struct stat st;
    if (lstat(dir, &st) < 0) {
        return errno == ENOENT ? 0 : sb_err_sys(err, errno, "%s", dir);
    }
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022) != 0) {
        return sb_err_set(err, SB_DENIED, "%s is not a directory that only you can change", dir);
    }
    return 0;
}

static int find_dir(char out[PATH_MAX], struct sb_err *err)
{
    const char *own = sb_setting_get(SB_SETTING_RUNTIME_DIR);
    const char *xdg = getenv("XDG_RUNTIME_DIR");
    if (own != NULL && *own != '/') {
        return sb_err_set(err, SB_INVALID, "AISBX_RUNTIME_DIR: \"%s\" is not an absolute path",
                          own);
    }
    if (own != NULL) {
        (void)snprintf(out, PATH_MAX, "%s", own);
    } else if (geteuid() == 0) {
        (void)snprintf(out, PATH_MAX, "/run/aisbx");
    } else if (xdg != NULL && *xdg == '/') {
        (void)snprintf(out, PATH_MAX, "%s/aisbx", xdg);
    } else {
        (void)snprintf(out, PATH_MAX, "/tmp/aisbx-%lu", (unsigned long)geteuid());
        return check_owner(out, err);
    }
    return 0;
}

/* "" or "-0123456789abcdef". */
static int config_suffix(char out[20], struct sb_err *err)
{
    const char *config = sb_setting_get(SB_SETTING_CONFIG_PATH);
    out[0] = '\0';
    if (config == NULL) {
        return 0;
    }
    SB_CLEANUP(sb_freep) char *real = realpath(config, NULL);
    if (real == NULL) {
        return sb_err_sys(err, errno, "%s: %s", sb_setting_table[SB_SETTING_CONFIG_PATH].name,
                          config);
    }
    const struct sb_hash_key key = {0}; /* a name, not a defence */
    (void)snprintf(out, 20, "-%016" PRIx64, sb_hash_sip13(key, real, strlen(real)));
    return 0;
}

int sb_embedded_address(char out[SB_EMBEDDED_ADDRESS_SIZE], struct sb_err *err)
{
    char dir[PATH_MAX];
    char suffix[20];
    if (find_dir(dir, err) < 0 || config_suffix(suffix, err) < 0) {
        return -1;
    }
    int len = snprintf(out, SB_EMBEDDED_ADDRESS_SIZE, "unix:%s/worker%s.sock", dir, suffix);
    if (len < 0 || (size_t)len >= SB_EMBEDDED_ADDRESS_SIZE) {
        return sb_err_set(err, SB_INVALID, "%s: too long for the path of a socket", dir);
    }
    return 0;
}

/* ---- starting ---- */

/* Paths of one start. */
struct place {
    char dir[PATH_MAX];
    char lock[PATH_MAX];
    char log[PATH_MAX];
    char config[PATH_MAX]; /* absolute; "" without */
};

static int make_place(const char *address, struct place *place, struct sb_err *err)
{
    const char *path = address + strlen("unix:");
    const char *slash = strrchr(path, '/');
    const char *config = sb_setting_get(SB_SETTING_CONFIG_PATH);
    int len = (int)(slash - path);
    (void)snprintf(place->dir, PATH_MAX, "%.*s", len, path);
    (void)snprintf(place->lock, PATH_MAX, "%.*s/start.lock", len, path);
    (void)snprintf(place->log, PATH_MAX, "%.*s.log", (int)(strlen(path) - strlen(".sock")), path);
    place->config[0] = '\0';
    if (config != NULL && realpath(config, place->config) == NULL) {
        return sb_err_sys(err, errno, "%s", config);
    }
    if (mkdir(place->dir, 0700) < 0 && errno != EEXIST) {
        return sb_err_sys(err, errno, "make %s", place->dir);
    }
    return geteuid() == 0 ? 0 : check_owner(place->dir, err);
}

/* @ret_fd  -1: the file was removed, with the lock held, while we waited. */
static int lock_once(const char *path, int *ret_fd, struct sb_err *err)
{
    struct stat named;
    struct stat ours;
    SB_CLEANUP(sb_closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return sb_err_sys(err, errno, "%s", path);
    }
    while (flock(fd, LOCK_EX) < 0) {
        if (errno != EINTR) {
            return sb_err_sys(err, errno, "lock %s", path);
        }
    }
    bool is_still = lstat(path, &named) == 0 && fstat(fd, &ours) == 0 &&
                    named.st_dev == ours.st_dev && named.st_ino == ours.st_ino;
    *ret_fd = is_still ? SB_STEAL_FD(fd) : -1;
    return 0;
}

static int lock_place(const struct place *place, struct sb_err *err)
{
    int fd = -1;
    while (fd < 0) {
        if (lock_once(place->lock, &fd, err) < 0) {
            return -1;
        }
    }
    return fd;
}

/* A worker that ends serves nobody any more, but keeps its socket's lock until it is gone. */
static int wait_for_end(const char *address, struct sb_err *err)
{
    const struct timespec step = {.tv_nsec = END_STEP_MS * 1000000L};
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s.lock", address + strlen("unix:"));
    SB_CLEANUP(sb_closep) int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    for (int ms = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0; ms += END_STEP_MS) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return sb_err_sys(err, errno, "lock %s", path);
        }
        if (ms >= END_TIMEOUT_MS) {
            return sb_err_set(err, SB_UNAVAILABLE, "the worker before does not end");
        }
        if (ms == END_NOTE_MS) {
            sb_say_note("waiting for the worker before to end");
        }
        (void)nanosleep(&step, NULL);
    }
    return 0;
}

/* What the worker may know of the caller's environment. */
static const char *const inherited[] = {"PATH",
                                        "HOME",
                                        "USER",
                                        "LOGNAME",
                                        "TMPDIR",
                                        "XDG_RUNTIME_DIR",
                                        "XDG_CONFIG_HOME",
                                        "XDG_STATE_HOME",
                                        "XDG_DATA_HOME",
                                        "AISBX_DEBUG",
                                        "AISBX_RUNTIME_DIR",
                                        "ASAN_OPTIONS",
                                        "UBSAN_OPTIONS",
                                        "TSAN_OPTIONS" SB_MUTATE_INHERITED};

enum { N_INHERITED = sizeof inherited / sizeof inherited[0] };

/* Owned strings, ended by NULL; what memory does not suffice for is left out. */
struct environment {
    char *items[N_INHERITED + 2];
};

static void environment_make(struct environment *env, const struct place *place)
{
    size_t n = 0;
    *env = (struct environment){0};
    for (size_t i = 0; i < N_INHERITED; i++) {
        const char *value = getenv(inherited[i]);
        if (value != NULL && asprintf(&env->items[n], "%s=%s", inherited[i], value) >= 0) {
            n++;
        }
    }
    if (place->config[0] != '\0' &&
        asprintf(&env->items[n], "AISBX_CONFIG_PATH=%s", place->config) < 0) {
        env->items[n] = NULL;
    }
}

static void environment_done(struct environment *env)
{
    for (size_t i = 0; i < N_INHERITED + 2; i++) {
        free(env->items[i]);
    }
}

/* Above those that the worker has: @fd may be 0, 1 or 2 when aisbx was started with one of them
 * closed. */
static int move_up(int fd, struct sb_err *err)
{
    int moved = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, READY_FD + 1);
    return moved < 0 ? sb_err_sys(err, errno, "start the worker") : moved;
}

static int open_log(const char *path, struct sb_err *err)
{
    SB_CLEANUP(sb_closep)
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? sb_err_sys(err, errno, "open %s", path) : move_up(fd, err);
}

/* What becomes of the descriptors. Returns an errno. */
static int add_actions(posix_spawn_file_actions_t *actions, int log, int ready)
{
    const struct {
        int from;
        int to;
    } places[] = {{log, 1}, {log, 2}, {ready, READY_FD}};
    int rc = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDWR, 0);
    for (size_t i = 0; rc == 0 && i < sizeof places / sizeof *places; i++) {
        rc = posix_spawn_file_actions_adddup2(actions, places[i].from, places[i].to);
    }
    if (rc == 0 && !sb_mutated("fds.worker")) {
        rc = posix_spawn_file_actions_addclosefrom_np(actions, READY_FD + 1);
    }
    return rc != 0 ? rc : posix_spawn_file_actions_addchdir_np(actions, "/");
}

static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none;
    sigset_t pipe;
    (void)sigemptyset(&none);
    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    int rc = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                                      POSIX_SPAWN_SETSIGDEF);
    rc = rc != 0 ? rc : posix_spawnattr_setsigmask(attributes, &none);
    return rc != 0 ? rc : posix_spawnattr_setsigdefault(attributes, &pipe);
}

/* A fork would copy the tables of our memory, and each page that either touches then. */
static int become_worker(const char *worker,
                         const struct start *start,
                         char **environment,
                         int log,
                         int ready,
                         pid_t *ret_pid)
{
    char fd_text[] = {'0' + READY_FD, '\0'};
    const char *argv[] = {"aisbx-worker", "--embedded", "--listen",
                          start->address, "--ready-fd", fd_text,
                          NULL,           NULL,         NULL};
    char *args[sizeof argv / sizeof argv[0]];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    if (start->expect != NULL) {
        argv[6] = "--expect";
        argv[7] = start->expect;
    }
    memcpy(args, argv, sizeof argv); /* exec has no const */
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0) {
        return rc;
    }
    rc = posix_spawnattr_init(&attributes);
    if (rc == 0) {
        rc = add_actions(&actions, log, ready);
        rc = rc != 0 ? rc : set_attributes(&attributes);
        mode_t mask = umask(077); /* inherited */
        rc = rc != 0 ? rc
                     : posix_spawn(ret_pid, worker, &actions, &attributes, args,
                                   sb_mutated("env.worker") ? environ : environment);
        (void)umask(mask);
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return rc;
}

enum line_end { LINE_WHOLE, LINE_EOF, LINE_LATE };

static enum line_end read_line(int fd, char line[READY_LINE_BYTES])
{
    uint64_t deadline = sb_clock_mono_ms() + START_TIMEOUT_MS;
    size_t len = 0;
    enum line_end end = LINE_EOF;
    while (len < READY_LINE_BYTES - 1) {
        struct pollfd pfd = {.fd = fd, .events = POLLIN};
        int ready = poll(&pfd, 1, sb_clock_left_ms(deadline));
        if (ready < 0 && errno == EINTR) {
            continue;
        }
        ssize_t n = ready <= 0 ? 0 : read(fd, line + len, READY_LINE_BYTES - 1 - len);
        if (n <= 0) {
            end = ready == 0 ? LINE_LATE : LINE_EOF;
            break;
        }
        len += (size_t)n;
        if (line[len - 1] == '\n') {
            len--;
            end = LINE_WHOLE;
            break;
        }
    }
    line[len] = '\0';
    return end;
}

/* Its end follows the end of its pipe at once. False: it goes on. */
static bool has_ended(pid_t pid, int *ret_status)
{
    const struct timespec step = {.tv_nsec = 10000000};
    for (int i = 0; i < 100; i++) {
        if (waitpid(pid, ret_status, WNOHANG) == pid) {
            return true;
        }
        (void)nanosleep(&step, NULL);
    }
    return false;
}

static int wait_ready(pid_t pid, int fd, struct sb_err *err)
{
    char line[READY_LINE_BYTES];
    enum line_end end = read_line(fd, line);
    int status = 0;
    if (end == LINE_WHOLE && strncmp(line, "READY", 5) == 0) {
        return 0;
    }
    if (line[0] != '\0') {
        const char *why = strncmp(line, "ERROR ", 6) == 0 ? line + 6 : line;
        return sb_err_set(err, SB_UNAVAILABLE, "the worker did not start: %s", why);
    }
    if (end == LINE_LATE || !has_ended(pid, &status)) {
        return sb_err_set(err, SB_UNAVAILABLE, "the worker did not start: it gave no answer");
    }
    if (WIFSIGNALED(status)) {
        return sb_err_set(err, SB_UNAVAILABLE, "the worker did not start: ended by signal %d",
                          WTERMSIG(status));
    }
    return sb_err_set(err, SB_UNAVAILABLE, "the worker did not start: exit status %d",
                      WEXITSTATUS(status));
}

static int spawn(const struct start *start, const struct place *place, struct sb_err *err)
{
    char worker[PATH_MAX];
    char old[PATH_MAX + 4];
    int ends[2];
    pid_t pid = 0;
    if (!sb_sibling_find("aisbx-worker", worker)) {
        return sb_err_set(
            err, SB_NOT_FOUND,
            "aisbx-worker is neither beside aisbx, nor in ../libexec/aisbx, nor in PATH");
    }
    if (sb_fd_pipe(ends, err) < 0) {
        return -1;
    }
    SB_CLEANUP(sb_closep) int ours = ends[0];
    SB_CLEANUP(sb_closep) int theirs = ends[1];
    (void)snprintf(old, sizeof old, "%s.old", place->log);
    (void)rename(place->log, old);
    SB_CLEANUP(sb_closep) int log = open_log(place->log, err);
    SB_CLEANUP(sb_closep) int ready = log < 0 ? -1 : move_up(theirs, err);
    if (ready < 0) {
        return -1;
    }
    SB_CLEANUP(environment_done) struct environment environment;
    environment_make(&environment, place);
    sb_refresh_note(start->address);
    SB_LOG_DEBUG("starting worker", "program=%s address=%s", worker, start->address);
    int rc = become_worker(worker, start, environment.items, log, ready, &pid);
    if (rc != 0) {
        return sb_err_sys(err, rc, "execute %s", worker);
    }
    sb_closep(&theirs);
    sb_closep(&ready);
    theirs = ready = -1;
    return wait_ready(pid, ours, err);
}

int sb_embedded_start(
    const char *address, const char *expect, char *hint, size_t hint_size, struct sb_err *err)
{
    const bool is_name = expect != NULL && expect[0] != '\0' && strlen(expect) <= MAX_EXPECT;
    const struct start start = {.address = address, .expect = is_name ? expect : NULL};
    struct place place;
    struct sb_rpc_channel *channel = NULL;
    struct sb_err nobody;
    if (make_place(address, &place, err) < 0) {
        return sb_err_wrap(err, "cannot start a worker");
    }
    SB_CLEANUP(sb_closep) int lock = lock_place(&place, err);
    if (lock < 0) {
        return sb_err_wrap(err, "cannot start a worker");
    }
    if (sb_rpc_channel_open(address, NULL, &channel, &nobody) == 0) {
        sb_rpc_channel_free(channel); /* another aisbx was faster */
        return 0;
    }
    if (wait_for_end(address, err) < 0) {
        return sb_err_wrap(err, "cannot start a worker");
    }
    if (spawn(&start, &place, err) < 0) {
        (void)snprintf(hint, hint_size, "its log is %.200s", place.log);
        return -1;
    }
    return 0;
}
