/* One request: its beginning, its head and its body, as long as nobody serves it. */
#include <errno.h>
#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "mcp-gateway/http/conn.h"

struct sb_http_request *sb_request_new(struct sb_conn *conn)
{
    struct sb_http_server *server = conn->server;
    struct sb_http_request *made = malloc(sizeof *made);
    if (made == NULL) {
        return NULL;
    }
    memset(made, 0, offsetof(struct sb_http_request, id));
    made->conn = conn;
    made->start_ns = sb_clock_mono_ns();
    sb_buf_init(&made->body, server->options.max_body_bytes);
    sb_buf_init(&made->headers, SB_HTTP_MAX_HEAD_BYTES);
    (void)snprintf(made->id, sizeof made->id, "%s%llx", server->id_prefix,
                   (unsigned long long)server->n_requests++);
    conn->request = made;
    return made;
}

void sb_request_end(struct sb_http_request *request, int status)
{
    struct sb_conn *conn = request->conn;
    struct sb_http_server *server = conn->server;
    conn->request = NULL;
    if (server->options.ended != NULL) {
        uint64_t us = (sb_clock_mono_ns() - request->start_ns) / 1000;
        server->options.ended(request, status, us, server->options.user);
    }
    server->held_bytes -= request->counted_bytes;
    sb_buf_done(&request->body);
    sb_buf_done(&request->headers);
    free(request->text);
    free(request);
}

/* ---- the head ---- */

/* The client's own id, when it can stand in a log line. */
static void take_id(struct sb_http_request *request)
{
    const char *id = sb_head_get(&request->head, "x-request-id");
    size_t len = id == NULL ? 0 : strlen(id);
    if (len == 0 || len >= SB_HTTP_ID_SIZE) {
        return;
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)id[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_alnum && strchr("-._", c) == NULL) {
            return;
        }
    }
    memcpy(request->id, id, len + 1);
}

static void begin_span(struct sb_http_request *request)
{
    struct sb_trace parent;
    (void)sb_trace_parse(sb_str_from(sb_head_get(&request->head, "traceparent")), &parent);
    sb_span_begin(request->conn->server->options.tracer, &parent, true, &request->span);
}

const struct sb_span *sb_http_span(const struct sb_http_request *request)
{
    return &request->span;
}

const struct sb_trace *sb_http_trace(const struct sb_http_request *request)
{
    return &request->span.trace;
}

const char *sb_http_tracestate(const struct sb_http_request *request)
{
    const char *state = request->span.has_parent ? sb_head_get(&request->head, "tracestate") : NULL;
    return state != NULL && sb_trace_state_is_good(sb_str_from(state)) ? state : NULL;
}

static int check_head(struct sb_http_request *request, int *ret_status, struct sb_err *err)
{
    const struct sb_http_server *server = request->conn->server;
    const struct sb_head *head = &request->head;
    *ret_status = 400;
    if (server->options.relays != NULL) {
        request->relays = server->options.relays(head->target, server->options.user);
    }
    if (sb_guard_check_host(&server->guard, head->host, err) < 0 ||
        (request->relays != SB_HTTP_RELAYS_OPENLY &&
         sb_guard_check_origin(&server->guard, sb_head_get(head, "origin"), err) < 0)) {
        *ret_status = err->code == SB_DENIED ? 403 : 400;
        return -1;
    }
    if (request->relays != SB_HTTP_RELAYS_NOT) {
        return 0;
    }
    if (head->method == SB_HTTP_OTHER) {
        *ret_status = 501;
        return sb_err_set(err, SB_UNIMPLEMENTED, "this server does not know that method");
    }
    char *room = request->text + request->text_len;
    if (sb_target_parse(head->target, head->host, server->options.open_path, room, &request->target,
                        err) < 0) {
        return -1;
    }
    request->streams_body =
        server->options.streams != NULL && server->options.streams(request, server->options.user);
    if (head->body_bytes > server->options.max_body_bytes && !request->streams_body) {
        *ret_status = 413;
        return sb_err_set(err, SB_INVALID, "the body may have at most %zu bytes",
                          server->options.max_body_bytes);
    }
    return 0;
}

int sb_request_read_head(
    struct sb_conn *conn, struct evbuffer *input, size_t len, int *ret_status, struct sb_err *err)
{
    struct sb_http_request *request = sb_request_new(conn);
    /* The head where it is read, and behind it room for the target, decoded. */
    char *text = request == NULL ? NULL : malloc(2 * len);
    *ret_status = 503;
    if (text == NULL) {
        return sb_err_oom(err);
    }
    request->text = text;
    request->text_len = len;
    (void)evbuffer_remove(input, text, len);
    if (sb_head_parse(text, len, &request->head, ret_status, err) < 0) {
        return -1;
    }
    take_id(request);
    begin_span(request);
    conn->closes = request->head.wants_close || conn->server->is_draining;
    return check_head(request, ret_status, err);
}

/* ---- the body ---- */

static int take_sized(struct sb_http_request *request, struct evbuffer *input, struct sb_err *err)
{
    size_t left = (size_t)request->head.body_bytes - request->body.len;
    size_t held = evbuffer_get_length(input);
    size_t n = held < left ? held : left;
    void *room = NULL;
    if (n == 0) {
        return 0;
    }
    if (sb_buf_reserve(&request->body, n, &room) < 0) {
        return sb_err_sys(err, errno, "the body");
    }
    (void)evbuffer_remove(input, room, n);
    sb_buf_commit(&request->body, n);
    return 0;
}

static int take_chunks(struct sb_http_request *request, struct evbuffer *input, struct sb_err *err)
{
    const char *bytes = (const char *)evbuffer_pullup(input, -1);
    size_t len = evbuffer_get_length(input);
    if (bytes == NULL) {
        return len == 0 ? 0 : sb_err_oom(err);
    }
    int taken = sb_chunked_take(&request->chunked, bytes, len, &request->body, err);
    if (taken < 0) {
        return -1;
    }
    (void)evbuffer_drain(input, (size_t)taken);
    return 0;
}

int sb_request_take_body(struct sb_http_request *request,
                         struct evbuffer *input,
                         struct sb_err *err)
{
    return request->head.is_chunked ? take_chunks(request, input, err)
                                    : take_sized(request, input, err);
}
