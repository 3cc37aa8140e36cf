#pragma once
/** Private to mcp-gateway/http: connections and the requests on them. */
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <openssl/ssl.h>

#include "base/buf.h"
#include "base/list.h"
#include "mcp-gateway/http/chunked.h"
#include "mcp-gateway/http/guard.h"
#include "mcp-gateway/http/head.h"
#include "mcp-gateway/http/server.h"
#include "mcp-gateway/http/target.h"
#include "proto/trace/trace.h"

enum {
    SB_CONN_PEER_SIZE = 64,
    SB_CONN_MAX_PIECES = 3,
    SB_HTTP_HEAD_ROOM = SB_HTTP_MAX_HEAD_BYTES + 1024, /* of an answer */
    SB_HTTP_ID_SIZE = 65,
    SB_HTTP_GONE = 499, /* no answer: the client went away */
};

enum sb_conn_state {
    SB_CONN_HEAD,
    SB_CONN_BODY,
    SB_CONN_PENDING, /* the handler has it */
    SB_CONN_STREAM,  /* the answer has begun */
    SB_CONN_RELAY,   /* the handler has it; its body, if relayed its answer too, go as they come */
    SB_CONN_FLUSH,   /* answered; the bytes are on their way */
    SB_CONN_LINGER,  /* refused or closing; waits for the client to close */
};

struct sb_http_server {
    struct sb_http_options options; /* texts borrowed, defaults filled in */
    struct sb_guard guard;
    SSL_CTX *tls;
    struct evconnlistener *listener;
    struct event *tick;
    struct event *again; /* accepting, after descriptors ran out */
    struct sb_list conns;
    unsigned n_conns;
    size_t held_bytes; /* of bodies */
    uint64_t now_ms;
    char id_prefix[24];
    uint64_t n_requests;
    uint64_t date_s;
    char date[40];
    bool is_draining;
    bool is_told;
    uint64_t drain_until_ms;
    void (*on_drained)(void *ctx);
    void *drained_ctx;
};

struct sb_conn {
    struct sb_list node;
    struct sb_http_server *server;
    struct bufferevent *bev;
    struct event *closed; /* EV_CLOSED: seen even while nobody reads */
    evutil_socket_t fd;
    enum sb_conn_state state;
    struct sb_http_request *request; /* not yet answered */
    size_t find_from;
    uint64_t deadline_ms; /* of HEAD, BODY and LINGER */
    uint64_t moved_ms;    /* when the client last took bytes */
    unsigned busy;        /* our frames on the stack */
    bool is_advancing;
    bool has_begun; /* the first byte of a head came, from which on its deadline counts */
    bool is_line_skipped;
    bool is_dead; /* freed when not busy */
    bool is_half_closed;
    bool is_eof;
    bool closes; /* after this answer */
    char peer[SB_CONN_PEER_SIZE];
    char *identity;
};

struct sb_http_request {
    struct sb_conn *conn;
    struct sb_head head;
    struct sb_target target;
    char *text; /* head, decoded target */
    size_t text_len;
    struct sb_buf body;
    size_t counted_bytes; /* of body, in held_bytes */
    struct sb_chunked chunked;
    struct sb_buf headers; /* of the answer */
    enum sb_http_relays relays;
    bool streams_body; /* without being relayed */
    const struct sb_http_body_watcher *body_watcher;
    void *body_user;
    uint64_t body_taken; /* of a body with a length that is not kept */
    bool is_body_held;   /* the handler takes no more for now */
    bool is_body_done;   /* and was told */
    bool was_told_continue;
    bool has_begun; /* the answer to a relayed request */
    bool is_answer_chunked;
    bool is_upgraded;
    const struct sb_http_watcher *watcher;
    void *watcher_user;
    void *user;
    uint64_t start_ns;
    struct sb_span span;
    int status; /* of the answer */
    bool is_over_high;
    bool is_gone;
    char id[SB_HTTP_ID_SIZE];
};

int sb_conn_new(struct sb_http_server *server, evutil_socket_t fd, const char *peer);
void sb_conn_enter(struct sb_conn *conn);
void sb_conn_leave(struct sb_conn *conn);
/** The other side is gone, or must be: tells the handler, closes. */
void sb_conn_lost(struct sb_conn *conn);
/** Deadlines. */
void sb_conn_tick(struct sb_conn *conn);
/** @n  at most SB_CONN_MAX_PIECES */
void sb_conn_send(struct sb_conn *conn, const struct sb_str *pieces, size_t n);
/** The request was answered with all its bytes handed over. */
void sb_conn_answered(struct sb_conn *conn);
/** Nothing is asked of it and nothing on its way. */
bool sb_conn_is_idle(const struct sb_conn *conn);

/** Takes what is there of a body that is not kept. Returns whether to go on; err->code other than
 * SB_OK: it is no body. */
bool sb_conn_step_relay(struct sb_conn *conn, struct evbuffer *input, struct sb_err *err);
/** All of the head but the lines about the body. Returns its length; 0: no room. */
int sb_http_write_head(
    struct sb_http_request *request, int status, const char *type, char *out, size_t size);

/** NULL: memory is out. */
struct sb_http_request *sb_request_new(struct sb_conn *conn);
/** Makes one of a whole head, and checks it. @ret_status  what to answer on failure. */
int sb_request_read_head(
    struct sb_conn *conn, struct evbuffer *input, size_t len, int *ret_status, struct sb_err *err);
/** Takes what is there of a body that is kept whole. err->sys ENOBUFS: it is too long. */
int sb_request_take_body(struct sb_http_request *request,
                         struct evbuffer *input,
                         struct sb_err *err);
void sb_request_end(struct sb_http_request *request, int status);
int sb_http_listen_tls(struct sb_http_server *server, struct sb_err *err);
/** Heap text; NULL without a certificate. */
char *sb_http_tls_identity(SSL *ssl);
