/** Theory of operation. The path is owned by whoever holds flock on path.lock, so that a crash
 * leaves nothing to clean up by hand and a second server cannot steal the socket of a living one
 * (bind on a unix path knows neither). Whoever ends in good order may remove the lock file while it
 * holds the lock; so a lock counts only on the file that still has the name.
 *
 *  An accepted connection waits until its first byte can be peeked at: 'P' opens an HTTP/2 preface,
 * while a ttrpc frame always starts with 0. */
#include "proto/rpc/listener.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "proto/rpc/local/origin.h"

enum { BACKOFF_MS = 100, ACCEPTS_PER_TURN = 32, LOCK_TRIES = 20, LOCK_STEP_MS = 10 };

struct sb_listener {
    struct sb_listener_options options;
    char *path;
    int fd;
    int lock_fd;
    bool is_bound;
    bool is_started;
    unsigned n_connections;
    struct event accept_event;
    struct event backoff;
    struct sb_list waiting; /* struct waiting: no byte yet */
};

struct waiting {
    struct sb_list in_waiting;
    struct sb_listener *listener;
    int fd;
    struct ucred cred;
    struct event readable;
};

/* ---- opening ---- */

/** Whether fd is the file that has the name now. */
static bool is_still(const char *name, int fd)
{
    struct stat named;
    struct stat ours;
    return lstat(name, &named) == 0 && fstat(fd, &ours) == 0 && named.st_dev == ours.st_dev &&
           named.st_ino == ours.st_ino;
}

/** One try. @ret_fd  -1: it is somebody's, perhaps for the moment of tidying up only. */
static int try_lock(const char *name, int *ret_fd, struct sb_err *err)
{
    SB_CLEANUP(sb_closep) int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return sb_err_sys(err, errno, "open %s", name);
    }
    bool is_locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (!is_locked && errno != EWOULDBLOCK && errno != EINTR) {
        return sb_err_sys(err, errno, "lock %s", name);
    }
    bool is_ours = is_locked && is_still(name, fd);
    *ret_fd = is_ours ? SB_STEAL_FD(fd) : -1;
    return 0;
}

static int lock_path(struct sb_listener *listener, struct sb_err *err)
{
    const struct timespec step = {.tv_nsec = LOCK_STEP_MS * 1000000L};
    char *name = NULL;
    if (asprintf(&name, "%s.lock", listener->path) < 0) {
        return sb_err_oom(err);
    }
    SB_CLEANUP(sb_freep) char *owned = name;
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (try_lock(owned, &listener->lock_fd, err) < 0) {
            return -1;
        }
        if (listener->lock_fd >= 0) {
            return 0;
        }
        (void)nanosleep(&step, NULL);
    }
    return sb_err_set(err, SB_EXISTS, "%s: another server serves it", listener->path);
}

static int remove_stale(const char *path, struct sb_err *err)
{
    struct stat st;
    if (lstat(path, &st) < 0) {
        return errno == ENOENT ? 0 : sb_err_sys(err, errno, "stat %s", path);
    }
    if (!S_ISSOCK(st.st_mode)) {
        return sb_err_set(err, SB_EXISTS, "%s: there is something that is not a socket", path);
    }
    return unlink(path) < 0 ? sb_err_sys(err, errno, "remove %s", path) : 0;
}

static int check_path(const char *path, struct sb_err *err)
{
    const size_t max = sizeof((struct sockaddr_un *)NULL)->sun_path - 1;
    return path[0] != '/' || strlen(path) > max
               ? sb_err_set(err, SB_INVALID,
                            "%s: a socket path is absolute and at most %zu bytes long", path, max)
               : 0;
}

static int bind_path(struct sb_listener *listener, struct sb_err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, listener->path, strlen(listener->path) + 1);
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener->fd < 0) {
        return sb_err_sys(err, errno, "socket");
    }
    /* The mode of the socket itself becomes that of the file: no moment with a wider one. */
    unsigned mode = listener->options.mode == 0 ? 0600 : listener->options.mode;
    if (fchmod(listener->fd, mode) < 0 ||
        bind(listener->fd, (const struct sockaddr *)&address, sizeof address) < 0) {
        return sb_err_sys(err, errno, "bind %s", listener->path);
    }
    listener->is_bound = true;
    if (chmod(listener->path, mode) < 0 || listen(listener->fd, SOMAXCONN) < 0) {
        return sb_err_sys(err, errno, "listen on %s", listener->path);
    }
    return 0;
}

static void on_acceptable(evutil_socket_t fd, short what, void *ctx);
static void on_backoff(evutil_socket_t fd, short what, void *ctx);

int sb_listener_open(const struct sb_listener_options *options,
                     struct sb_listener **ret_listener,
                     struct sb_err *err)
{
    SB_CLEANUP(sb_closep) int given = options->is_given ? options->given_fd : -1;
    if (check_path(options->path, err) < 0) {
        return -1;
    }
    struct sb_listener *listener = calloc(1, sizeof *listener);
    if (listener == NULL) {
        return sb_err_oom(err);
    }
    listener->options = *options;
    listener->fd = SB_STEAL_FD(given);
    listener->lock_fd = -1;
    sb_list_init(&listener->waiting);
    listener->path = strdup(options->path);
    if (listener->path == NULL) {
        sb_listener_free(listener);
        return sb_err_oom(err);
    }
    if (lock_path(listener, err) < 0 ||
        (!options->is_given &&
         (remove_stale(listener->path, err) < 0 || bind_path(listener, err) < 0))) {
        sb_listener_free(listener);
        return -1;
    }
    *ret_listener = listener;
    return 0;
}

int sb_listener_start(struct sb_listener *listener, struct sb_err *err)
{
    struct event_base *base = listener->options.base;
    if (event_assign(&listener->accept_event, base, listener->fd, EV_READ | EV_PERSIST,
                     on_acceptable, listener) < 0 ||
        evtimer_assign(&listener->backoff, base, on_backoff, listener) < 0 ||
        event_add(&listener->accept_event, NULL) < 0) {
        return sb_err_set(err, SB_INTERNAL, "%s: cannot watch the socket", listener->path);
    }
    listener->is_started = true;
    return 0;
}

/* ---- accepting ---- */

static void waiting_free(struct waiting *waiting)
{
    (void)event_del(&waiting->readable);
    sb_list_remove(&waiting->in_waiting);
    sb_closep(&waiting->fd);
    free(waiting);
}

static void on_first_byte(evutil_socket_t fd, short what, void *ctx)
{
    (void)what;
    struct waiting *waiting = ctx;
    struct sb_listener *listener = waiting->listener;
    char byte = 0;
    ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        waiting_free(waiting);
        sb_listener_release(listener);
        return;
    }
    int owned = SB_STEAL_FD(waiting->fd);
    struct ucred cred = waiting->cred;
    waiting_free(waiting);
    listener->options.accepted(listener->options.ctx, owned, &cred, byte == 'P');
}

/** Takes the fd. */
static void admit(struct sb_listener *listener, int fd)
{
    struct sb_err err;
    if (sb_origin_check(fd, &err) < 0) {
        SB_LOG_WARN("connection refused", "why=%s", err.text);
        sb_closep(&fd);
        return;
    }
    struct waiting *waiting = calloc(1, sizeof *waiting);
    if (waiting == NULL) {
        sb_closep(&fd);
        return;
    }
    waiting->listener = listener;
    waiting->fd = fd;
    socklen_t len = sizeof waiting->cred;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &waiting->cred, &len) < 0 ||
        event_assign(&waiting->readable, listener->options.base, fd, EV_READ | EV_PERSIST,
                     on_first_byte, waiting) < 0 ||
        event_add(&waiting->readable, NULL) < 0) {
        sb_closep(&fd);
        free(waiting);
        return;
    }
    sb_list_append(&listener->waiting, &waiting->in_waiting);
    listener->n_connections++;
}

static bool is_full(const struct sb_listener *listener)
{
    return listener->n_connections >= listener->options.max_connections;
}

/** Descriptors or memory ran out: accept would fail at once again, so wait a little. */
static void back_off(struct sb_listener *listener)
{
    const struct timeval pause = {0, (suseconds_t)BACKOFF_MS * 1000};
    (void)event_del(&listener->accept_event);
    (void)event_add(&listener->backoff, &pause);
}

static void on_acceptable(evutil_socket_t fd, short what, void *ctx)
{
    (void)what;
    struct sb_listener *listener = ctx;
    for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
        if (is_full(listener)) {
            (void)event_del(&listener->accept_event); /* until a release */
            return;
        }
        int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (accepted >= 0) {
            admit(listener, accepted);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            back_off(listener);
        }
        if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

static void on_backoff(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_listener *listener = ctx;
    if (!is_full(listener)) {
        (void)event_add(&listener->accept_event, NULL);
    }
}

void sb_listener_release(struct sb_listener *listener)
{
    listener->n_connections--;
    if (listener->is_started && !event_pending(&listener->backoff, EV_TIMEOUT, NULL)) {
        (void)event_add(&listener->accept_event, NULL);
    }
}

void sb_listener_stop(struct sb_listener *listener)
{
    if (listener->is_started) {
        (void)event_del(&listener->accept_event);
        (void)event_del(&listener->backoff);
        listener->is_started = false;
    }
    SB_FOREACH (node, &listener->waiting) {
        waiting_free(SB_LIST_ENTRY(node, struct waiting, in_waiting));
        listener->n_connections--;
    }
    sb_closep(&listener->fd);
    listener->fd = -1;
}

void sb_listener_free(struct sb_listener *listener)
{
    if (listener == NULL) {
        return;
    }
    sb_listener_stop(listener);
    if (listener->is_bound && listener->path != NULL) {
        (void)unlink(listener->path);
    }
    sb_closep(&listener->lock_fd);
    free(listener->path);
    free(listener);
}
