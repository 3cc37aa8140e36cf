#pragma once
/** HTTP/1.1 of the gateway, on libevent's loop and buffers.
 *
 *  Theory of operation. One thread, one event loop. A request is whole before its handler sees it
 *  (head and body within the limits), unless the handler streams its body (below); it is then
 *  answered once, at once or later: either by sb_http_reply, or by sb_http_stream_begin, pieces,
 *  sb_http_stream_end. A client that goes away meanwhile (half-closing counts) is told to the
 * handler exactly once by gone(), after which the request must not be touched; nor after it was
 * answered.
 *
 *  A body that is streamed has no bound here. Its handler gets the request with its head, reads by
 *  sb_http_relay_read what sb_http_watch_body told it of (relay.h), and answers by sb_http_reply. A
 *  body that is no body, or does not come on for timeout_ms, is answered here, after gone().
 *
 *  The head is read by head.c, strictly, rather than by evhttp, which passes on what another server
 *  before us may read in another way (two lengths, NUL, a line feed alone), has no deadline for a
 *  whole request, and ends the process when a client sends on while its request waits. What is
 *  refused there is told as problem+json, and the connection ends.
 *
 *  A connection: HEAD -> BODY -> PENDING -> (STREAM ->) FLUSH -> HEAD, or HEAD -> RELAY -> FLUSH
 * (relayed, or with a streamed body), or LINGER, where what the client still sends is thrown away
 * so that it can read the refusal. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "mcp-gateway/http/relay.h"

struct event_base;
struct sb_err;
struct sb_http_request;
struct sb_http_server;
struct sb_span;
struct sb_trace;
struct sb_tracer;

enum {
    SB_HTTP_MAX_HEAD_BYTES = 16 << 10,
    SB_HTTP_MAX_BODY_BYTES = 4 << 20,
    SB_HTTP_HIGH_BYTES = 256 << 10, /* of a stream that wait for the client */
    SB_HTTP_LOW_BYTES = 64 << 10,
};

enum sb_http_method {
    SB_HTTP_GET = 1,
    SB_HTTP_HEAD = 2,
    SB_HTTP_POST = 4,
    SB_HTTP_PUT = 8,
    SB_HTTP_PATCH = 16,
    SB_HTTP_DELETE = 32,
    SB_HTTP_OPTIONS = 64,
    SB_HTTP_OTHER = 128, /* of relayed requests alone */
};

/** What a handler may be told later. Borrowed; must live as long as the request. */
struct sb_http_watcher {
    void (*gone)(struct sb_http_request *request, void *user);    /* last word */
    void (*drained)(struct sb_http_request *request, void *user); /* under SB_HTTP_LOW_BYTES */
};

struct sb_http_options {
    struct event_base *base; /* borrowed */
    const char *address;     /* "127.0.0.1", "::1", "0.0.0.0" */
    uint16_t port;           /* 0 picks one */
    int given_fd;            /* with is_given: a TCP socket that listens already; borrowed */
    bool is_given;           /* address and port are its own, which somebody else bound */
    const char *tls_cert;    /* PEM files; NULL: plaintext */
    const char *tls_key;
    const char *tls_ca;       /* clients must show a certificate */
    size_t max_body_bytes;    /* 0 = SB_HTTP_MAX_BODY_BYTES */
    size_t max_bodies_bytes;  /* of all requests together, beyond: 503; 0 = 64 * max_body_bytes */
    unsigned max_connections; /* 0 = 4096; beyond, or beyond half of it for one address: 503 */
    unsigned timeout_ms; /* for a whole request to arrive, for more of a streamed body, and for a
                          * client that does not read to take some more of the answer; 0 =
                          * 30000 */
    unsigned idle_ms;    /* a connection without a request; 0 = 75000 */
    /* Origins and hosts that are let in beside loopback names with any port; a request with another
     * Origin, or with another Host while the address is loopback, is 403. */
    const char *const *origins;
    size_t n_origins;
    const char *const *hosts;
    size_t n_hosts;
    const char *open_path; /* prefix of paths whose form is the handler's to judge; NULL: none */
    /** Each request that passed the checks. */
    void (*handle)(struct sb_http_request *request, void *user);
    /** Whether handle takes the body of a request as it comes; NULL: of none. */
    bool (*streams)(const struct sb_http_request *request, void *user);
    /** Whether a request is relayed (relay.h), by its target as it came; NULL: none is. */
    enum sb_http_relays (*relays)(struct sb_str target, void *user);
    /** Each relayed request, when its head has passed the checks. */
    void (*relay)(struct sb_http_request *request, void *user);
    /** How each request ended, those refused by the checks included; for metrics and the log.
     *  @status  499: the client went away before. */
    void (*ended)(const struct sb_http_request *request, int status, uint64_t us, void *user);
    void *user;
    struct sb_tracer *tracer; /* of requests; NULL: nobody is told of spans */
};

/** Binds and serves. Ignore SIGPIPE before. Errors: SB_INVALID: the address or the
 *  TLS files; SB_EXISTS: the port is taken. */
int sb_http_server_new(const struct sb_http_options *options,
                       struct sb_http_server **ret_server,
                       int *ret_port,
                       struct sb_err *err);
/** Accepts no more; on_done when the last request is answered, or after grace_ms, when those that
 *  remain are cut. */
void sb_http_server_drain(struct sb_http_server *server,
                          unsigned grace_ms,
                          void (*on_done)(void *ctx),
                          void *ctx);
void sb_http_server_free(struct sb_http_server *server);
unsigned sb_http_server_connections(const struct sb_http_server *server);

/* ---- the request; all text is borrowed until it is answered ---- */

enum sb_http_method sb_http_method(const struct sb_http_request *request);
/** Percent-decoded, valid UTF-8, without NUL or encoded slashes; segments "." and ".." and empty
 * ones are 400 before the handler. Below open_path there may be any of these but NUL. */
struct sb_str sb_http_path(const struct sb_http_request *request);
/** Decoded value of a query parameter; false when it is not there. Twice is 400 before. */
bool sb_http_query(const struct sb_http_request *request, const char *name, struct sb_str *ret);
/** Calls visit for each query parameter. */
void sb_http_each_query(const struct sb_http_request *request,
                        void (*visit)(struct sb_str name, struct sb_str value, void *ctx),
                        void *ctx);
/** Value of a header, name in any case; NULL when absent. */
const char *sb_http_header(const struct sb_http_request *request, const char *name);
/** X-API-Key, or Authorization: Bearer, as borrowed text of 1..1024 printable characters of ASCII;
 *  *ret_key is NULL when there is none. Errors: SB_UNAUTHENTICATED, as what is there is no key, or
 *  two of them. */
int sb_http_key(const struct sb_http_request *request, const char **ret_key, struct sb_err *err);
/** Empty of a body that is streamed. */
struct sb_str sb_http_body(const struct sb_http_request *request);
/** The client's X-Request-Id where it is at most 64 token characters, else made here; every answer
 *  carries it. */
const char *sb_http_request_id(const struct sb_http_request *request);
/** "127.0.0.1:4711" */
const char *sb_http_peer(const struct sb_http_request *request);
/** Of the client's certificate: subject alternative name (URI, else DNS), else common name; NULL
 *  without one. */
const char *sb_http_identity(const struct sb_http_request *request);

/** The trace that the request is part of, for what is done for it; zero: none. */
const struct sb_trace *sb_http_trace(const struct sb_http_request *request);
/** What came with it; NULL: nothing that may be passed on. */
const char *sb_http_tracestate(const struct sb_http_request *request);
/** Begun when its head was there. */
const struct sb_span *sb_http_span(const struct sb_http_request *request);

void sb_http_set_user(struct sb_http_request *request, void *user);
void *sb_http_user(const struct sb_http_request *request);
void sb_http_watch(struct sb_http_request *request,
                   const struct sb_http_watcher *watcher,
                   void *user);

/* ---- the answer ---- */

/** Adds a header; before reply or stream_begin. Both copied; what could end the line is left out.
 */
void sb_http_add_header(struct sb_http_request *request, const char *name, const char *value);
/** Answers. @body copied. @type  Content-Type; NULL: no body. */
void sb_http_reply(
    struct sb_http_request *request, int status, const char *type, const void *body, size_t len);
void sb_http_stream_begin(struct sb_http_request *request, int status, const char *type);
/** False: over SB_HTTP_HIGH_BYTES (the bytes are queued all the same), wait for drained(); so it
 *  stays until then. */
bool sb_http_stream_write(struct sb_http_request *request, const void *data, size_t len);
void sb_http_stream_end(struct sb_http_request *request);
/** Ends the connection without an end of the body, so that the client knows it is cut. */
void sb_http_stream_abort(struct sb_http_request *request);
