#include "mcp-gateway/ports/relay.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "aisbx/v1/port_service.rpc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/id.h"
#include "mcp-gateway/backend.h"
#include "mcp-gateway/caller.h"
#include "mcp-gateway/http/problem.h"
#include "mcp-gateway/http/server.h"
#include "mcp-gateway/ports/answer.h"
#include "mcp-gateway/ports/body.h"
#include "mcp-gateway/ports/fields.h"
#include "mcp-gateway/ports/place.h"
#include "mcp-gateway/ports/request.h"
#include "mcp-gateway/rest/call.h"

enum {
    PIECE = 64 << 10,
    ANSWER_MS = 300000, /* that a server may take for more of the request, or to begin its answer */
    END_MS = 2000,      /* that a server may take to close behind its answer */
    HEAD_BYTES = 2 * SB_HTTP_MAX_HEAD_BYTES,
    TOKEN_SIZE = 128,
};

#define FORWARD &aisbx__v1__port_service__methods[AISBX__V1__PORT_SERVICE__METHOD_FORWARD_PORT]

struct relay {
    struct sb_list node;
    struct sb_ports *ports;
    struct sb_http_request *request; /* NULL: answered, or gone */
    struct sb_backend_call *call;
    struct sb_port_place place; /* borrowed from the request */
    struct event *timer;
    struct sb_answer_asked asked;
    bool is_open;    /* the connection stands, and the head was sent */
    bool has_answer; /* its head was read */
    bool is_tunnel;  /* a WebSocket */
    bool is_chunked; /* the request's body goes in chunks */
    bool has_sent;   /* the request is whole */
    bool is_full;    /* the call takes no more until drained */
    unsigned n_interim;
    struct sb_buf head; /* of the answer, as far as it came */
    size_t find_from;
    struct sb_answer_reader reader;
};

static void free_relay(struct relay *relay)
{
    sb_list_remove(&relay->node);
    if (relay->timer != NULL) {
        event_free(relay->timer);
    }
    sb_buf_done(&relay->head);
    free(relay);
}

static void arm(struct relay *relay, unsigned ms)
{
    const struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000L};
    (void)event_add(relay->timer, &tv);
}

void sb_relay_leave(struct sb_list *node)
{
    struct relay *relay = SB_LIST_ENTRY(node, struct relay, node);
    relay->request = NULL;
    sb_backend_cancel(relay->call);
}

/* ---- refusing ---- */

/* The answer has not begun. @call  for its trailers, or NULL. */
static void refuse(struct relay *relay,
                   int status,
                   const struct sb_backend_call *call,
                   const struct sb_err *err)
{
    struct sb_http_request *request = relay->request;
    relay->request = NULL;
    sb_http_clear_fields(request); /* of an answer that is not given */
    if (status == 0) {
        sb_rest_reply_error(request, call, err);
    } else {
        sb_http_problem(request, &(struct sb_http_problem){
                                     .status = status, .code = err->code, .detail = err->text});
    }
}

/* What the server said is no answer. */
static void refuse_answer(struct relay *relay, const struct sb_err *why)
{
    struct sb_err err;
    (void)sb_err_set(&err, SB_UNAVAILABLE, "the server on port %u of sandbox %.*s: %s",
                     (unsigned)relay->place.port, SB_STR_ARG(relay->place.sandbox_id), why->text);
    refuse(relay, 502, NULL, &err);
    sb_backend_cancel(relay->call);
}

static void cut(struct relay *relay)
{
    struct sb_http_request *request = relay->request;
    relay->request = NULL;
    sb_http_stream_abort(request);
    sb_backend_cancel(relay->call);
}

/* ---- to the server ---- */

static bool send_bytes(struct relay *relay, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        Aisbx__V1__ForwardPortRequest msg = AISBX__V1__FORWARD_PORT_REQUEST__INIT;
        size_t n = len < PIECE ? len : PIECE;
        msg.message_case = AISBX__V1__FORWARD_PORT_REQUEST__MESSAGE_DATA;
        /* Only packed. NOLINTNEXTLINE(performance-no-int-to-ptr) */
        msg.data = (ProtobufCBinaryData){n, (uint8_t *)(uintptr_t)at};
        if (!sb_backend_send(relay->call, &msg.base)) {
            relay->is_full = true;
        }
        at += n;
        len -= n;
    }
    return !relay->is_full;
}

static bool on_piece(struct sb_http_request *request, struct sb_str piece, void *user)
{
    struct relay *relay = user;
    char size[24];
    (void)request;
    if (!relay->has_answer) {
        arm(relay, ANSWER_MS);
    }
    if (!relay->is_chunked || relay->is_tunnel) {
        return send_bytes(relay, piece.ptr, piece.len);
    }
    int n = snprintf(size, sizeof size, "%zx\r\n", piece.len);
    (void)send_bytes(relay, size, (size_t)n);
    (void)send_bytes(relay, piece.ptr, piece.len);
    return send_bytes(relay, "\r\n", 2);
}

static void on_body_end(struct sb_http_request *request, void *user)
{
    struct relay *relay = user;
    (void)request;
    if (relay->is_tunnel) {
        sb_backend_half_close(relay->call);
    } else if (relay->is_chunked) {
        (void)send_bytes(relay, "0\r\n\r\n", 5);
    }
    /* Without a half-close: servers take it for a client that left. */
    relay->has_sent = true;
}

static const struct sb_http_body_watcher body_watcher = {.piece = on_piece, .end = on_body_end};

static void send_request(struct relay *relay)
{
    struct sb_buf head = SB_BUF_INIT(HEAD_BYTES);
    struct sb_err err;
    uint64_t length = 0;
    if (sb_ports_request(relay->request, &relay->place, &head, &relay->asked.is_upgrade) < 0) {
        (void)sb_err_set(&err, SB_INVALID, "the head is too long to be passed on");
        refuse(relay, 431, NULL, &err);
        sb_backend_cancel(relay->call);
    } else {
        relay->is_chunked = !sb_http_body_length(relay->request, &length);
        (void)send_bytes(relay, sb_buf_cstr(&head), head.len);
        if (!relay->is_full) {
            sb_http_relay_read(relay->request);
        }
    }
    sb_buf_done(&head);
}

/* ---- from the server ---- */

static void answered(struct relay *relay)
{
    struct sb_http_request *request = relay->request;
    relay->request = NULL;
    sb_http_relay_end(request);
    if (!relay->has_sent && !relay->is_tunnel) {
        sb_backend_cancel(relay->call); /* the rest of the request has no reader */
        return;
    }
    /* The server closes by itself; what it still says is not read. */
    sb_backend_half_close(relay->call);
    arm(relay, END_MS);
    sb_backend_read(relay->call);
}

/* Returns 1: the answer has begun; 0: another head follows; -1: it was refused. */
static int take_head(struct relay *relay, size_t len)
{
    static struct sb_answer answer; /* large */
    struct sb_err err;
    SB_CLEANUP(sb_freep) char *text = malloc(len);
    if (text == NULL) {
        (void)sb_err_oom(&err);
        refuse_answer(relay, &err);
        return -1;
    }
    memcpy(text, sb_buf_cstr(&relay->head), len);
    if (sb_answer_parse(text, len, &relay->asked, &answer, &err) < 0) {
        refuse_answer(relay, &err);
        return -1;
    }
    if (answer.status < 200 && answer.status != 101) {
        if (++relay->n_interim > SB_ANSWER_MAX_INTERIM) {
            (void)sb_err_set(&err, SB_INVALID, "too many answers below 200");
            refuse_answer(relay, &err);
            return -1;
        }
        return 0;
    }
    if (!sb_ports_answer(relay->request, &relay->place, &answer)) {
        (void)sb_err_set(&err, SB_INVALID, "the head of its answer is too long to be passed on");
        refuse_answer(relay, &err);
        return -1;
    }
    relay->has_answer = true;
    (void)event_del(relay->timer);
    if (answer.status == 101) {
        relay->is_tunnel = true;
        sb_http_relay_upgrade(relay->request);
        return 1;
    }
    sb_answer_reader_init(&relay->reader, &answer);
    bool has_body = answer.body != SB_ANSWER_NO_BODY;
    bool has_length = answer.has_length && answer.status != 204;
    sb_http_relay_begin(relay->request, answer.status,
                        has_length ? answer.length : SB_HTTP_LENGTH_UNKNOWN, has_body);
    return 1;
}

/* Passes bytes of the body on. Returns whether the client takes more. */
static bool take_body(struct relay *relay, struct sb_str bytes)
{
    bool has_room = true;
    struct sb_str piece;
    struct sb_err err;
    if (relay->is_tunnel) {
        return sb_http_relay_write(relay->request, bytes.ptr, bytes.len);
    }
    while (!relay->reader.is_done) {
        int taken = sb_answer_read(&relay->reader, bytes, &piece, &err);
        if (taken < 0) {
            cut(relay);
            return false;
        }
        if (taken == 0) {
            break;
        }
        if (piece.len > 0) {
            has_room = sb_http_relay_write(relay->request, piece.ptr, piece.len) && has_room;
        }
        bytes = sb_str_skip(bytes, (size_t)taken);
    }
    if (relay->reader.is_done) {
        answered(relay);
        return false;
    }
    /* What is not a whole line of a chunk waits for the rest of it. */
    if (bytes.len > 0 && sb_buf_append_str(&relay->head, bytes) < 0) {
        cut(relay);
        return false;
    }
    return has_room;
}

/* Returns whether to read on. */
static bool take_bytes(struct relay *relay, struct sb_str bytes)
{
    struct sb_err err;
    if (relay->has_answer && relay->head.len == 0) {
        return take_body(relay, bytes);
    }
    if (sb_buf_append_str(&relay->head, bytes) < 0) {
        (void)sb_err_set(&err, SB_INVALID, "the head of its answer is longer than 32 KiB");
        refuse_answer(relay, &err);
        return false;
    }
    while (!relay->has_answer) {
        int len = sb_head_find_end(sb_buf_str(&relay->head), &relay->find_from);
        if (len < 0 || (len == 0 && relay->head.len > SB_ANSWER_MAX_BYTES)) {
            (void)sb_err_set(&err, SB_INVALID, "%s",
                             len < 0 ? "a line of the head does not end with CR LF"
                                     : "the head of its answer is longer than 32 KiB");
            refuse_answer(relay, &err);
            return false;
        }
        if (len == 0) {
            return true;
        }
        if (take_head(relay, (size_t)len) < 0) {
            return false;
        }
        sb_buf_consume(&relay->head, (size_t)len);
        relay->find_from = 0;
    }
    struct sb_buf held = relay->head;
    sb_buf_init(&relay->head, held.max);
    bool goes_on = take_body(relay, sb_buf_str(&held));
    sb_buf_done(&held);
    return goes_on;
}

static void end_of_server(struct relay *relay)
{
    struct sb_err err;
    if (!relay->has_answer) {
        (void)sb_err_set(&err, SB_INVALID, "it closed the connection before it answered");
        refuse_answer(relay, &err);
    } else if (relay->is_tunnel || sb_answer_end(&relay->reader)) {
        answered(relay);
    } else {
        cut(relay);
    }
}

/* ---- the call ---- */

static void on_message(struct sb_backend_call *call, const ProtobufCMessage *message, void *user)
{
    const Aisbx__V1__ForwardPortResponse *got = (const void *)message;
    struct relay *relay = user;
    bool reads_on = true;
    if (relay->request == NULL) { /* behind the answer: nobody hears it */
        if (!got->end_of_stream) {
            sb_backend_read(call);
        }
        return;
    }
    if (!relay->is_open) {
        relay->is_open = true;
        send_request(relay);
    }
    if (relay->request != NULL && got->data.len > 0) {
        reads_on = take_bytes(relay, sb_str_of(got->data.data, got->data.len));
    }
    if (relay->request != NULL && got->end_of_stream) {
        end_of_server(relay);
        return;
    }
    if (relay->request != NULL && reads_on) {
        sb_backend_read(call);
    }
}

static void on_call_drained(struct sb_backend_call *call, void *user)
{
    struct relay *relay = user;
    (void)call;
    relay->is_full = false;
    if (relay->request != NULL && relay->is_open) {
        sb_http_relay_read(relay->request);
    }
}

/* By what the worker says of a port that does not answer. */
static int status_of(const struct sb_err *err)
{
    return err->code == SB_UNAVAILABLE || err->code == SB_ABORTED ? 502
           : err->code == SB_DEADLINE                             ? 504
                                                                  : 0; /* as everywhere */
}

static void on_done(struct sb_backend_call *call, const struct sb_err *err, void *user)
{
    struct relay *relay = user;
    struct sb_err unexpected;
    if (relay->request != NULL && relay->has_answer) {
        struct sb_http_request *request = relay->request;
        relay->request = NULL;
        sb_http_stream_abort(request);
    } else if (relay->request != NULL) {
        if (err->code == SB_OK) {
            (void)sb_err_set(&unexpected, SB_UNAVAILABLE, "the connection ended without an answer");
            err = &unexpected;
        }
        refuse(relay, status_of(err), call, err);
    }
    free_relay(relay);
}

static const struct sb_backend_callbacks callbacks = {
    .message = on_message, .drained = on_call_drained, .done = on_done};

/* ---- the request ---- */

static void on_gone(struct sb_http_request *request, void *user)
{
    struct relay *relay = user;
    (void)request;
    sb_relay_leave(&relay->node);
}

static void on_drained(struct sb_http_request *request, void *user)
{
    struct relay *relay = user;
    (void)request;
    sb_backend_read(relay->call);
}

static const struct sb_http_watcher watcher = {.gone = on_gone, .drained = on_drained};

static void on_timeout(evutil_socket_t fd, short what, void *ctx)
{
    struct relay *relay = ctx;
    struct sb_err err;
    (void)fd;
    (void)what;
    if (relay->request != NULL) {
        (void)sb_err_set(&err, SB_DEADLINE, "the server on port %u did nothing for %d seconds",
                         (unsigned)relay->place.port, ANSWER_MS / 1000);
        refuse(relay, 504, NULL, &err);
    }
    sb_backend_cancel(relay->call);
}

static int start(struct relay *relay, struct sb_err *err)
{
    struct sb_ports *ports = relay->ports;
    struct sb_backend_caller caller;
    char token[TOKEN_SIZE];
    if (relay->place.token.len == 0) {
        if (sb_caller_of(relay->request, "rest", ports->options.loopback_without_key, &caller,
                         err) < 0) {
            return -1;
        }
    } else if (relay->place.token.len < sizeof token) {
        (void)snprintf(token, sizeof token, "%.*s", SB_STR_ARG(relay->place.token));
        caller = (struct sb_backend_caller){.key = token,
                                            .peer = sb_http_peer(relay->request),
                                            .protocol = "rest",
                                            .is_remote = true};
    } else {
        return sb_err_set(err, SB_UNAUTHENTICATED, "the key in the path is none");
    }
    const struct sb_backend_request request = {.caller = &caller, .method = FORWARD};
    return sb_backend_start(ports->options.backend, &request, &callbacks, relay, &relay->call, err);
}

static void open_port(struct relay *relay)
{
    char id[SB_ID_SIZE];
    Aisbx__V1__ForwardPortOpen open = AISBX__V1__FORWARD_PORT_OPEN__INIT;
    Aisbx__V1__ForwardPortRequest msg = AISBX__V1__FORWARD_PORT_REQUEST__INIT;
    (void)snprintf(id, sizeof id, "%.*s", SB_STR_ARG(relay->place.sandbox_id));
    open.sandbox_id = id;
    open.port = relay->place.port;
    msg.message_case = AISBX__V1__FORWARD_PORT_REQUEST__MESSAGE_OPEN;
    msg.open = &open;
    (void)sb_backend_send(relay->call, &msg.base);
    sb_backend_read(relay->call);
}

void sb_relay_start(struct sb_ports *ports,
                    struct sb_http_request *request,
                    const struct sb_port_place *place)
{
    struct sb_err err;
    struct relay *relay = calloc(1, sizeof *relay);
    if (relay != NULL) {
        relay->timer = event_new(ports->options.base, -1, 0, on_timeout, relay);
    }
    if (relay == NULL || relay->timer == NULL) {
        free(relay);
        (void)sb_err_oom(&err);
        sb_rest_reply_error(request, NULL, &err);
        return;
    }
    relay->ports = ports;
    relay->request = request;
    relay->place = *place;
    relay->asked.is_head = sb_http_method(request) == SB_HTTP_HEAD;
    sb_buf_init(&relay->head, SB_ANSWER_MAX_BYTES + PIECE);
    if (start(relay, &err) < 0) {
        refuse(relay, 0, NULL, &err);
        free_relay(relay);
        return;
    }
    sb_list_append(&ports->relays, &relay->node);
    sb_http_watch(request, &watcher, relay);
    sb_http_watch_body(request, &body_watcher, relay);
    arm(relay, ANSWER_MS);
    open_port(relay);
}
