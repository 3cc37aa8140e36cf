#include "mcp-gateway/mcp/stdio.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/json_scan.h"
#include "base/log.h"
#include "mcp-gateway/mcp/call.h"
#include "mcp-gateway/mcp/header.h"
#include "mcp-gateway/mcp/link.h"
#include "mcp-gateway/mcp/protocol.h"
#include "mcp-gateway/mcp/raw.h"
#include "mcp-gateway/mcp/server.h"
#include "mcp-gateway/mcp/session.h"

enum {
    READ_BYTES = 64 << 10,
    MAX_LINE = SB_MCP_MAX_MESSAGE + 2, /* with CR and LF */
    KEPT_OF_LONG_LINE = 512,           /* to find its id in */
    NOTES_BELOW = 1 << 20,             /* bytes queued; beyond, notifications are dropped */
    CALLS_BELOW = 8 << 20,             /* beyond, calls are refused */
    MAX_QUEUE = 64 << 20,              /* beyond, the client is given up */
    LAST_WORDS_MS = 100,
    LOOK_MS = 250,         /* whether somebody waits for what is still to come */
    LAST_RESORT_S = 90000, /* more than a call may take, which is a day */
};

enum { READABLE, WRITABLE, LAST_WORDS, GONE, LOOK, LAST_RESORT, N_EVENTS };

struct sb_stdio {
    struct sb_mcp_link link; /* first: the ops get it */
    struct sb_mcp *mcp;
    struct sb_mcp_session session;
    int in;
    int out;
    struct event *events[N_EVENTS]; /* writable: added while something is queued */
    struct sb_buf line;             /* what came, from the start of a line */
    struct sb_buf queue;            /* what goes */
    bool is_skipping;               /* to the end of a line that is too long */
    bool is_reading;                /* what is answered meanwhile goes out in one piece */
    bool is_broken;   /* nobody reads any more; it ends from the loop, not under a handler */
    bool is_draining; /* its input has ended: what is under way is answered, then it ends */
    bool is_ending;
    bool has_ended;
    void (*on_end)(void *ctx);
    void *ctx;
};

/* ---- descriptors ---- */

static int set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* Pipes and terminals get a description of our own, so that others who share them do not get
 * O_NONBLOCK; files keep theirs, whose position is shared, and never block. */
static int take_one(int fd, int mode, struct sb_err *err)
{
    char path[32];
    struct stat st;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fstat(fd, &st) < 0) {
        return sb_err_sys(err, errno, "descriptor %d", fd);
    }
    if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
        int own = open(path, mode | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
        if (own >= 0) {
            return own;
        }
    }
    SB_CLEANUP(sb_closep) int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (own < 0 || (!S_ISREG(st.st_mode) && set_nonblocking(own) < 0)) {
        return sb_err_sys(err, errno, "descriptor %d", fd);
    }
    return SB_STEAL_FD(own);
}

int sb_stdio_take(int *ret_in, int *ret_out, struct sb_err *err)
{
    SB_CLEANUP(sb_closep) int in = take_one(STDIN_FILENO, O_RDONLY, err);
    if (in < 0) {
        return -1;
    }
    SB_CLEANUP(sb_closep) int out = take_one(STDOUT_FILENO, O_WRONLY, err);
    if (out < 0) {
        return -1;
    }
    SB_CLEANUP(sb_closep) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
        dup2(fcntl(STDERR_FILENO, F_GETFD) < 0 ? null : STDERR_FILENO, STDOUT_FILENO) < 0) {
        return sb_err_sys(err, errno, "descriptors 0 and 1");
    }
    *ret_in = SB_STEAL_FD(in);
    *ret_out = SB_STEAL_FD(out);
    return 0;
}

/* ---- writing ---- */

static void end_now(struct sb_stdio *stdio)
{
    if (!stdio->has_ended) {
        stdio->has_ended = true;
        for (size_t i = 0; i < N_EVENTS; i++) {
            (void)event_del(stdio->events[i]);
        }
        stdio->on_end(stdio->ctx);
    }
}

/* Handlers may be writing just now, and their calls end with us. */
static void give_up(struct sb_stdio *stdio)
{
    stdio->is_broken = true;
    sb_buf_clear(&stdio->queue);
    event_active(stdio->events[GONE], EV_TIMEOUT, 0);
}

static void on_gone(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_stdio *stdio = ctx;
    sb_stdio_end(stdio);
    if (stdio->is_broken) {
        end_now(stdio);
    }
}

static void flush(struct sb_stdio *stdio)
{
    while (stdio->queue.len > 0 && !stdio->has_ended) {
        ssize_t n = write(stdio->out, sb_buf_cstr(&stdio->queue), stdio->queue.len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            (void)event_add(stdio->events[WRITABLE], NULL);
            return;
        }
        if (n < 0) { /* EPIPE: nobody reads any more */
            give_up(stdio);
            return;
        }
        sb_buf_consume(&stdio->queue, (size_t)n);
    }
    stdio->link.is_full = false;
    if (stdio->is_ending || (stdio->is_draining && stdio->link.n_calls == 0)) {
        end_now(stdio);
    }
}

static void on_writable(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    flush(ctx);
}

static void put(struct sb_stdio *stdio, struct sb_str message)
{
    if (stdio->is_broken) {
        return;
    }
    if (sb_buf_append_str(&stdio->queue, message) < 0 ||
        sb_buf_append_byte(&stdio->queue, '\n') < 0) {
        SB_LOG_ERROR("the client does not read", "queued_bytes=%zu", stdio->queue.len);
        give_up(stdio);
        return;
    }
    stdio->link.is_full = stdio->queue.len > CALLS_BELOW;
    if (!stdio->is_reading) {
        flush(stdio);
    }
}

static void send_note(struct sb_mcp_link *link, struct sb_str message)
{
    struct sb_stdio *stdio = (struct sb_stdio *)(void *)link;
    if (stdio->queue.len < NOTES_BELOW) {
        put(stdio, message);
    }
}

static void send_answer(struct sb_mcp_link *link, int status, struct sb_str message)
{
    (void)status;
    struct sb_stdio *stdio = (struct sb_stdio *)(void *)link;
    if (message.len > 0) {
        put(stdio, message);
    } else if (!stdio->is_reading) {
        flush(stdio); /* it may have been the last one */
    }
}

static const struct sb_mcp_link_ops ops = {.send = send_note, .answer = send_answer};

/* ---- reading ---- */

static void take_line(struct sb_stdio *stdio, struct sb_str line)
{
    static const struct sb_mcp_head head = {.is_http = false};
    line = sb_str_trim(line);
    if (line.len > 0) {
        sb_mcp_receive(stdio->mcp, &stdio->link, &head, NULL, line);
    }
}

/* The line is not kept, but its id may stand near its start. */
static void refuse_long(struct sb_stdio *stdio)
{
    struct sb_err err;
    const struct sb_json_scan_limits limits = {.bytes = SB_MCP_MAX_ID, .depth = 1, .values = 1};
    struct sb_str start = sb_str_head(sb_buf_str(&stdio->line), KEPT_OF_LONG_LINE);
    struct sb_str id = sb_raw_member(start, SB_STR("id"));
    bool is_whole = id.len > 0 &&
                    sb_raw_member(start, SB_STR("method")).len + id.len < KEPT_OF_LONG_LINE &&
                    sb_json_scan(id, &limits, &err) == 0 && id.ptr + id.len < start.ptr + start.len;
    sb_mcp_refuse(&stdio->link, NULL, is_whole ? id : sb_str_head(id, 0),
                  &(struct sb_mcp_fault){.status = 413,
                                         .code = SB_MCP_INVALID_REQUEST,
                                         .message = SB_STR("the message is longer than 4 MiB")});
    SB_LOG_WARN("a line is too long", "max_bytes=%d", SB_MCP_MAX_MESSAGE);
}

/* Takes complete lines off the front. */
static void take_lines(struct sb_stdio *stdio, size_t seen)
{
    for (;;) {
        struct sb_str held = sb_buf_str(&stdio->line);
        const char *end = held.len == seen ? NULL : memchr(held.ptr + seen, '\n', held.len - seen);
        if (end == NULL) {
            break;
        }
        size_t len = (size_t)(end - held.ptr);
        if (!stdio->is_skipping) {
            take_line(stdio, sb_str_head(held, len));
        }
        stdio->is_skipping = false;
        sb_buf_consume(&stdio->line, len + 1);
        seen = 0;
        if (stdio->is_ending || stdio->is_broken) {
            return;
        }
    }
    if (stdio->is_skipping) {
        sb_buf_clear(&stdio->line);
    } else if (stdio->line.len > MAX_LINE) {
        refuse_long(stdio);
        sb_buf_clear(&stdio->line);
        stdio->is_skipping = true;
    }
}

/* Nothing follows. Everything that was asked for is answered: calls end by their own limits, those
 * that only the client could help on are told that it does not. */
static void drain(struct sb_stdio *stdio)
{
    const struct timeval look = {0, LOOK_MS * 1000L};
    const struct timeval last_resort = {LAST_RESORT_S, 0};
    (void)event_del(stdio->events[READABLE]);
    if (!stdio->is_skipping) {
        take_line(stdio,
                  sb_buf_str(&stdio->line)); /* text without its line end is a message, too */
    }
    sb_mcp_close(stdio->mcp);
    sb_mcp_link_mute(&stdio->link);
    stdio->is_reading = false;
    stdio->is_draining = true;
    if (event_add(stdio->events[LOOK], &look) < 0 ||
        event_add(stdio->events[LAST_RESORT], &last_resort) < 0) {
        sb_stdio_end(stdio);
    }
}

static void on_look(evutil_socket_t fd, short what, void *ctx)
{
    (void)what;
    struct sb_stdio *stdio = ctx;
    struct pollfd out = {.fd = stdio->out};
    (void)fd;
    if (poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLHUP)) != 0) {
        sb_stdio_end(stdio);
    }
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    (void)what;
    struct sb_stdio *stdio = ctx;
    void *room = NULL;
    size_t seen = stdio->line.len;
    if (sb_buf_reserve(&stdio->line, READ_BYTES, &room) < 0) {
        SB_LOG_ERROR("out of memory");
        sb_stdio_end(stdio);
        return;
    }
    ssize_t n = read(fd, room, READ_BYTES);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    stdio->is_reading = true;
    if (n > 0) {
        sb_buf_commit(&stdio->line, (size_t)n);
        take_lines(stdio, seen);
    } else {
        drain(stdio);
    }
    stdio->is_reading = false;
    flush(stdio);
}

/* ---- life ---- */

static void on_end_now(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    end_now(ctx);
}

static bool make_events(struct sb_stdio *stdio, struct event_base *base)
{
    const struct {
        int fd;
        short what;
        event_callback_fn run;
    } rows[N_EVENTS] = {
        [READABLE] = {stdio->in, EV_READ | EV_PERSIST, on_readable},
        [WRITABLE] = {stdio->out, EV_WRITE, on_writable},
        [LAST_WORDS] = {-1, 0, on_end_now},
        [GONE] = {-1, 0, on_gone},
        [LOOK] = {-1, EV_PERSIST, on_look},
        [LAST_RESORT] = {-1, 0, on_gone},
    };
    bool is_whole = true;
    for (size_t i = 0; i < N_EVENTS; i++) {
        stdio->events[i] = event_new(base, rows[i].fd, rows[i].what, rows[i].run, stdio);
        is_whole = is_whole && stdio->events[i] != NULL;
    }
    return is_whole;
}

int sb_stdio_new(const struct sb_stdio_options *options,
                 struct sb_stdio **ret_stdio,
                 struct sb_err *err)
{
    struct sb_stdio *stdio = calloc(1, sizeof *stdio);
    if (stdio == NULL) {
        close(options->in);
        close(options->out);
        return sb_err_oom(err);
    }
    stdio->mcp = options->mcp;
    stdio->in = options->in;
    stdio->out = options->out;
    stdio->on_end = options->on_end;
    stdio->ctx = options->ctx;
    sb_buf_init(&stdio->line, MAX_LINE + READ_BYTES);
    sb_buf_init(&stdio->queue, MAX_QUEUE);
    sb_mcp_link_init(&stdio->link, &ops);
    sb_mcp_session_init(&stdio->session);
    stdio->link.is_stdio = true;
    stdio->link.caller = options->caller;
    stdio->link.session = &stdio->session;
    stdio->session.stream = &stdio->link;
    sb_list_prepend(&options->mcp->session_list, &stdio->session.node);
    if (!make_events(stdio, options->base) || event_add(stdio->events[READABLE], NULL) < 0) {
        sb_stdio_free(stdio);
        return sb_err_set(err, SB_INTERNAL, "descriptor %d cannot be waited for", options->in);
    }
    *ret_stdio = stdio;
    return 0;
}

void sb_stdio_end(struct sb_stdio *stdio)
{
    const struct timeval wait = {0, LAST_WORDS_MS * 1000L};
    if (stdio->is_ending) {
        return;
    }
    stdio->is_ending = true;
    (void)event_del(stdio->events[READABLE]);
    sb_mcp_close(stdio->mcp);
    sb_mcp_link_drop(&stdio->link);
    if (stdio->queue.len == 0) {
        end_now(stdio);
        return;
    }
    (void)event_add(stdio->events[WRITABLE], NULL);
    (void)event_add(stdio->events[LAST_WORDS], &wait);
}

void sb_stdio_free(struct sb_stdio *stdio)
{
    sb_mcp_link_drop(&stdio->link);
    stdio->session.stream = NULL;
    sb_list_remove(&stdio->session.node);
    sb_mcp_session_done(&stdio->session);
    for (size_t i = 0; i < N_EVENTS; i++) {
        if (stdio->events[i] != NULL) {
            event_free(stdio->events[i]);
        }
    }
    close(stdio->in);
    close(stdio->out);
    sb_buf_done(&stdio->line);
    sb_buf_done(&stdio->queue);
    free(stdio);
}
