#include "mcp-gateway/http/relay.h"

#include <event2/buffer.h>
#include <inttypes.h>
#include <stdio.h>

#include "mcp-gateway/http/conn.h"
#include "mcp-gateway/http/problem.h"

struct sb_str sb_http_method_text(const struct sb_http_request *request)
{
    return request->head.method_text;
}

struct sb_str sb_http_target(const struct sb_http_request *request)
{
    return request->head.target;
}

void sb_http_each_header(const struct sb_http_request *request,
                         void (*visit)(const char *name, const char *value, void *ctx),
                         void *ctx)
{
    for (size_t i = 0; i < request->head.n_fields; i++) {
        visit(request->head.fields[i].name, request->head.fields[i].value, ctx);
    }
}

bool sb_http_body_length(const struct sb_http_request *request, uint64_t *ret_length)
{
    *ret_length = request->head.body_bytes;
    return !request->head.is_chunked;
}

bool sb_http_is_http10(const struct sb_http_request *request)
{
    return request->head.is_http10;
}

bool sb_http_is_tls(const struct sb_http_request *request)
{
    return request->conn->server->tls != NULL;
}

bool sb_http_is_relayed(const struct sb_http_request *request)
{
    return request->relays != SB_HTTP_RELAYS_NOT;
}

/* ---- the body ---- */

void sb_http_watch_body(struct sb_http_request *request,
                        const struct sb_http_body_watcher *watcher,
                        void *user)
{
    request->body_watcher = watcher;
    request->body_user = user;
}

void sb_http_relay_read(struct sb_http_request *request)
{
    struct sb_conn *conn = request->conn;
    if (request->is_gone || conn->is_dead || !request->is_body_held) {
        return;
    }
    request->is_body_held = false;
    conn->deadline_ms = conn->server->now_ms + conn->server->options.timeout_ms;
    sb_conn_enter(conn);
    if (request->head.wants_continue && !request->was_told_continue && !request->has_begun) {
        request->was_told_continue = true;
        sb_conn_send(conn, &SB_STR("HTTP/1.1 100 Continue\r\n\r\n"), 1);
    }
    if (!conn->is_dead) {
        bufferevent_trigger(conn->bev, EV_READ,
                            BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
    }
    sb_conn_leave(conn);
}

/* Returns bytes taken, or -1: the body is no body. */
static int next_piece(struct sb_http_request *request,
                      struct evbuffer *input,
                      struct sb_str *ret_piece,
                      struct sb_err *err)
{
    ev_ssize_t want = request->is_upgraded || !request->head.is_chunked ? 1 : -1;
    size_t n = want < 0 ? evbuffer_get_length(input) : evbuffer_get_contiguous_space(input);
    const char *bytes = (const char *)evbuffer_pullup(input, (ev_ssize_t)n);
    *ret_piece = sb_str_of(bytes, 0);
    if (bytes == NULL) {
        return sb_err_oom(err);
    }
    if (request->is_upgraded) {
        *ret_piece = sb_str_of(bytes, n);
        return (int)n;
    }
    if (request->head.is_chunked) {
        return sb_chunked_step(&request->chunked, bytes, n, ret_piece, err);
    }
    uint64_t left = request->head.body_bytes - request->body_taken;
    n = n < left ? n : (size_t)left;
    request->body_taken += n;
    *ret_piece = sb_str_of(bytes, n);
    return (int)n;
}

static bool is_whole(const struct sb_http_request *request)
{
    if (request->is_upgraded) {
        return false;
    }
    return request->head.is_chunked ? request->chunked.state == SB_CHUNKED_DONE
                                    : request->body_taken == request->head.body_bytes;
}

static void tell_end(struct sb_http_request *request)
{
    request->is_body_done = true;
    if (request->body_watcher != NULL) {
        request->body_watcher->end(request, request->body_user);
    }
}

bool sb_conn_step_relay(struct sb_conn *conn, struct evbuffer *input, struct sb_err *err)
{
    struct sb_http_request *request = conn->request;
    struct sb_str piece;
    if (request->is_body_held || request->is_body_done) {
        return false;
    }
    if (is_whole(request)) {
        tell_end(request);
        return false;
    }
    if (evbuffer_get_length(input) == 0) {
        if (request->is_upgraded && conn->is_eof) {
            tell_end(request);
        }
        return false;
    }
    int taken = next_piece(request, input, &piece, err);
    if (taken <= 0) {
        return false;
    }
    conn->deadline_ms = conn->server->now_ms + conn->server->options.timeout_ms;
    if (piece.len > 0 && !request->body_watcher->piece(request, piece, request->body_user)) {
        if (conn->request == request) { /* it was not ended from within */
            request->is_body_held = true;
        }
    }
    (void)evbuffer_drain(input, (size_t)taken);
    return conn->request == request;
}

/* ---- the answer ---- */

bool sb_http_add_field(struct sb_http_request *request, struct sb_str name, struct sb_str value)
{
    size_t before = request->headers.len;
    if (sb_buf_append_str(&request->headers, name) < 0 ||
        sb_buf_append_str(&request->headers, SB_STR(": ")) < 0 ||
        sb_buf_append_str(&request->headers, value) < 0 ||
        sb_buf_append_str(&request->headers, SB_STR("\r\n")) < 0) {
        sb_buf_truncate(&request->headers, before);
        return false;
    }
    return true;
}

void sb_http_clear_fields(struct sb_http_request *request)
{
    sb_buf_clear(&request->headers);
}

static bool may_begin(const struct sb_http_request *request)
{
    return !request->is_gone && !request->conn->is_dead && request->conn->state == SB_CONN_RELAY &&
           !request->has_begun;
}

static void send_head(struct sb_http_request *request, const char *head, int n)
{
    struct sb_conn *conn = request->conn;
    request->has_begun = true;
    bufferevent_setwatermark(conn->bev, EV_WRITE, SB_HTTP_LOW_BYTES, 0);
    sb_conn_enter(conn);
    sb_conn_send(conn, &(struct sb_str){head, (size_t)n}, 1);
    sb_conn_leave(conn);
}

void sb_http_relay_begin(struct sb_http_request *request,
                         int status,
                         uint64_t length,
                         bool has_body)
{
    struct sb_conn *conn = request->conn;
    char head[SB_HTTP_HEAD_ROOM];
    char framing[64] = "";
    if (!may_begin(request)) {
        return;
    }
    bool is_known = length != SB_HTTP_LENGTH_UNKNOWN;
    request->is_answer_chunked = has_body && !is_known && !request->head.is_http10;
    conn->closes = conn->closes || request->head.is_http10 || conn->server->is_draining ||
                   !(request->is_body_done || is_whole(request));
    if (is_known) {
        (void)snprintf(framing, sizeof framing, "Content-Length: %" PRIu64 "\r\n", length);
    } else if (request->is_answer_chunked) {
        (void)snprintf(framing, sizeof framing, "Transfer-Encoding: chunked\r\n");
    }
    int n = sb_http_write_head(request, status, NULL, head, sizeof head - sizeof framing - 2);
    n += snprintf(head + n, sizeof head - (size_t)n, "%s\r\n", framing);
    send_head(request, head, n);
}

void sb_http_relay_upgrade(struct sb_http_request *request)
{
    char head[SB_HTTP_HEAD_ROOM];
    if (!may_begin(request)) {
        return;
    }
    int n = sb_http_write_head(request, 101, NULL, head, sizeof head - 64);
    n += snprintf(head + n, sizeof head - (size_t)n,
                  "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    request->is_upgraded = true;
    request->is_body_done = false;
    request->is_body_held = true;
    request->conn->closes = true;
    send_head(request, head, n);
    sb_http_relay_read(request);
}

bool sb_http_relay_write(struct sb_http_request *request, const void *data, size_t len)
{
    struct sb_conn *conn = request->conn;
    if (request->is_gone || conn->is_dead || !request->has_begun) {
        return false;
    }
    char size[24];
    int n = snprintf(size, sizeof size, "%zx\r\n", len);
    struct sb_str pieces[] = {{size, (size_t)n}, {data, len}, {"\r\n", 2}};
    sb_conn_enter(conn);
    if (len > 0 && request->is_answer_chunked) {
        sb_conn_send(conn, pieces, 3);
    } else if (len > 0) {
        sb_conn_send(conn, &pieces[1], 1);
    }
    request->is_over_high =
        request->is_over_high ||
        evbuffer_get_length(bufferevent_get_output(conn->bev)) > SB_HTTP_HIGH_BYTES;
    bool has_room = !request->is_over_high;
    sb_conn_leave(conn);
    return has_room;
}

void sb_http_relay_end(struct sb_http_request *request)
{
    struct sb_conn *conn = request->conn;
    if (request->is_gone || conn->is_dead || !request->has_begun) {
        return;
    }
    sb_conn_enter(conn);
    if (request->is_answer_chunked) {
        sb_conn_send(conn, &SB_STR("0\r\n\r\n"), 1);
    }
    conn->closes = conn->closes || !(request->is_body_done || is_whole(request));
    sb_request_end(request, request->status);
    sb_conn_answered(conn);
    sb_conn_leave(conn);
}
