#include "mcp-gateway/mcp/endpoint.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/time.h>

#include "base/err.h"
#include "mcp-gateway/http/server.h"
#include "mcp-gateway/mcp/call.h"
#include "mcp-gateway/mcp/era.h"
#include "mcp-gateway/mcp/header.h"
#include "mcp-gateway/mcp/link.h"
#include "mcp-gateway/mcp/protocol.h"
#include "mcp-gateway/mcp/session.h"

static const struct sb_str nothing = {NULL, 0};

struct sb_mcp_endpoint {
    struct sb_mcp_endpoint_options options;
    struct sb_list streams; /* exchange.node */
    struct event *keep_alive;
};

/** One HTTP request until it is answered. */
struct exchange {
    struct sb_mcp_link link; /* first: the ops get it */
    struct sb_list node;     /* while it is a stream */
    struct sb_mcp_endpoint *endpoint;
    struct sb_http_request *request;
    bool takes_stream; /* the client does */
    bool is_streaming;
    bool is_receiving; /* it is freed afterwards */
    bool is_answered;
};

/* ---- streams of events ---- */

static void write_event(struct exchange *exchange, struct sb_str message)
{
    static const struct sb_str before = SB_STR("event: message\ndata: ");
    bool has_room = sb_http_stream_write(exchange->request, before.ptr, before.len);
    has_room = sb_http_stream_write(exchange->request, message.ptr, message.len) && has_room;
    has_room = sb_http_stream_write(exchange->request, "\n\n", 2) && has_room;
    exchange->link.is_full = !has_room;
}

static void put_session(const struct exchange *exchange)
{
    if (exchange->link.is_new_session && exchange->link.session != NULL) {
        sb_http_add_header(exchange->request, "Mcp-Session-Id", exchange->link.session->id);
    }
}

static void begin_stream(struct exchange *exchange)
{
    exchange->is_streaming = true;
    sb_list_append(&exchange->endpoint->streams, &exchange->node);
    put_session(exchange);
    sb_http_add_header(exchange->request, "Cache-Control", "no-cache, no-transform");
    sb_http_add_header(exchange->request, "X-Accel-Buffering", "no");
    sb_http_stream_begin(exchange->request, 200, "text/event-stream");
    if (exchange->endpoint->keep_alive != NULL &&
        !event_pending(exchange->endpoint->keep_alive, EV_TIMEOUT, NULL)) {
        const struct timeval every = {SB_MCP_KEEP_ALIVE_S, 0};
        (void)event_add(exchange->endpoint->keep_alive, &every);
    }
}

static void on_keep_alive(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    static const struct sb_str comment = SB_STR(": keep-alive\n\n");
    struct sb_mcp_endpoint *endpoint = ctx;
    if (sb_list_is_empty(&endpoint->streams)) {
        (void)event_del(endpoint->keep_alive);
    }
    SB_FOREACH (node, &endpoint->streams) {
        struct exchange *exchange = SB_LIST_ENTRY(node, struct exchange, node);
        if (!exchange->link.is_full) {
            (void)sb_http_stream_write(exchange->request, comment.ptr, comment.len);
        }
    }
}

/* ---- the link ---- */

static void set_answered(struct exchange *exchange)
{
    exchange->is_answered = true;
    sb_list_remove(&exchange->node);
}

static void free_exchange(struct exchange *exchange)
{
    set_answered(exchange);
    if (!exchange->is_receiving) {
        free(exchange);
    }
}

static void send_note(struct sb_mcp_link *link, struct sb_str message)
{
    struct exchange *exchange = (struct exchange *)(void *)link;
    if (!exchange->takes_stream || link->is_full) {
        return;
    }
    if (!exchange->is_streaming) {
        begin_stream(exchange);
    }
    write_event(exchange, message);
}

static void reply(struct exchange *exchange, int status, struct sb_str message)
{
    put_session(exchange);
    if (status == 401) {
        sb_http_add_header(exchange->request, "WWW-Authenticate", "Bearer");
    }
    if (status == 429 || status == 503) {
        sb_http_add_header(exchange->request, "Retry-After", "1");
    }
    if (message.len > 0) {
        sb_http_reply(exchange->request, status, "application/json", message.ptr, message.len);
    } else { /* nothing is owed */
        sb_http_reply(exchange->request, status == 200 ? 202 : status, NULL, NULL, 0);
    }
}

static void send_answer(struct sb_mcp_link *link, int status, struct sb_str message)
{
    struct exchange *exchange = (struct exchange *)(void *)link;
    if (!exchange->is_streaming) {
        reply(exchange, status, message);
    } else {
        if (message.len > 0) {
            write_event(exchange, message);
        }
        sb_http_stream_end(exchange->request);
    }
    free_exchange(exchange);
}

static const struct sb_mcp_link_ops ops = {.send = send_note, .answer = send_answer};

static void on_gone(struct sb_http_request *request, void *user)
{
    (void)request;
    struct exchange *exchange = user;
    exchange->is_answered = true; /* so that nothing is written while calls end */
    sb_mcp_link_drop(&exchange->link);
    free_exchange(exchange);
}

static void on_drained(struct sb_http_request *request, void *user)
{
    (void)request;
    ((struct exchange *)user)->link.is_full = false;
}

static const struct sb_http_watcher watcher = {.gone = on_gone, .drained = on_drained};

/* ---- requests ---- */

static void refuse(struct exchange *exchange, int status, int code, const char *why)
{
    sb_mcp_refuse(&exchange->link, NULL, nothing,
                  &(struct sb_mcp_fault){status, code, sb_str_from(why), nothing});
}

static bool is_json_type(const char *type)
{
    struct sb_str value = sb_mcp_header_value(type);
    struct sb_str rest;
    const struct sb_str json = SB_STR("application/json");
    (void)sb_str_split(value, ';', &value, &rest);
    value = sb_str_trim(value);
    return value.len == json.len && strncasecmp(value.ptr, json.ptr, json.len) == 0;
}

static bool takes_events(const char *accept)
{
    return accept == NULL || strcasestr(accept, "text/event-stream") != NULL ||
           strstr(accept, "*/*") != NULL || strcasestr(accept, "text/*") != NULL;
}

static const char *get_header(const char *name, void *ctx)
{
    return sb_http_header(ctx, name);
}

static void
handle_post(struct exchange *exchange, const struct sb_mcp_head *head, const char *session_id)
{
    if (!is_json_type(sb_http_header(exchange->request, "Content-Type"))) {
        refuse(exchange, 415, SB_MCP_NO_SESSION, "Content-Type must be application/json");
        return;
    }
    sb_mcp_receive(exchange->endpoint->options.mcp, &exchange->link, head, session_id,
                   sb_http_body(exchange->request));
    if (!exchange->is_answered && exchange->link.n_calls == 0) {
        exchange->link.ops->answer(&exchange->link, 200,
                                   nothing); /* only notifications and responses */
    }
}

/* NULL: there is none of that id; it is answered. */
static struct sb_mcp_session *find_session(struct exchange *exchange, const char *session_id)
{
    if (session_id == NULL) {
        refuse(exchange, 400, SB_MCP_NO_SESSION, "Bad Request: a session id is required");
        return NULL;
    }
    struct sb_mcp_session *session =
        sb_mcp_session_find(exchange->endpoint->options.mcp, session_id, &exchange->link.caller);
    if (session == NULL) {
        refuse(exchange, 404, SB_MCP_DEAD_SESSION, "Session not found");
    }
    return session;
}

static void handle_get(struct exchange *exchange, const char *session_id)
{
    static const struct sb_str comment = SB_STR(": open\n\n");
    struct sb_mcp_session *session = find_session(exchange, session_id);
    if (session == NULL) {
        return;
    }
    if (!exchange->takes_stream) {
        refuse(exchange, 406, SB_MCP_NO_SESSION, "Accept must have text/event-stream");
        return;
    }
    if (session->stream != NULL) {
        refuse(exchange, 409, SB_MCP_NO_SESSION, "the session has such a stream already");
        return;
    }
    session->stream = &exchange->link;
    exchange->link.session = session;
    begin_stream(exchange);
    (void)sb_http_stream_write(exchange->request, comment.ptr, comment.len);
}

static void handle_delete(struct exchange *exchange, const char *session_id)
{
    struct sb_mcp_session *session = find_session(exchange, session_id);
    if (session == NULL) {
        return;
    }
    sb_mcp_session_end(exchange->endpoint->options.mcp, session);
    sb_http_reply(exchange->request, 200, NULL, NULL, 0);
    set_answered(exchange);
}

static void handle(struct exchange *exchange, const struct sb_err *no_key)
{
    const struct sb_http_request *request = exchange->request;
    const struct sb_mcp_head head = {
        .is_http = true,
        .protocol_version = sb_http_header(request, "MCP-Protocol-Version"),
        .method = sb_http_header(request, "Mcp-Method"),
        .name = sb_http_header(request, "Mcp-Name"),
        .header = get_header,
        .ctx = exchange->request,
    };
    const char *session_id = sb_http_header(request, "Mcp-Session-Id");
    const struct sb_mcp_caller *caller = &exchange->link.caller;
    enum sb_http_method method = sb_http_method(request);
    bool is_modern = sb_mcp_era_head_is_modern(&head);
    if (no_key->code != SB_OK) {
        refuse(exchange, 401, SB_MCP_UNAUTHENTICATED, no_key->text);
    } else if (caller->is_remote && caller->key == NULL && caller->identity == NULL) {
        refuse(exchange, 401, SB_MCP_UNAUTHENTICATED,
               "give an API key: Authorization: Bearer aisbx_...");
    } else if (method == SB_HTTP_POST) {
        handle_post(exchange, &head, session_id);
    } else if (method == SB_HTTP_GET && !is_modern) {
        handle_get(exchange, session_id);
    } else if (method == SB_HTTP_DELETE && !is_modern) {
        handle_delete(exchange, session_id);
    } else {
        sb_http_add_header(exchange->request, "Allow", is_modern ? "POST" : "POST, GET, DELETE");
        refuse(exchange, 405, SB_MCP_NO_SESSION, "Method not allowed.");
    }
}

void sb_mcp_endpoint_handle(struct sb_mcp_endpoint *endpoint, struct sb_http_request *request)
{
    struct sb_err no_key = {.code = SB_OK};
    struct exchange *exchange = calloc(1, sizeof *exchange);
    if (exchange == NULL) {
        sb_http_reply(request, 503, NULL, NULL, 0);
        return;
    }
    sb_mcp_link_init(&exchange->link, &ops);
    exchange->endpoint = endpoint;
    exchange->request = request;
    exchange->takes_stream = takes_events(sb_http_header(request, "Accept"));
    const char *key = NULL;
    (void)sb_http_key(request, &key, &no_key);
    const char *identity = sb_http_identity(request);
    exchange->link.caller = (struct sb_mcp_caller){
        .key = key,
        .identity = identity,
        .peer = sb_http_peer(request),
        .is_remote = !endpoint->options.is_open || key != NULL || identity != NULL,
    };
    /* Not the request's own, which is no span: its calls are. */
    if (sb_trace_parse(sb_str_from(sb_http_header(request, "traceparent")),
                       &exchange->link.caller.trace)) {
        exchange->link.caller.tracestate = sb_http_tracestate(request);
    }
    sb_http_watch(request, &watcher, exchange);
    exchange->is_receiving = true;
    handle(exchange, &no_key);
    exchange->is_receiving = false;
    if (exchange->is_answered) {
        free(exchange);
    }
}

int sb_mcp_endpoint_new(const struct sb_mcp_endpoint_options *options,
                        struct sb_mcp_endpoint **ret_endpoint,
                        struct sb_err *err)
{
    struct sb_mcp_endpoint *endpoint = calloc(1, sizeof *endpoint);
    if (endpoint == NULL) {
        return sb_err_oom(err);
    }
    endpoint->options = *options;
    sb_list_init(&endpoint->streams);
    endpoint->keep_alive = event_new(options->base, -1, EV_PERSIST, on_keep_alive, endpoint);
    if (endpoint->keep_alive == NULL) {
        free(endpoint);
        return sb_err_oom(err);
    }
    *ret_endpoint = endpoint;
    return 0;
}

void sb_mcp_endpoint_free(struct sb_mcp_endpoint *endpoint)
{
    if (endpoint != NULL) {
        event_free(endpoint->keep_alive);
        free(endpoint);
    }
}
