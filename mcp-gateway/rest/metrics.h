#pragma once
/** What the gateway counts of itself, and text exposition of metric families (Prometheus 0.0.4). */
#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

struct sb_fleet;
struct sb_http_request;
struct sb_shared;
struct sb_out;
struct sb_tracer;

enum { SB_METRICS_SERIES = 96, SB_METRICS_BUCKETS = 14 };

struct sb_rest_series {
    const char *protocol; /* "rest", "mcp", "other" */
    const char *method;   /* static */
    int status;
    uint64_t n;
};

struct sb_rest_durations {
    uint64_t buckets[SB_METRICS_BUCKETS + 1];
    uint64_t sum_us;
    uint64_t n;
};

struct sb_rest_metrics {
    struct sb_rest_series series[SB_METRICS_SERIES];
    size_t n_series;
    struct sb_rest_durations durations[4]; /* by protocol */
};

void sb_rest_metrics_note(struct sb_rest_metrics *metrics,
                          const struct sb_http_request *request,
                          int status,
                          uint64_t us);
void sb_rest_metrics_render_own(const struct sb_rest_metrics *metrics,
                                unsigned connections,
                                struct sb_out *out);
/** How each of many workers is; NULL: there is one, and nothing to say. */
void sb_rest_metrics_render_fleet(const struct sb_fleet *fleet, struct sb_out *out);
/** How the store of all gateways is; NULL: there is none, and nothing to say. */
void sb_rest_metrics_render_shared(const struct sb_shared *shared, struct sb_out *out);
/** What became of its own spans; NULL: none are made. */
void sb_rest_metrics_render_spans(const struct sb_tracer *tracer, struct sb_out *out);
/** Families of a worker, each sample with the label worker. @families  Aisbx__V1__MetricFamily. */
void sb_rest_metrics_render(const ProtobufCMessage *reply, const char *worker, struct sb_out *out);
