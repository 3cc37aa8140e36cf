#include "mcp-gateway/mcp/stdio.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
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
};

struct sb_stdio {
    struct sb_mcp_link link; /* first: the ops get it */
    struct sb_mcp *mcp;
    struct sb_mcp_session session;
    int in;
    int out;
    struct event *readable;
    struct event *writable; /* added while something is queued */
    struct event *last_words;
    struct sb_buf line;  /* what came, from the start of a line */
    struct sb_buf queue; /* what goes */
    bool is_skipping;    /* to the end of a line that is too long */
    bool is_reading;     /* what is answered meanwhile goes out in one piece */
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
        (void)event_del(stdio->readable);
        (void)event_del(stdio->writable);
        (void)event_del(stdio->last_words);
        stdio->on_end(stdio->ctx);
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
            (void)event_add(stdio->writable, NULL);
            return;
        }
        if (n < 0) { /* EPIPE: nobody reads any more */
            sb_buf_clear(&stdio->queue);
            sb_stdio_end(stdio);
            return;
        }
        sb_buf_consume(&stdio->queue, (size_t)n);
    }
    stdio->link.is_full = false;
    if (stdio->is_ending) {
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
    if (sb_buf_append_str(&stdio->queue, message) < 0 ||
        sb_buf_append_byte(&stdio->queue, '\n') < 0) {
        SB_LOG_ERROR("the client does not read", "queued_bytes=%zu", stdio->queue.len);
        sb_buf_clear(&stdio->queue);
        sb_stdio_end(stdio);
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
    if (message.len > 0) {
        put((struct sb_stdio *)(void *)link, message);
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
    if (id.len > 0 && sb_raw_member(start, SB_STR("method")).len + id.len < KEPT_OF_LONG_LINE &&
        sb_json_scan(id, &limits, &err) == 0 && id.ptr + id.len < start.ptr + start.len) {
        sb_mcp_refuse(
            &stdio->link, NULL, id,
            &(struct sb_mcp_fault){.status = 413,
                                   .code = SB_MCP_INVALID_REQUEST,
                                   .message = SB_STR("the message is longer than 4 MiB")});
    }
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
        if (stdio->is_ending) {
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
    if (n <= 0) {
        sb_stdio_end(stdio);
        return;
    }
    sb_buf_commit(&stdio->line, (size_t)n);
    stdio->is_reading = true;
    take_lines(stdio, seen);
    stdio->is_reading = false;
    flush(stdio);
}

/* ---- life ---- */

static void on_last_words(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    end_now(ctx);
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
    stdio->readable =
        event_new(options->base, options->in, EV_READ | EV_PERSIST, on_readable, stdio);
    stdio->writable = event_new(options->base, options->out, EV_WRITE, on_writable, stdio);
    stdio->last_words = event_new(options->base, -1, 0, on_last_words, stdio);
    if (stdio->readable == NULL || stdio->writable == NULL || stdio->last_words == NULL ||
        event_add(stdio->readable, NULL) < 0) {
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
    (void)event_del(stdio->readable);
    sb_mcp_close(stdio->mcp);
    sb_mcp_link_drop(&stdio->link);
    if (stdio->queue.len == 0) {
        end_now(stdio);
        return;
    }
    (void)event_add(stdio->writable, NULL);
    (void)event_add(stdio->last_words, &wait);
}

void sb_stdio_free(struct sb_stdio *stdio)
{
    struct event *events[] = {stdio->readable, stdio->writable, stdio->last_words};
    sb_mcp_link_drop(&stdio->link);
    stdio->session.stream = NULL;
    sb_list_remove(&stdio->session.node);
    sb_mcp_session_done(&stdio->session);
    for (size_t i = 0; i < 3; i++) {
        if (events[i] != NULL) {
            event_free(events[i]);
        }
    }
    close(stdio->in);
    close(stdio->out);
    sb_buf_done(&stdio->line);
    sb_buf_done(&stdio->queue);
    free(stdio);
}
