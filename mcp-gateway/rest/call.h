#pragma once
/** Private to mcp-gateway/rest: one request and the call it became. */
#include <event2/event.h>
#include <protobuf-c/protobuf-c.h>

#include "base/err.h"
#include "base/list.h"
#include "mcp-gateway/backend.h"
#include "mcp-gateway/http/problem.h"
#include "mcp-gateway/http/server.h"
#include "mcp-gateway/rest/metrics.h"
#include "mcp-gateway/rest/rest.h"
#include "mcp-gateway/rest/route.h"

struct sb_rest {
    struct sb_rest_options options;
    struct sb_list calls;
    struct sb_rest_metrics metrics;
    const struct sb_http_server *server;
    bool is_ending;
};

/* Bytes of a character whose end is in the next piece. */
struct sb_rest_carry {
    char bytes[4];
    size_t len;
};

struct sb_rest_call {
    struct sb_list node;
    struct sb_rest *rest;
    struct sb_http_request *request; /* NULL: answered, or gone */
    const struct sb_route *route;
    struct sb_backend_call *call;
    struct event *timer;      /* of event streams */
    struct sb_inflow *inflow; /* of a body that is streamed; owned */
    bool is_begun;            /* the stream has a head */
    bool has_range;
    bool ignores_range;
    bool is_background;
    uint64_t range_first;
    uint64_t range_last; /* UINT64_MAX: to the end */
    uint64_t offsets[2]; /* of an exec's streams: what was told */
    struct sb_rest_carry carry[2];
    uint64_t n_events;
};

/* ask.c: what is wrong with a request, as it will be told. */
struct sb_rest_problem {
    int status;
    char pointer[256];
    struct sb_err err;
};

/** The message of the call, heap. NULL with *problem filled. */
ProtobufCMessage *sb_rest_ask(struct sb_rest_call *call,
                              const struct sb_route_match *match,
                              struct sb_rest_problem *problem);

/** Starts the call of a matched route; answers in any case. */
void sb_rest_start(struct sb_rest *rest,
                   struct sb_http_request *request,
                   const struct sb_route_match *match);
/** The range that was asked for is of another file by now: reads the whole instead, in a call of
 * its own. */
void sb_rest_start_over(struct sb_rest_call *call);
/** After the answer: leaves what is still running of the call. */
void sb_rest_leave(struct sb_rest_call *call);
void sb_rest_reply_message(struct sb_rest_call *call, int status, const ProtobufCMessage *message);

int sb_rest_status_of(enum sb_code code);
/** Answers with the error of a call, and what its trailers say of limits. @call  may be NULL. */
void sb_rest_reply_error(struct sb_http_request *request,
                         const struct sb_backend_call *call,
                         const struct sb_err *err);

/* events.c */
void sb_rest_events_watch(struct sb_rest_call *call);
void sb_rest_events_message(struct sb_rest_call *call, const ProtobufCMessage *message);
void sb_rest_exec_message(struct sb_rest_call *call, const ProtobufCMessage *message);
void sb_rest_code_message(struct sb_rest_call *call, const ProtobufCMessage *message);
/** The stream is over; err->code SB_OK: well. */
void sb_rest_events_done(struct sb_rest_call *call, const struct sb_err *err);

/* bytes.c */
void sb_rest_output_message(struct sb_rest_call *call, const ProtobufCMessage *message);
void sb_rest_read_message(struct sb_rest_call *call, const ProtobufCMessage *message);
void sb_rest_write_start(struct sb_rest_call *call, const ProtobufCMessage *header);
void sb_rest_export_message(struct sb_rest_call *call, const ProtobufCMessage *message);
void sb_rest_import_start(struct sb_rest_call *call, const ProtobufCMessage *header);

/* health.c */
void sb_rest_health(struct sb_rest *rest, struct sb_http_request *request, const char *what);
void sb_rest_metrics_ask(struct sb_rest *rest, struct sb_http_request *request);
