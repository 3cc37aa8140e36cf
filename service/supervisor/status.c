#include "service/supervisor/status.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/log.h"
#include "base/num.h"
#include "base/out.h"
#include "service/supervisor/supervisor.h"

enum { ASK_S = 5, MAX_ANSWER = 16 << 10, MAX_ASKERS = 16 };

/* Who asks. */
struct asker {
    struct sb_status *status;
    int fd; /* -1: nobody */
    struct event *event;
};

struct sb_status {
    struct sb_supervisor *supervisor;
    struct asker askers[MAX_ASKERS];
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    int lock;
    int fd;
    struct event *event;
};

/* ---- text ---- */

static void put_text(const struct sb_supervisor *supervisor, struct sb_out *out)
{
    char since[SB_NUM_TEXT_SIZE];
    sb_out_printf(out, "%s\n", sb_supervisor_word(supervisor));
    for (size_t i = 0; i < supervisor->n_parts; i++) {
        const struct sb_part *part = &supervisor->parts[i];
        sb_out_printf(
            out, "%-8s %-8s pid %d, for %s, restarts %ju, %s", part->name,
            sb_part_state_name(part->state), (int)part->pid,
            sb_num_format_millis(since, (sb_clock_mono_ms() - part->since_ms) / 1000 * 1000),
            (uintmax_t)part->restarts, part->is_well ? "answers" : "not well: ");
        sb_out_put_safe(out, sb_str_from(part->unwell_why));
        if (part->why[0] != '\0') {
            sb_out_put(out, "; ended before by ");
            sb_out_put_safe(out, sb_str_from(part->why));
        }
        sb_out_put(out, "\n");
    }
    if (supervisor->reload_why[0] != '\0') {
        sb_out_put(out, "the last configuration was not taken: ");
        sb_out_put_safe(out, sb_str_from(supervisor->reload_why));
        sb_out_put(out, "\n");
    }
}

static void put_json(const struct sb_supervisor *supervisor, struct sb_out *out)
{
    struct sb_json json = {.out = out};
    sb_json_open(&json, NULL, '{');
    sb_json_cstr(&json, "status", sb_supervisor_word(supervisor));
    sb_json_cstr(&json, "version", SB_VERSION);
    sb_json_u64(&json, "pid", (uint64_t)getpid());
    sb_json_open(&json, "parts", '{');
    for (size_t i = 0; i < supervisor->n_parts; i++) {
        const struct sb_part *part = &supervisor->parts[i];
        sb_json_open(&json, part->name, '{');
        sb_json_cstr(&json, "state", sb_part_state_name(part->state));
        sb_json_bool(&json, "well", part->is_well);
        sb_json_u64(&json, "pid", (uint64_t)part->pid);
        sb_json_u64(&json, "state_ms", sb_clock_mono_ms() - part->since_ms);
        sb_json_u64(&json, "restarts", part->restarts);
        if (part->port != 0) {
            sb_json_u64(&json, "port", (uint64_t)part->port);
        }
        sb_json_cstr(&json, "why", part->unwell_why);
        sb_json_cstr(&json, "last_end", part->why);
        sb_json_close(&json, '}');
    }
    sb_json_close(&json, '}');
    sb_json_cstr(&json, "reload_refused", supervisor->reload_why);
    sb_json_close(&json, '}');
    sb_out_put(out, "\n");
}

/* ---- serving ---- */

/* It fits the socket's buffer: nobody waits for a reader. */
static void answer(const struct sb_supervisor *supervisor, int fd, char how)
{
    struct sb_err err;
    struct sb_out out;
    sb_out_init(&out, -1);
    sb_out_put(&out, sb_supervisor_is_well(supervisor) ? "0" : "1");
    if (how == 'j') {
        put_json(supervisor, &out);
    } else {
        put_text(supervisor, &out);
    }
    (void)sb_fd_send(fd, sb_buf_cstr(&out.buf), out.buf.len, NULL, 0, &err);
    sb_out_done(&out);
}

static void asker_done(struct asker *asker)
{
    if (asker->event != NULL) {
        event_free(asker->event);
        asker->event = NULL;
    }
    sb_closep(&asker->fd);
    asker->fd = -1;
}

static void on_asked(evutil_socket_t fd, short what, void *ctx)
{
    struct asker *asker = ctx;
    char how = 0;
    if ((what & EV_READ) != 0 && recv(fd, &how, 1, MSG_DONTWAIT) == 1) {
        answer(asker->status->supervisor, fd, how);
    }
    asker_done(asker);
}

static struct asker *free_asker(struct sb_status *status)
{
    for (size_t i = 0; i < MAX_ASKERS; i++) {
        if (status->askers[i].fd < 0) {
            return &status->askers[i];
        }
    }
    return NULL;
}

static void on_connection(evutil_socket_t listener, short what, void *ctx)
{
    (void)what;
    struct sb_status *status = ctx;
    const struct timeval wait = {ASK_S, 0};
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        return;
    }
    struct asker *asker = free_asker(status);
    if (asker == NULL) { /* so many at once are no operator's */
        close(fd);
        return;
    }
    *asker = (struct asker){status, fd, NULL};
    asker->event = event_new(status->supervisor->base, fd, EV_READ, on_asked, asker);
    if (asker->event == NULL || event_add(asker->event, &wait) < 0) {
        asker_done(asker);
    }
}

static int address_of(const char *dir, struct sockaddr_un *ret_address, struct sb_err *err)
{
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n =
        snprintf(ret_address->sun_path, sizeof ret_address->sun_path, "%s/supervisor.sock", dir);
    return n < 0 || (size_t)n >= sizeof ret_address->sun_path
               ? sb_err_set(err, SB_INVALID, "the runtime directory's name is too long")
               : 0;
}

static int take_lock(struct sb_status *status, const char *dir, struct sb_err *err)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/supervisor.lock", dir);
    status->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (status->lock < 0) {
        return sb_err_sys(err, errno, "%s", path);
    }
    if (flock(status->lock, LOCK_EX | LOCK_NB) < 0) {
        return sb_err_set(err, SB_EXISTS, "another supervisor uses %s", dir);
    }
    return 0;
}

static int listen_at(struct sb_status *status, const char *dir, struct sb_err *err)
{
    struct sockaddr_un address;
    if (address_of(dir, &address, err) < 0 || take_lock(status, dir, err) < 0) {
        return -1;
    }
    memcpy(status->path, address.sun_path, sizeof status->path);
    (void)unlink(status->path); /* the lock is ours: whose it was is gone */
    status->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (status->fd < 0) {
        return sb_err_sys(err, errno, "socket");
    }
    mode_t before = umask(0177);
    int rc = bind(status->fd, (const struct sockaddr *)(const void *)&address, sizeof address);
    int sys = errno;
    (void)umask(before);
    if (rc < 0 || listen(status->fd, 64) < 0) {
        return sb_err_sys(err, rc < 0 ? sys : errno, "%s", status->path);
    }
    return 0;
}

int sb_status_new(struct sb_supervisor *supervisor,
                  const char *dir,
                  struct sb_status **ret_status,
                  struct sb_err *err)
{
    struct sb_status *status = calloc(1, sizeof *status);
    if (status == NULL) {
        return sb_err_oom(err);
    }
    *status = (struct sb_status){.supervisor = supervisor, .lock = -1, .fd = -1};
    for (size_t i = 0; i < MAX_ASKERS; i++) {
        status->askers[i].fd = -1;
    }
    if (listen_at(status, dir, err) < 0) {
        status->path[0] = '\0';
        sb_status_free(status);
        return -1;
    }
    status->event =
        event_new(supervisor->base, status->fd, EV_READ | EV_PERSIST, on_connection, status);
    if (status->event == NULL || event_add(status->event, NULL) < 0) {
        sb_status_free(status);
        return sb_err_oom(err);
    }
    *ret_status = status;
    return 0;
}

void sb_status_free(struct sb_status *status)
{
    if (status == NULL) {
        return;
    }
    for (size_t i = 0; i < MAX_ASKERS; i++) {
        asker_done(&status->askers[i]);
    }
    if (status->event != NULL) {
        event_free(status->event);
    }
    if (status->path[0] != '\0') {
        (void)unlink(status->path);
    }
    sb_closep(&status->fd);
    sb_closep(&status->lock);
    free(status);
}

/* ---- asking ---- */

static int fetch(const char *dir, bool wants_json, struct sb_buf *answer, struct sb_err *err)
{
    struct sockaddr_un address;
    const struct timeval wait = {ASK_S, 0};
    void *room = NULL;
    size_t len = 0;
    if (address_of(dir, &address, err) < 0) {
        return -1;
    }
    SB_CLEANUP(sb_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) < 0) {
        return sb_err_sys(err, errno, "socket");
    }
    if (connect(fd, (const struct sockaddr *)(const void *)&address, sizeof address) < 0) {
        return sb_err_sys(err, errno, "no supervisor at %s", address.sun_path);
    }
    if (sb_fd_send(fd, wants_json ? "j" : "t", 1, NULL, 0, err) < 0 ||
        sb_buf_reserve(answer, MAX_ANSWER, &room) < 0 ||
        sb_fd_read_full(fd, room, MAX_ANSWER, &len, err) < 0) {
        return sb_err_wrap(err, "the supervisor does not answer");
    }
    sb_buf_commit(answer, len);
    return len < 2 ? sb_err_set(err, SB_UNAVAILABLE, "the supervisor does not answer") : 0;
}

static void print_failure(const struct sb_err *err, bool wants_json, FILE *out)
{
    struct sb_out text;
    struct sb_json json = {.out = &text};
    if (!wants_json) {
        (void)fprintf(out, "down\n%s\n", err->text);
        return;
    }
    sb_out_init(&text, -1);
    sb_json_open(&json, NULL, '{');
    sb_json_cstr(&json, "status", "down");
    sb_json_cstr(&json, "why", err->text);
    sb_json_close(&json, '}');
    (void)fprintf(out, "%s\n", sb_buf_cstr(&text.buf));
    sb_out_done(&text);
}

int sb_status_ask(const char *dir, bool wants_json, FILE *out)
{
    struct sb_err err;
    SB_CLEANUP(sb_buf_done) struct sb_buf answer = SB_BUF_INIT(MAX_ANSWER);
    if (fetch(dir, wants_json, &answer, &err) < 0) {
        print_failure(&err, wants_json, out);
        return 1;
    }
    struct sb_str text = sb_buf_str(&answer);
    (void)fprintf(out, "%.*s", (int)text.len - 1, text.ptr + 1);
    return text.ptr[0] == '0' ? 0 : 1;
}
