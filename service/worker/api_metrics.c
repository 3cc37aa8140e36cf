/** Theory of operation. Counters are counted as things happen; gauges are looked at when somebody
 *  asks. What all sandboxes use is known by the spawner alone, so a call waits for its answer. */
#include "service/worker/api_metrics.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "proto/trace/trace.h"
#include "service/worker/api.h"
#include "service/worker/api_pb.h"
#include "service/worker/counters.h"
#include "service/worker/exec.h"
#include "service/worker/limits.h"
#include "service/worker/metrics.h"
#include "service/worker/pool/pool.h"
#include "service/worker/spawner.h"
#include "service/worker/worker.h"

enum { STATM_BYTES = 256 };

/* ---- gauges ---- */

static void set(struct sb_worker *worker, size_t family, const char *label, double value)
{
    sb_metrics_set(&worker->metrics, family, &label, value);
}

/* Of one processor, since the last time; what was counted may have begun anew. */
static void
set_cpu(struct sb_worker *worker, struct sb_cpu_mark *mark, const char *scope, uint64_t us)
{
    uint64_t now_ns = sb_clock_mono_ns();
    if (mark->at_ns != 0 && now_ns > mark->at_ns && us >= mark->used_us) {
        set(worker, SB_M_CPU_USAGE, scope,
            (double)(us - mark->used_us) * 1e5 / (double)(now_ns - mark->at_ns));
    }
    *mark = (struct sb_cpu_mark){.at_ns = now_ns, .used_us = us};
}

static uint64_t own_memory(void)
{
    struct sb_err err;
    SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT(STATM_BYTES);
    struct sb_str rest;
    struct sb_str pages;
    uint64_t n = 0;
    if (sb_fd_read_file(AT_FDCWD, "/proc/self/statm", STATM_BYTES, &text, &err) < 0) {
        return 0;
    }
    rest = sb_buf_str(&text);
    if (!sb_str_split(rest, ' ', &pages, &rest) || !sb_str_split(rest, ' ', &pages, &rest) ||
        sb_num_u64(pages, 0, UINT64_MAX >> 16, &n, &err) < 0) {
        return 0;
    }
    return n * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Counted where callers are admitted. */
static void look_at_refusals(struct sb_worker *worker)
{
    static const struct {
        size_t family;
        const char *label;
    } rows[SB_AUTH_COUNT_END_] = {
        [SB_AUTH_NO_KEY] = {SB_M_AUTH_FAILURES, "no_key"},
        [SB_AUTH_WRONG_KEY] = {SB_M_AUTH_FAILURES, "wrong_key"},
        [SB_AUTH_EXPIRED] = {SB_M_AUTH_FAILURES, "expired_or_revoked"},
        [SB_AUTH_NO_MATCH] = {SB_M_AUTH_FAILURES, "unknown_identity"},
        [SB_AUTH_ROLE] = {SB_M_AUTH_FAILURES, "role"},
        [SB_AUTH_RATE] = {SB_M_RATE_LIMIT_HITS, "requests"},
        [SB_AUTH_THROTTLED] = {SB_M_RATE_LIMIT_HITS, "auth_failures"},
        [SB_AUTH_QUOTA] = {SB_M_RATE_LIMIT_HITS, "quota"},
    };
    for (size_t i = 0; i < SB_AUTH_COUNT_END_; i++) {
        set(worker, rows[i].family, rows[i].label, (double)worker->auth.counts[i]);
    }
}

static void look_at_itself(struct sb_worker *worker)
{
    struct rusage usage;
    const char *version = SB_VERSION;
    uint64_t kept = worker->registry.kept_bytes;
    SB_FOREACH (node, &worker->registry.exec_list) {
        const struct sb_exec *exec = SB_LIST_ENTRY(node, struct sb_exec, link);
        if (!sb_exec_has_ended(exec)) {
            kept += exec->out[0].spool.total - sb_spool_dropped(&exec->out[0].spool) +
                    exec->out[1].spool.total - sb_spool_dropped(&exec->out[1].spool);
        }
    }
    sb_metrics_set(&worker->metrics, SB_M_BUILD_INFO, &version, 1);
    set(worker, SB_M_ACTIVE_CONNECTIONS, "calls", sb_rpc_server_calls(worker->server));
    set(worker, SB_M_ACTIVE_CONNECTIONS, "local",
        sb_rpc_server_live_calls(worker->server) - sb_rpc_server_calls(worker->server));
    sb_metrics_set(&worker->metrics, SB_M_SANDBOXES_ACTIVE, NULL, (double)worker->registry.n_live);
    sb_metrics_set(&worker->metrics, SB_M_SANDBOX_SLOTS, NULL, SB_MAX_SANDBOXES);
    sb_metrics_set(&worker->metrics, SB_M_POOL_PARKED, NULL,
                   worker->pool == NULL ? 0 : (double)sb_pool_parked(worker->pool));
    sb_metrics_set(&worker->metrics, SB_M_EXECS_ACTIVE, NULL,
                   (double)worker->registry.n_active_execs);
    sb_metrics_set(&worker->metrics, SB_M_START_TIME, NULL, (double)worker->start_ms / 1e3);
    const struct sb_keys *filed = worker->auth.filed;
    set(worker, SB_M_SHARED_KEYS, "usable",
        filed == NULL ? 0 : (double)sb_map_count(&filed->by_id));
    set(worker, SB_M_SHARED_KEYS, "wrong", (double)worker->key_watch.n_wrong);
    set(worker, SB_M_DISK_USAGE, "output", (double)kept);
    set(worker, SB_M_MEMORY_USAGE, "worker", (double)own_memory());
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        set_cpu(worker, &worker->cpu_marks[0], "worker",
                (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
                    (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec));
    }
}

static void look_at_sandboxes(struct sb_worker *worker, const struct sb_counters *counters)
{
    if (counters->version == 0) {
        return; /* nobody counts */
    }
    if (counters->has_memory) {
        set(worker, SB_M_MEMORY_USAGE, "sandboxes", (double)counters->memory);
    }
    set_cpu(worker, &worker->cpu_marks[1], "sandboxes",
            counters->cpu_user_us + counters->cpu_system_us);
}

/* ---- the answer ---- */

static int put_label(Aisbx__V1__MetricSample *sample, const char *key, const char *value)
{
    Aisbx__V1__MetricSample__LabelsEntry *entry =
        sb_api_pb_new(&aisbx__v1__metric_sample__labels_entry__descriptor);
    if (entry == NULL) {
        return -1;
    }
    sample->labels[sample->n_labels++] = entry;
    return sb_api_pb_text(&entry->key, key) && sb_api_pb_text(&entry->value, value) ? 0 : -1;
}

static int put_buckets(Aisbx__V1__MetricSample *sample, const struct sb_metric *metric)
{
    size_t n = metric->family->n_bounds;
    sample->bucket_bounds = calloc(n, sizeof *sample->bucket_bounds);
    sample->bucket_counts = calloc(n + 1, sizeof *sample->bucket_counts);
    if (sample->bucket_bounds == NULL || sample->bucket_counts == NULL) {
        return -1;
    }
    sample->n_bucket_bounds = n;
    sample->n_bucket_counts = n + 1;
    uint64_t sum = 0;
    for (size_t i = 0; i <= n; i++) {
        sum += metric->counts[i];
        sample->bucket_counts[i] = sum;
        if (i < n) {
            sample->bucket_bounds[i] = metric->family->bounds[i];
        }
    }
    sample->sum = metric->value;
    return 0;
}

static int put_sample(Aisbx__V1__MetricFamily *to, const struct sb_metric *metric)
{
    Aisbx__V1__MetricSample *sample = sb_api_pb_new(&aisbx__v1__metric_sample__descriptor);
    if (sample == NULL) {
        return -1;
    }
    to->samples[to->n_samples++] = sample;
    sample->labels = calloc(SB_METRICS_MAX_LABELS, sizeof(void *));
    if (sample->labels == NULL) {
        return -1;
    }
    for (size_t i = 0; i < SB_METRICS_MAX_LABELS && metric->family->labels[i] != NULL; i++) {
        if (put_label(sample, metric->family->labels[i], metric->labels[i]) < 0) {
            return -1;
        }
    }
    if (metric->family->kind == SB_METRIC_HISTOGRAM) {
        return put_buckets(sample, metric);
    }
    sample->value = metric->value;
    return 0;
}

static const Aisbx__V1__MetricKind kinds[] = {
    [SB_METRIC_COUNTER] = AISBX__V1__METRIC_KIND__METRIC_KIND_COUNTER,
    [SB_METRIC_GAUGE] = AISBX__V1__METRIC_KIND__METRIC_KIND_GAUGE,
    [SB_METRIC_HISTOGRAM] = AISBX__V1__METRIC_KIND__METRIC_KIND_HISTOGRAM,
};

static int put_family(const struct sb_metrics *metrics, size_t i, Aisbx__V1__MetricFamily *to)
{
    to->kind = kinds[metrics->families[i].kind];
    to->samples = calloc(metrics->n_series[i] + 1, sizeof(void *));
    if (to->samples == NULL || !sb_api_pb_text(&to->name, metrics->families[i].name) ||
        !sb_api_pb_text(&to->help, metrics->families[i].help)) {
        return -1;
    }
    SB_FOREACH (node, &metrics->series[i]) {
        if (put_sample(to, SB_LIST_ENTRY(node, struct sb_metric, link)) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
put_all(const struct sb_metrics *metrics, Aisbx__V1__GetMetricsResponse *msg, struct sb_err *err)
{
    msg->families = calloc(metrics->n, sizeof(void *));
    if (msg->families == NULL) {
        return sb_err_oom(err);
    }
    for (size_t i = 0; i < metrics->n; i++) {
        Aisbx__V1__MetricFamily *family = sb_api_pb_new(&aisbx__v1__metric_family__descriptor);
        if (family == NULL) {
            return sb_err_oom(err);
        }
        msg->families[msg->n_families++] = family;
        if (put_family(metrics, i, family) < 0) {
            return sb_err_oom(err);
        }
    }
    return 0;
}

static void look_at_spans(struct sb_worker *worker)
{
    const struct sb_trace_counts counts = sb_tracer_counts(worker->tracer);
    const struct {
        const char *outcome[1];
        uint64_t n;
    } rows[] = {{{"exported"}, counts.exported},
                {{"dropped"}, counts.dropped},
                {{"failed"}, counts.failed}};
    for (size_t i = 0; worker->tracer != NULL && i < sizeof rows / sizeof *rows; i++) {
        sb_metrics_set(&worker->metrics, SB_M_TRACE_SPANS, rows[i].outcome, (double)rows[i].n);
    }
}

/* ---- the call ---- */

/* Lives until the spawner has answered, though the call may be over before. */
struct scrape {
    struct sb_rpc_call *call; /* NULL: over */
    struct sb_worker *worker;
};

static void answer(struct sb_worker *worker, struct sb_rpc_call *call)
{
    struct sb_err err = {.code = SB_OK};
    Aisbx__V1__GetMetricsResponse *msg =
        sb_api_pb_new(&aisbx__v1__get_metrics_response__descriptor);
    look_at_itself(worker);
    look_at_refusals(worker);
    look_at_spans(worker);
    if (msg != NULL) {
        (void)put_all(&worker->metrics, msg, &err);
    }
    sb_api_finish(call, msg, &err);
}

static void on_counted(void *ctx,
                       const Spawn__V1__Reply *reply,
                       struct sb_frame *frame,
                       const struct sb_err *failure)
{
    (void)frame;
    (void)failure;
    struct scrape *scrape = ctx;
    struct sb_counters counters;
    sb_counters_read(reply == NULL ? NULL : reply->counters, &counters);
    if (scrape->call != NULL) {
        look_at_sandboxes(scrape->worker, &counters);
        sb_rpc_call_set_user(scrape->call, NULL);
        answer(scrape->worker, scrape->call);
    }
    free(scrape);
}

void sb_api_metrics_get(struct sb_rpc_call *call,
                        const Aisbx__V1__GetMetricsRequest *req,
                        void *svc)
{
    (void)req;
    struct sb_worker *worker = svc;
    struct sb_caller caller;
    struct sb_err err;
    if (!sb_api_identify(call, worker, &caller)) {
        return;
    }
    struct scrape *scrape = malloc(sizeof *scrape);
    if (scrape == NULL) {
        (void)sb_err_oom(&err);
        sb_rpc_call_fail(call, &err);
        return;
    }
    *scrape = (struct scrape){call, worker};
    sb_rpc_call_set_user(call, scrape);
    if (sb_spawner_count(worker->spawner, 0, on_counted, scrape, &err) < 0) {
        sb_rpc_call_set_user(call, NULL);
        free(scrape);
        answer(worker, call);
    }
}

void sb_api_metrics_done(struct sb_rpc_call *call, bool cancelled, void *svc)
{
    (void)cancelled;
    (void)svc;
    struct scrape *scrape = sb_rpc_call_user(call);
    if (scrape != NULL) {
        scrape->call = NULL;
    }
}
