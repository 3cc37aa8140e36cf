#include "mcp-gateway/rest/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "aisbx/v1/worker_service.pb-c.h"
#include "base/out.h"
#include "mcp-gateway/fleet/fleet.h"
#include "mcp-gateway/http/head.h"
#include "mcp-gateway/http/server.h"
#include "mcp-gateway/shared/shared.h"
#include "proto/trace/trace.h"

static const char *const protocols[] = {"rest", "mcp", "other", "port"};

/* Seconds; a program's run may take as long as it is let. */
static const double bounds[SB_METRICS_BUCKETS] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                                  0.25,  0.5,    1,     2.5,  10,    60,   600};

static size_t protocol_of(struct sb_str path)
{
    return sb_str_starts_with(path, SB_STR("/api/"))  ? 0
           : sb_str_starts_with(path, SB_STR("/mcp")) ? 1
                                                      : 2;
}

static struct sb_rest_series *
find_series(struct sb_rest_metrics *metrics, const char *protocol, const char *method, int status)
{
    for (size_t i = 0; i < metrics->n_series; i++) {
        struct sb_rest_series *at = &metrics->series[i];
        if (at->protocol == protocol && at->method == method && at->status == status) {
            return at;
        }
    }
    if (metrics->n_series == SB_METRICS_SERIES) {
        return NULL; /* methods and statuses are few: this many do not occur */
    }
    struct sb_rest_series *made = &metrics->series[metrics->n_series++];
    *made = (struct sb_rest_series){protocol, method, status, 0};
    return made;
}

void sb_rest_metrics_note(struct sb_rest_metrics *metrics,
                          const struct sb_http_request *request,
                          int status,
                          uint64_t us)
{
    size_t protocol = sb_http_is_relayed(request) ? 3 : protocol_of(sb_http_path(request));
    const char *method = sb_http_method_name(sb_http_method(request));
    struct sb_rest_series *series = find_series(metrics, protocols[protocol], method, status);
    struct sb_rest_durations *durations = &metrics->durations[protocol];
    size_t i = 0;
    if (series != NULL) {
        series->n++;
    }
    while (i < SB_METRICS_BUCKETS && (double)us > bounds[i] * 1e6) {
        i++;
    }
    durations->buckets[i]++;
    durations->sum_us += us;
    durations->n++;
}

void sb_rest_metrics_render_own(const struct sb_rest_metrics *metrics,
                                unsigned connections,
                                struct sb_out *out)
{
    sb_out_put(out, "# HELP aisbx_gateway_connections HTTP connections that are open.\n"
                    "# TYPE aisbx_gateway_connections gauge\n");
    sb_out_printf(out, "aisbx_gateway_connections %u\n", connections);
    sb_out_put(out, "# HELP aisbx_gateway_request_duration_seconds HTTP requests, from the head to "
                    "the last byte of the answer.\n"
                    "# TYPE aisbx_gateway_request_duration_seconds histogram\n");
    for (size_t p = 0; p < sizeof protocols / sizeof *protocols; p++) {
        const struct sb_rest_durations *durations = &metrics->durations[p];
        uint64_t n = 0;
        for (size_t i = 0; i < SB_METRICS_BUCKETS; i++) {
            n += durations->buckets[i];
            sb_out_printf(
                out,
                "aisbx_gateway_request_duration_seconds_bucket{protocol=\"%s\",le=\"%g\"} "
                "%" PRIu64 "\n",
                protocols[p], bounds[i], n);
        }
        sb_out_printf(out,
                      "aisbx_gateway_request_duration_seconds_bucket{protocol=\"%s\",le=\"+Inf\"} "
                      "%" PRIu64 "\n"
                      "aisbx_gateway_request_duration_seconds_sum{protocol=\"%s\"} %.6f\n"
                      "aisbx_gateway_request_duration_seconds_count{protocol=\"%s\"} %" PRIu64 "\n",
                      protocols[p], durations->n, protocols[p], (double)durations->sum_us / 1e6,
                      protocols[p], durations->n);
    }
    sb_out_put(out, "# HELP aisbx_gateway_requests_total HTTP requests by how they ended; 499: the "
                    "client went away.\n"
                    "# TYPE aisbx_gateway_requests_total counter\n");
    for (size_t i = 0; i < metrics->n_series; i++) {
        const struct sb_rest_series *at = &metrics->series[i];
        sb_out_printf(out,
                      "aisbx_gateway_requests_total{protocol=\"%s\",method=\"%s\",status=\"%d\"} "
                      "%" PRIu64 "\n",
                      at->protocol, at->method, at->status, at->n);
    }
}

/* ---- of many workers ---- */

static void put_value(struct sb_out *out, const char *value);

static void put_worker(const struct sb_fleet_worker *worker, void *ctx)
{
    struct sb_out *out = ctx;
    sb_out_put(out, "aisbx_gateway_workers{worker=\"");
    put_value(out, worker->address);
    sb_out_printf(out, "\",state=\"%s\"} 1\n", worker->state);
}

void sb_rest_metrics_render_fleet(const struct sb_fleet *fleet, struct sb_out *out)
{
    if (fleet != NULL) {
        sb_out_put(out, "# HELP aisbx_gateway_workers Workers that this gateway knows, by how they "
                        "are.\n# TYPE aisbx_gateway_workers gauge\n");
        sb_fleet_each(fleet, put_worker, out);
    }
}

/* ---- of the shared store ---- */

static void put_durations(const struct sb_shared_stats *stats, struct sb_out *out)
{
    uint64_t n = 0;
    sb_out_put(out, "# HELP aisbx_gateway_shared_store_duration_seconds What it takes to answer.\n"
                    "# TYPE aisbx_gateway_shared_store_duration_seconds histogram\n");
    for (size_t i = 0; i < SB_SHARED_BOUNDS; i++) {
        n += stats->buckets[i];
        sb_out_printf(out,
                      "aisbx_gateway_shared_store_duration_seconds_bucket{le=\"%g\"} %" PRIu64 "\n",
                      sb_shared_bounds[i], n);
    }
    sb_out_printf(out,
                  "aisbx_gateway_shared_store_duration_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\n"
                  "aisbx_gateway_shared_store_duration_seconds_sum %.6f\n"
                  "aisbx_gateway_shared_store_duration_seconds_count %" PRIu64 "\n",
                  stats->n_answers, (double)stats->sum_us / 1e6, stats->n_answers);
}

void sb_rest_metrics_render_shared(const struct sb_shared *shared, struct sb_out *out)
{
    struct sb_shared_stats stats;
    if (shared == NULL) {
        return;
    }
    sb_shared_tell(shared, &stats);
    sb_out_printf(
        out,
        "# HELP aisbx_gateway_shared_store_up Whether the store of all gateways is there.\n"
        "# TYPE aisbx_gateway_shared_store_up gauge\n"
        "aisbx_gateway_shared_store_up %d\n"
        "# HELP aisbx_gateway_shared_store_calls_total What it was asked, by how that "
        "ended.\n"
        "# TYPE aisbx_gateway_shared_store_calls_total counter\n",
        stats.is_up);
    for (size_t act = 0; act < SB_SHARED_ACTS_; act++) {
        for (size_t end = 0; end < SB_SHARED_ENDS_; end++) {
            sb_out_printf(out,
                          "aisbx_gateway_shared_store_calls_total{act=\"%s\",result=\"%s\"} "
                          "%" PRIu64 "\n",
                          sb_shared_acts[act], sb_shared_ends[end], stats.n[act][end]);
        }
    }
    put_durations(&stats, out);
}

/* ---- of spans ---- */

void sb_rest_metrics_render_spans(const struct sb_tracer *tracer, struct sb_out *out)
{
    const struct sb_trace_counts counts = sb_tracer_counts(tracer);
    sb_out_put(out, "# HELP aisbx_gateway_trace_spans_total Spans of the gateway: exported, "
                    "dropped (too many waited), failed (the collector took them not).\n"
                    "# TYPE aisbx_gateway_trace_spans_total counter\n");
    if (tracer != NULL) {
        sb_out_printf(out,
                      "aisbx_gateway_trace_spans_total{outcome=\"exported\"} %" PRIu64 "\n"
                      "aisbx_gateway_trace_spans_total{outcome=\"dropped\"} %" PRIu64 "\n"
                      "aisbx_gateway_trace_spans_total{outcome=\"failed\"} %" PRIu64 "\n",
                      counts.exported, counts.dropped, counts.failed);
    }
}

/* ---- of a worker ---- */

/* A label's value: \, " and line feeds are escaped; the rest is UTF-8 already. */
static void put_value(struct sb_out *out, const char *value)
{
    for (const char *c = value; *c != '\0'; c++) {
        if (*c == '\\' || *c == '"') {
            sb_out_printf(out, "\\%c", *c);
        } else if (*c == '\n') {
            sb_out_put(out, "\\n");
        } else {
            sb_out_write(out, c, 1);
        }
    }
}

static bool is_name(const char *name)
{
    bool is_good = *name != '\0' && strspn(name, "0123456789") == 0;
    for (const char *c = name; *c != '\0'; c++) {
        is_good = is_good && ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                              (*c >= '0' && *c <= '9') || *c == '_');
    }
    return is_good;
}

static void put_number(struct sb_out *out, double value)
{
    if (isnan(value)) {
        sb_out_put(out, "NaN\n");
    } else if (isinf(value)) {
        sb_out_put(out, value > 0 ? "+Inf\n" : "-Inf\n");
    } else {
        sb_out_printf(out, "%.17g\n", value);
    }
}

static void put_labels(struct sb_out *out,
                       const Aisbx__V1__MetricSample *sample,
                       const char *worker,
                       const char *bound)
{
    for (size_t i = 0; i < sample->n_labels; i++) { /* of many workers each sample has its own */
        if (strcmp(sample->labels[i]->key, "worker") == 0) {
            worker = sample->labels[i]->value;
        }
    }
    sb_out_put(out, "{worker=\"");
    put_value(out, worker);
    sb_out_put(out, "\"");
    for (size_t i = 0; i < sample->n_labels; i++) {
        if (is_name(sample->labels[i]->key) && strcmp(sample->labels[i]->key, "worker") != 0) {
            sb_out_printf(out, ",%s=\"", sample->labels[i]->key);
            put_value(out, sample->labels[i]->value);
            sb_out_put(out, "\"");
        }
    }
    if (bound != NULL) {
        sb_out_printf(out, ",le=\"%s\"", bound);
    }
    sb_out_put(out, "} ");
}

static void put_histogram(struct sb_out *out,
                          const char *name,
                          const Aisbx__V1__MetricSample *sample,
                          const char *worker)
{
    uint64_t n =
        sample->n_bucket_counts == 0 ? 0 : sample->bucket_counts[sample->n_bucket_counts - 1];
    for (size_t i = 0; i < sample->n_bucket_bounds && i < sample->n_bucket_counts; i++) {
        struct sb_out bound;
        sb_out_init(&bound, -1);
        sb_out_printf(&bound, "%g", sample->bucket_bounds[i]);
        sb_out_printf(out, "%s_bucket", name);
        put_labels(out, sample, worker, sb_buf_cstr(&bound.buf));
        sb_out_printf(out, "%" PRIu64 "\n", sample->bucket_counts[i]);
        sb_out_done(&bound);
    }
    sb_out_printf(out, "%s_bucket", name);
    put_labels(out, sample, worker, "+Inf");
    sb_out_printf(out, "%" PRIu64 "\n%s_sum", n, name);
    put_labels(out, sample, worker, NULL);
    put_number(out, sample->sum);
    sb_out_printf(out, "%s_count", name);
    put_labels(out, sample, worker, NULL);
    sb_out_printf(out, "%" PRIu64 "\n", n);
}

struct named {
    const Aisbx__V1__MetricFamily *family;
};

static int by_name(const void *a, const void *b)
{
    const struct named *left = a;
    const struct named *right = b;
    return strcmp(left->family->name, right->family->name);
}

static void
put_family(struct sb_out *out, const Aisbx__V1__MetricFamily *family, const char *worker)
{
    static const char *const kinds[] = {"untyped", "counter", "gauge", "histogram"};
    size_t kind = (size_t)family->kind < 4 ? (size_t)family->kind : 0;
    sb_out_printf(out, "# HELP %s ", family->name);
    for (const char *c = family->help; *c != '\0'; c++) {
        if (*c == '\\' || *c == '\n') {
            sb_out_put(out, *c == '\n' ? "\\n" : "\\\\");
        } else {
            sb_out_write(out, c, 1);
        }
    }
    sb_out_printf(out, "\n# TYPE %s %s\n", family->name, kinds[kind]);
    for (size_t i = 0; i < family->n_samples; i++) {
        if (family->kind == AISBX__V1__METRIC_KIND__METRIC_KIND_HISTOGRAM) {
            put_histogram(out, family->name, family->samples[i], worker);
            continue;
        }
        sb_out_put(out, family->name);
        put_labels(out, family->samples[i], worker, NULL);
        put_number(out, family->samples[i]->value);
    }
}

void sb_rest_metrics_render(const ProtobufCMessage *reply, const char *worker, struct sb_out *out)
{
    const Aisbx__V1__GetMetricsResponse *metrics = (const void *)reply;
    size_t n = metrics->n_families;
    struct named *sorted = calloc(n == 0 ? 1 : n, sizeof *sorted);
    if (sorted == NULL) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        sorted[i].family = metrics->families[i];
    }
    qsort(sorted, n, sizeof *sorted, by_name);
    for (size_t i = 0; i < n; i++) {
        /* A name must not come twice. */
        if (is_name(sorted[i].family->name) &&
            (i == 0 || by_name(&sorted[i], &sorted[i - 1]) != 0)) {
            put_family(out, sorted[i].family, worker);
        }
    }
    free(sorted);
}
