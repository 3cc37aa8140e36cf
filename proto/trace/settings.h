#pragma once
/** Where spans go, and which: options, else the variables that all of OpenTelemetry have. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/rpc/rpc.h"

struct sb_err;

/** As they stand on a command line. NULL: not given; borrowed. */
struct sb_trace_options {
    const char *endpoint; /* "http://localhost:4317" */
    const char *sampler;  /* "parentbased_always_on" ... */
    const char *ratio;    /* "0.1" */
};

enum {
    SB_TRACE_MAX_HEADERS = 8,
    SB_TRACE_MAX_ATTRIBUTES = 32,
};

struct sb_trace_pair {
    char *key; /* heap, as all strings here */
    char *value;
};

struct sb_trace_settings {
    char *address; /* for sb_rpc_channel_open; NULL: tracing is off */
    bool uses_tls;
    char *ca_file; /* NULL: the system's */
    char *cert_file;
    char *key_file;
    char *service;
    struct sb_trace_pair headers[SB_TRACE_MAX_HEADERS]; /* with each call of the collector */
    size_t n_headers;
    struct sb_trace_pair attributes[SB_TRACE_MAX_ATTRIBUTES]; /* of the resource */
    size_t n_attributes;
    bool follows_parent; /* a caller's decision is ours */
    uint64_t bound; /* sampled: the last 8 bytes of the trace's id are below; all: UINT64_MAX */
    uint64_t timeout_ms; /* of one call */
    uint64_t delay_ms;   /* how long spans wait for others */
    uint64_t flush_ms;   /* at the end */
    size_t queue;        /* spans that wait at most */
};

/** Fills *ret_settings; end it with sb_trace_settings_done in any case. What is wrong with an
 *  option is an error, what is wrong with a variable is logged and that variable ignored.
 *  @service  service.name unless OTEL_SERVICE_NAME says another.
 *  Errors: SB_INVALID, SB_EXHAUSTED. */
int sb_trace_settings_read(const struct sb_trace_options *options,
                           const char *service,
                           struct sb_trace_settings *ret_settings,
                           struct sb_err *err);
void sb_trace_settings_done(struct sb_trace_settings *settings);
