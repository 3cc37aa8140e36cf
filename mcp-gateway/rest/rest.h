#pragma once
/** REST of the contract under /api/v1, and what operators ask for: /health, /metrics.
 *
 *  Theory of operation. route.c is the table: method and path -> call. ask.c makes the call's
 *  message from path, query and body, strictly. call.c starts it with the caller's credential and
 *  answers; events.c, bytes.c do so for streams. The worker decides everything; when the client
 *  goes away its call is cancelled. */
#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct sb_backend;
struct sb_err;
struct sb_http_request;
struct sb_http_server;
struct sb_rest;
struct sb_tracer;

struct sb_rest_options {
    struct event_base *base; /* borrowed, as all */
    struct sb_backend *backend;
    const char *worker;             /* label of its metrics, its address; NULL: "local" */
    const struct sb_tracer *tracer; /* whose spans are counted; NULL: there are none */
    bool loopback_without_key;      /* calls without a credential are the gateway's own */
};

int sb_rest_new(const struct sb_rest_options *options,
                struct sb_rest **ret_rest,
                struct sb_err *err);
/** Calls that live are cancelled. After the HTTP server, before the backend. */
void sb_rest_free(struct sb_rest *rest);

/** Whether the body of a request is taken as it comes (sb_http_options.streams). */
bool sb_rest_streams(const struct sb_http_request *request);
/** Takes the request when its path is one of ours (/api/..., /health..., /metrics): then it will be
 *  answered. False: somebody else's. */
bool sb_rest_take(struct sb_rest *rest, struct sb_http_request *request);

/** For metrics: how a request of whoever ended (sb_http_options.ended). */
void sb_rest_ended(struct sb_rest *rest,
                   const struct sb_http_request *request,
                   int status,
                   uint64_t us);
/** From now on /health says that it takes no more. */
void sb_rest_set_ending(struct sb_rest *rest);
/** For metrics: whose connections are counted. */
void sb_rest_set_server(struct sb_rest *rest, const struct sb_http_server *server);
