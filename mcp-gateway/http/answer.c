/* The handler's side of a request: what it is told, and how it answers. */
#include <event2/buffer.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "mcp-gateway/http/conn.h"
#include "mcp-gateway/http/problem.h"

enum sb_http_method sb_http_method(const struct sb_http_request *request)
{
    return request->head.method;
}

struct sb_str sb_http_path(const struct sb_http_request *request)
{
    return request->target.path;
}

bool sb_http_query(const struct sb_http_request *request, const char *name, struct sb_str *ret)
{
    for (size_t i = 0; i < request->target.n_params; i++) {
        if (sb_str_eq(request->target.params[i].name, sb_str_from(name))) {
            *ret = request->target.params[i].value;
            return true;
        }
    }
    return false;
}

void sb_http_each_query(const struct sb_http_request *request,
                        void (*visit)(struct sb_str name, struct sb_str value, void *ctx),
                        void *ctx)
{
    for (size_t i = 0; i < request->target.n_params; i++) {
        visit(request->target.params[i].name, request->target.params[i].value, ctx);
    }
}

const char *sb_http_header(const struct sb_http_request *request, const char *name)
{
    return sb_head_get(&request->head, name);
}

struct sb_str sb_http_body(const struct sb_http_request *request)
{
    return sb_buf_str(&request->body);
}

const char *sb_http_request_id(const struct sb_http_request *request)
{
    return request->id;
}

const char *sb_http_peer(const struct sb_http_request *request)
{
    return request->conn->peer;
}

const char *sb_http_identity(const struct sb_http_request *request)
{
    return request->conn->identity;
}

void sb_http_set_user(struct sb_http_request *request, void *user)
{
    request->user = user;
}

void *sb_http_user(const struct sb_http_request *request)
{
    return request->user;
}

void sb_http_watch(struct sb_http_request *request,
                   const struct sb_http_watcher *watcher,
                   void *user)
{
    request->watcher = watcher;
    request->watcher_user = user;
}

/* ---- the answer ---- */

void sb_http_add_header(struct sb_http_request *request, const char *name, const char *value)
{
    char line[1024];
    int n = snprintf(line, sizeof line, "%s: %s", name, value);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof line ? (size_t)n : sizeof line - 1;
    size_t kept = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)line[i];
        if (c >= 0x20 && c != 0x7f) {
            line[kept++] = line[i];
        }
    }
    (void)sb_buf_printf(&request->headers, "%.*s\r\n", (int)kept, line);
}

static const char *date(struct sb_http_server *server)
{
    time_t now = time(NULL);
    if ((uint64_t)now != server->date_s) {
        struct tm tm;
        (void)gmtime_r(&now, &tm);
        (void)strftime(server->date, sizeof server->date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        server->date_s = (uint64_t)now;
    }
    return server->date;
}

/* Pages of listed origins may read answers. */
static void allow_origin(struct sb_http_request *request)
{
    const char *origin = sb_head_get(&request->head, "origin");
    if (origin != NULL && sb_guard_is_listed(&request->conn->server->guard, origin)) {
        sb_http_add_header(request, "Access-Control-Allow-Origin", origin);
        sb_http_add_header(request, "Vary", "Origin");
        sb_http_add_header(request, "Access-Control-Expose-Headers",
                           "ETag, Retry-After, X-Request-Id, WWW-Authenticate, Mcp-Session-Id");
    }
}

/* All but the line about the body's length. */
int sb_http_write_head(
    struct sb_http_request *request, int status, const char *type, char *out, size_t size)
{
    struct sb_conn *conn = request->conn;
    if (request->relays != SB_HTTP_RELAYS_OPENLY) { /* whose answers say it themselves */
        allow_origin(request);
    }
    request->status = status;
    int n = snprintf(out, size,
                     "HTTP/1.1 %d %s\r\nDate: %s\r\nX-Request-Id: %s\r\n"
                     "X-Content-Type-Options: nosniff\r\n%s%s%s%s%s",
                     status, sb_http_reason(status), date(conn->server), request->id,
                     type == NULL ? "" : "Content-Type: ", type == NULL ? "" : type,
                     type == NULL ? "" : "\r\n", sb_buf_cstr(&request->headers),
                     conn->closes && status != 101 ? "Connection: close\r\n" : "");
    return n < 0 || (size_t)n >= size ? 0 : n;
}

void sb_http_reply(
    struct sb_http_request *request, int status, const char *type, const void *body, size_t len)
{
    struct sb_conn *conn = request->conn;
    char head[SB_HTTP_HEAD_ROOM];
    bool is_relayed = conn->state == SB_CONN_RELAY && !request->has_begun;
    if (request->is_gone || conn->is_dead || (conn->state != SB_CONN_PENDING && !is_relayed)) {
        return;
    }
    conn->closes = conn->closes || conn->server->is_draining ||
                   (is_relayed && !request->is_body_done &&
                    (request->head.is_chunked || request->body_taken < request->head.body_bytes));
    int n = sb_http_write_head(request, status, type, head, sizeof head - 64);
    bool has_body = request->head.method != SB_HTTP_HEAD && status != 204 && status != 304;
    if (status == 204 || status == 304) {
        n += snprintf(head + n, sizeof head - (size_t)n, "\r\n");
    } else {
        n += snprintf(head + n, sizeof head - (size_t)n, "Content-Length: %zu\r\n\r\n", len);
    }
    struct sb_str pieces[] = {{head, (size_t)n}, {body, has_body ? len : 0}};
    sb_conn_enter(conn);
    sb_conn_send(conn, pieces, 2);
    sb_request_end(request, status);
    sb_conn_answered(conn);
    sb_conn_leave(conn);
}

void sb_http_stream_begin(struct sb_http_request *request, int status, const char *type)
{
    struct sb_conn *conn = request->conn;
    char head[SB_HTTP_HEAD_ROOM];
    if (request->is_gone || conn->is_dead || conn->state != SB_CONN_PENDING) {
        return;
    }
    conn->closes = conn->closes || request->head.is_http10;
    int n = sb_http_write_head(request, status, type, head, sizeof head - 64);
    n += snprintf(head + n, sizeof head - (size_t)n, "%s\r\n",
                  request->head.is_http10 ? "" : "Transfer-Encoding: chunked\r\n");
    conn->state = SB_CONN_STREAM;
    bufferevent_setwatermark(conn->bev, EV_WRITE, SB_HTTP_LOW_BYTES, 0);
    sb_conn_enter(conn);
    sb_conn_send(conn, &(struct sb_str){head, (size_t)n}, 1);
    sb_conn_leave(conn);
}

bool sb_http_stream_write(struct sb_http_request *request, const void *data, size_t len)
{
    struct sb_conn *conn = request->conn;
    if (request->is_gone || conn->is_dead || conn->state != SB_CONN_STREAM) {
        return false;
    }
    if (len == 0 || request->head.method == SB_HTTP_HEAD) {
        return true;
    }
    char size[24];
    int n = snprintf(size, sizeof size, "%zx\r\n", len);
    struct sb_str pieces[] = {{size, (size_t)n}, {data, len}, {"\r\n", 2}};
    sb_conn_enter(conn);
    if (request->head.is_http10) {
        sb_conn_send(conn, &pieces[1], 1);
    } else {
        sb_conn_send(conn, pieces, 3);
    }
    /* Until drained() has told it, whoever else writes meanwhile. */
    request->is_over_high =
        request->is_over_high ||
        evbuffer_get_length(bufferevent_get_output(conn->bev)) > SB_HTTP_HIGH_BYTES;
    bool has_room = !request->is_over_high;
    sb_conn_leave(conn);
    return has_room;
}

void sb_http_stream_end(struct sb_http_request *request)
{
    struct sb_conn *conn = request->conn;
    if (request->is_gone || conn->is_dead || conn->state != SB_CONN_STREAM) {
        return;
    }
    conn->closes = conn->closes || conn->server->is_draining;
    sb_conn_enter(conn);
    if (request->head.method != SB_HTTP_HEAD && !request->head.is_http10) {
        sb_conn_send(conn, &SB_STR("0\r\n\r\n"), 1);
    }
    sb_request_end(request, request->status);
    sb_conn_answered(conn);
    sb_conn_leave(conn);
}

void sb_http_stream_abort(struct sb_http_request *request)
{
    struct sb_conn *conn = request->conn;
    if (request->is_gone || conn->is_dead) {
        return;
    }
    sb_conn_enter(conn);
    sb_request_end(request, request->status);
    sb_conn_lost(conn);
    sb_conn_leave(conn);
}
