#include "mcp-gateway/http/conn.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/err.h"
#include "mcp-gateway/http/problem.h"

enum {
    READ_HIGH_BYTES = 64 << 10, /* a client that sends more while its request waits is cut off */
    LINGER_MS = 2000,
};

static void free_conn(struct sb_conn *conn)
{
    struct sb_http_server *server = conn->server;
    sb_list_remove(&conn->node);
    server->n_conns--;
    if (conn->closed != NULL) {
        event_free(conn->closed);
    }
    if (conn->bev != NULL) {
        bufferevent_free(conn->bev);
    }
    free(conn->identity);
    free(conn);
}

void sb_conn_enter(struct sb_conn *conn)
{
    conn->busy++;
}

void sb_conn_leave(struct sb_conn *conn)
{
    if (--conn->busy == 0 && conn->is_dead) {
        free_conn(conn);
    }
}

static void die(struct sb_conn *conn)
{
    conn->is_dead = true;
    if (conn->bev != NULL) {
        (void)bufferevent_disable(conn->bev, EV_READ | EV_WRITE);
        bufferevent_setcb(conn->bev, NULL, NULL, NULL, NULL);
    }
    if (conn->closed != NULL) {
        (void)event_del(conn->closed);
    }
}

void sb_conn_lost(struct sb_conn *conn)
{
    if (conn->is_dead) {
        return;
    }
    sb_conn_enter(conn);
    die(conn);
    struct sb_http_request *request = conn->request;
    if (request != NULL) {
        bool is_known = conn->state == SB_CONN_PENDING || conn->state == SB_CONN_STREAM ||
                        conn->state == SB_CONN_RELAY;
        request->is_gone = true;
        if (is_known && request->watcher != NULL && request->watcher->gone != NULL) {
            request->watcher->gone(request, request->watcher_user);
        }
        sb_request_end(request, SB_HTTP_GONE);
    }
    sb_conn_leave(conn);
}

bool sb_conn_is_idle(const struct sb_conn *conn)
{
    return conn->state == SB_CONN_HEAD && conn->request == NULL &&
           evbuffer_get_length(bufferevent_get_input(conn->bev)) == 0;
}

/* ---- writing ---- */

void sb_conn_send(struct sb_conn *conn, const struct sb_str *pieces, size_t n)
{
    struct evbuffer *output = bufferevent_get_output(conn->bev);
    size_t sent = 0;
    if (conn->is_dead) {
        return;
    }
    /* Almost every answer fits into the socket: spare the loop a turn. */
    if (conn->server->tls == NULL && evbuffer_get_length(output) == 0) {
        struct iovec iov[SB_CONN_MAX_PIECES];
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};
        for (size_t i = 0; i < n; i++) {
            /* Only read. NOLINTNEXTLINE(performance-no-int-to-ptr) */
            iov[i] = (struct iovec){(void *)(uintptr_t)pieces[i].ptr, pieces[i].len};
        }
        ssize_t got = sendmsg(conn->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        sent = got < 0 ? 0 : (size_t)got;
        conn->moved_ms = conn->server->now_ms;
    }
    for (size_t i = 0; i < n; i++) {
        struct sb_str rest = sb_str_skip(pieces[i], sent);
        sent -= pieces[i].len - rest.len;
        if (rest.len > 0 && evbuffer_add(output, rest.ptr, rest.len) < 0) {
            /* Memory is out: an answer with a hole must not look whole. */
            die(conn);
            return;
        }
    }
}

static void note_moved(struct evbuffer *output, const struct evbuffer_cb_info *info, void *ctx)
{
    struct sb_conn *conn = ctx;
    (void)output;
    if (info->n_deleted > 0 || info->orig_size == 0) {
        conn->moved_ms = conn->server->now_ms;
    }
}

static void start_linger(struct sb_conn *conn)
{
    conn->state = SB_CONN_LINGER;
    conn->deadline_ms = conn->server->now_ms + LINGER_MS;
    if (conn->server->tls != NULL) {
        (void)SSL_shutdown(bufferevent_openssl_get_ssl(conn->bev)); /* says that it is the end */
        ERR_clear_error();
    }
    (void)shutdown(conn->fd, SHUT_WR);
    /* Behind a body that was held back nothing more would be read. */
    struct evbuffer *input = bufferevent_get_input(conn->bev);
    (void)evbuffer_drain(input, evbuffer_get_length(input));
    if (conn->is_eof) {
        sb_conn_lost(conn);
    }
}

static void flushed(struct sb_conn *conn)
{
    if (conn->closes || conn->is_eof) {
        start_linger(conn);
        return;
    }
    conn->state = SB_CONN_HEAD;
    conn->find_from = 0;
    conn->has_begun = false;
    conn->is_line_skipped = false;
    bool has_more = evbuffer_get_length(bufferevent_get_input(conn->bev)) > 0;
    conn->deadline_ms = conn->server->now_ms + (has_more ? conn->server->options.timeout_ms
                                                         : conn->server->options.idle_ms);
    if (has_more && !conn->is_advancing) {
        bufferevent_trigger(conn->bev, EV_READ,
                            BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
    }
}

void sb_conn_answered(struct sb_conn *conn)
{
    conn->state = SB_CONN_FLUSH;
    if (conn->is_dead) {
        return;
    }
    bufferevent_setwatermark(conn->bev, EV_WRITE, 0, 0);
    if (evbuffer_get_length(bufferevent_get_output(conn->bev)) == 0) {
        flushed(conn);
    }
}

/* ---- reading ---- */

/* Before the handler: answers, and ends the connection. */
static void refuse(struct sb_conn *conn, int status, const struct sb_err *err)
{
    conn->closes = true;
    if (conn->request == NULL && sb_request_new(conn) == NULL) {
        sb_conn_lost(conn);
        return;
    }
    conn->state = SB_CONN_PENDING;
    if (status == 503) {
        sb_http_add_header(conn->request, "Retry-After", "1");
    }
    sb_http_problem(conn->request, &(struct sb_http_problem){
                                       .status = status, .code = err->code, .detail = err->text});
}

static void dispatch(struct sb_conn *conn)
{
    struct sb_http_server *server = conn->server;
    conn->state = SB_CONN_PENDING;
    server->options.handle(conn->request, server->options.user);
    if (conn->is_half_closed && !conn->is_dead && conn->request != NULL) {
        sb_conn_lost(conn);
    }
}

/* The body waits to be asked for. */
static void start_relay(struct sb_conn *conn)
{
    struct sb_http_server *server = conn->server;
    struct sb_http_request *request = conn->request;
    conn->state = SB_CONN_RELAY;
    request->is_body_held = true;
    if (request->streams_body) {
        server->options.handle(request, server->options.user);
    } else {
        request->chunked.drops_trailers = true;
        request->target.path = request->head.target; /* for who counts requests by path */
        server->options.relay(request, server->options.user);
    }
    if (conn->is_half_closed && !conn->is_dead && conn->request != NULL) {
        sb_conn_lost(conn);
    }
}

/* The steps return whether to go on. */
static bool step_head(struct sb_conn *conn, struct evbuffer *input)
{
    struct sb_err err = {0};
    size_t held = evbuffer_get_length(input);
    if (held == 0) {
        return false;
    }
    if (!conn->has_begun) {
        conn->has_begun = true;
        conn->deadline_ms = conn->server->now_ms + conn->server->options.timeout_ms;
    }
    size_t n = held < SB_HTTP_MAX_HEAD_BYTES ? held : SB_HTTP_MAX_HEAD_BYTES;
    const char *bytes = (const char *)evbuffer_pullup(input, (ev_ssize_t)n);
    if (bytes == NULL) {
        sb_conn_lost(conn);
        return false;
    }
    if (!conn->is_line_skipped && conn->find_from == 0 && n >= 2 && memcmp(bytes, "\r\n", 2) == 0) {
        conn->is_line_skipped = true; /* one may stand before a request */
        (void)evbuffer_drain(input, 2);
        return true;
    }
    int len = sb_head_find_end(sb_str_of(bytes, n), &conn->find_from);
    if (len == 0 && n < SB_HTTP_MAX_HEAD_BYTES) {
        return false;
    }
    if (len <= 0) {
        (void)sb_err_set(&err, SB_INVALID, "%s",
                         len < 0 ? "a line of the head does not end with CR LF"
                                 : "the head is longer than 16 KiB");
        refuse(conn, len < 0 ? 400 : 431, &err);
        return true;
    }
    int status = 0;
    if (sb_request_read_head(conn, input, (size_t)len, &status, &err) < 0) {
        refuse(conn, status, &err);
        return true;
    }
    if (conn->request->relays != SB_HTTP_RELAYS_NOT || conn->request->streams_body) {
        start_relay(conn);
        return true;
    }
    if (conn->request->head.body_bytes == 0 && !conn->request->head.is_chunked) {
        dispatch(conn);
        return true;
    }
    conn->state = SB_CONN_BODY;
    if (conn->request->head.wants_continue) {
        sb_conn_send(conn, &SB_STR("HTTP/1.1 100 Continue\r\n\r\n"), 1);
    }
    return true;
}

static int body_status(const struct sb_err *err)
{
    return err->sys == ENOBUFS ? 413 : err->code == SB_EXHAUSTED ? 503 : 400;
}

static bool step_body(struct sb_conn *conn, struct evbuffer *input)
{
    struct sb_http_request *request = conn->request;
    struct sb_http_server *server = conn->server;
    struct sb_err err = {0};
    int failed = sb_request_take_body(request, input, &err);
    size_t grown = request->body.len - request->counted_bytes;
    request->counted_bytes += grown;
    server->held_bytes += grown;
    if (failed == 0 && server->held_bytes > server->options.max_bodies_bytes) {
        failed = sb_err_set(&err, SB_EXHAUSTED, "too many large requests at once");
    }
    if (failed < 0) {
        if (err.sys == ENOBUFS) {
            (void)sb_err_set(&err, SB_INVALID, "the body may have at most %zu bytes",
                             server->options.max_body_bytes);
            refuse(conn, 413, &err);
        } else {
            refuse(conn, body_status(&err), &err);
        }
        return true;
    }
    if (request->head.is_chunked ? request->chunked.state != SB_CHUNKED_DONE
                                 : request->body.len < request->head.body_bytes) {
        return false;
    }
    dispatch(conn);
    return true;
}

/* Something is wrong with a body that is not kept. */
static void give_up_body(struct sb_conn *conn, int status, const struct sb_err *err)
{
    struct sb_http_request *request = conn->request;
    const struct sb_http_watcher *watcher = request->watcher;
    if (!request->streams_body) {
        /* It may be on its way to the server, and the answer with it: there is nothing to say. */
        sb_conn_lost(conn);
        return;
    }
    request->watcher = NULL;
    request->body_watcher = NULL;
    if (watcher != NULL && watcher->gone != NULL) {
        watcher->gone(request, request->watcher_user);
    }
    refuse(conn, status, err);
}

static bool step_relay(struct sb_conn *conn, struct evbuffer *input)
{
    struct sb_err err = {0};
    if (sb_conn_step_relay(conn, input, &err)) {
        return true;
    }
    if (err.code != SB_OK && conn->request != NULL) {
        give_up_body(conn, body_status(&err), &err);
    }
    return conn->state == SB_CONN_HEAD; /* answered from within */
}

static void advance(struct sb_conn *conn)
{
    struct evbuffer *input = bufferevent_get_input(conn->bev);
    bool goes_on = true;
    conn->is_advancing = true;
    while (goes_on && !conn->is_dead) {
        switch (conn->state) {
        case SB_CONN_HEAD:
            goes_on = step_head(conn, input);
            break;
        case SB_CONN_BODY:
            goes_on = step_body(conn, input);
            break;
        case SB_CONN_RELAY:
            goes_on = step_relay(conn, input);
            break;
        case SB_CONN_LINGER:
            (void)evbuffer_drain(input, evbuffer_get_length(input));
            goes_on = false;
            break;
        case SB_CONN_PENDING:
        case SB_CONN_STREAM:
        case SB_CONN_FLUSH:
            goes_on = false;
        }
    }
    conn->is_advancing = false;
}

/* ---- events ---- */

static void on_read(struct bufferevent *bev, void *ctx)
{
    struct sb_conn *conn = ctx;
    conn->server->now_ms = sb_clock_mono_ms();
    sb_conn_enter(conn);
    if (!conn->is_advancing) {
        advance(conn);
    }
    /* Behind so much that nobody reads, its leaving could not be seen. */
    bool is_behind =
        conn->state == SB_CONN_PENDING || conn->state == SB_CONN_STREAM ||
        (conn->state == SB_CONN_RELAY && conn->request != NULL && conn->request->is_body_done);
    if (is_behind && !conn->is_dead &&
        evbuffer_get_length(bufferevent_get_input(bev)) >= READ_HIGH_BYTES) {
        sb_conn_lost(conn);
    }
    sb_conn_leave(conn); /* NOLINT(clang-analyzer-unix.Malloc): freed when nobody is busy */
}

static void on_write(struct bufferevent *bev, void *ctx)
{
    struct sb_conn *conn = ctx;
    (void)bev;
    sb_conn_enter(conn);
    if (conn->state == SB_CONN_FLUSH) {
        flushed(conn);
    } else if ((conn->state == SB_CONN_STREAM || conn->state == SB_CONN_RELAY) &&
               conn->request->is_over_high) {
        struct sb_http_request *request = conn->request;
        request->is_over_high = false;
        if (request->watcher != NULL && request->watcher->drained != NULL) {
            request->watcher->drained(request, request->watcher_user);
        }
    }
    sb_conn_leave(conn);
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
    struct sb_conn *conn = ctx;
    if (what & BEV_EVENT_CONNECTED) {
        SSL *ssl = bufferevent_openssl_get_ssl(bev);
        conn->identity = ssl == NULL ? NULL : sb_http_tls_identity(ssl);
        return;
    }
    if ((what & BEV_EVENT_EOF) != 0 && conn->state == SB_CONN_FLUSH) {
        conn->is_eof = true; /* it may still be reading */
        return;
    }
    if ((what & BEV_EVENT_EOF) != 0 && conn->state == SB_CONN_RELAY && conn->request->is_upgraded) {
        conn->is_eof = true; /* one half of a tunnel */
        sb_conn_enter(conn);
        advance(conn);
        sb_conn_leave(conn);
        return;
    }
    sb_conn_lost(conn);
}

static void on_closed(evutil_socket_t fd, short what, void *ctx)
{
    struct sb_conn *conn = ctx;
    (void)fd;
    (void)what;
    conn->is_half_closed = true;
    (void)event_del(conn->closed);
    if (conn->state == SB_CONN_PENDING || conn->state == SB_CONN_STREAM ||
        (conn->state == SB_CONN_RELAY && !conn->request->is_upgraded)) {
        sb_conn_lost(conn);
    }
}

/* libevent tells a reset to who reads or writes, and of a body that is held back nobody does. */
static bool is_reset(const struct sb_conn *conn)
{
    struct pollfd pfd = {.fd = conn->fd, .events = 0};
    return conn->state == SB_CONN_RELAY && conn->request->is_body_held && poll(&pfd, 1, 0) > 0 &&
           (pfd.revents & (POLLERR | POLLHUP)) != 0;
}

void sb_conn_tick(struct sb_conn *conn)
{
    struct sb_http_server *server = conn->server;
    bool has_output = evbuffer_get_length(bufferevent_get_output(conn->bev)) > 0;
    if ((has_output && server->now_ms - conn->moved_ms > server->options.timeout_ms) ||
        is_reset(conn)) {
        sb_conn_lost(conn);
        return;
    }
    bool is_late = server->now_ms > conn->deadline_ms;
    struct sb_err err = {0};
    if (conn->state == SB_CONN_RELAY && is_late && !conn->request->is_body_held &&
        !conn->request->is_body_done && !conn->request->is_upgraded) {
        (void)sb_err_set(&err, SB_DEADLINE, "nothing more of the body arrived for %u ms",
                         server->options.timeout_ms);
        sb_conn_enter(conn);
        give_up_body(conn, 408, &err);
        sb_conn_leave(conn); /* NOLINT(clang-analyzer-unix.Malloc): freed when nobody is busy */
        return;
    }
    if (conn->state == SB_CONN_RELAY || conn->state == SB_CONN_PENDING ||
        conn->state == SB_CONN_STREAM || conn->state == SB_CONN_FLUSH || !is_late) {
        return;
    }
    bool is_within =
        conn->state == SB_CONN_BODY || (conn->state == SB_CONN_HEAD && !sb_conn_is_idle(conn));
    if (!is_within) {
        sb_conn_lost(conn);
        return;
    }
    (void)sb_err_set(&err, SB_DEADLINE, "the request did not arrive within %u ms",
                     server->options.timeout_ms);
    sb_conn_enter(conn);
    refuse(conn, 408, &err);
    sb_conn_leave(conn); /* NOLINT(clang-analyzer-unix.Malloc): freed when nobody is busy */
}

static struct bufferevent *new_bev(struct sb_http_server *server, evutil_socket_t fd)
{
    if (server->tls == NULL) {
        return bufferevent_socket_new(server->options.base, fd, BEV_OPT_CLOSE_ON_FREE);
    }
    SSL *ssl = SSL_new(server->tls);
    struct bufferevent *bev =
        ssl == NULL
            ? NULL
            : bufferevent_openssl_socket_new(server->options.base, fd, ssl,
                                             BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    if (bev == NULL) {
        SSL_free(ssl);
        return NULL;
    }
    bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    return bev;
}

int sb_conn_new(struct sb_http_server *server, evutil_socket_t fd, const char *peer)
{
    struct sb_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL) {
        return -1;
    }
    conn->server = server;
    conn->fd = fd;
    conn->bev = new_bev(server, fd);
    if (conn->bev == NULL) {
        free(conn);
        return -1;
    }
    sb_list_append(&server->conns, &conn->node);
    server->n_conns++;
    (void)snprintf(conn->peer, sizeof conn->peer, "%s", peer);
    conn->moved_ms = server->now_ms;
    conn->deadline_ms = server->now_ms + server->options.timeout_ms;
    bufferevent_setcb(conn->bev, on_read, on_write, on_event, conn);
    bufferevent_setwatermark(conn->bev, EV_READ, 0, READ_HIGH_BYTES);
    conn->closed = event_new(server->options.base, fd, EV_CLOSED | EV_PERSIST, on_closed, conn);
    if (conn->closed == NULL || event_add(conn->closed, NULL) < 0 ||
        evbuffer_add_cb(bufferevent_get_output(conn->bev), note_moved, conn) == NULL ||
        bufferevent_enable(conn->bev, EV_READ | EV_WRITE) < 0) {
        sb_conn_lost(conn);
    }
    return 0;
}
