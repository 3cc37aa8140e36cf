/** GetMetrics: what was counted is what happened. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "proto/rpc/rpc.h"
#include "rig.h"

static Aisbx__V1__GetMetricsResponse *scrape(struct rig *rig)
{
    Aisbx__V1__GetMetricsRequest request = AISBX__V1__GET_METRICS_REQUEST__INIT;
    Aisbx__V1__GetMetricsResponse *reply = NULL;
    struct sb_err err;
    assert_int_equal(
        aisbx__v1__worker_service__get_metrics__call(rig->channel, &request, NULL, &reply, &err),
        0);
    return reply;
}

static const Aisbx__V1__MetricFamily *family(const Aisbx__V1__GetMetricsResponse *reply,
                                             const char *name)
{
    for (size_t i = 0; i < reply->n_families; i++) {
        if (strcmp(reply->families[i]->name, name) == 0) {
            return reply->families[i];
        }
    }
    fail_msg("no family %s", name);
    return NULL;
}

/* The sum of the samples that carry this label value; NULL: of all. */
static double sum(const Aisbx__V1__GetMetricsResponse *reply, const char *name, const char *value)
{
    double total = 0;
    const Aisbx__V1__MetricFamily *found = family(reply, name);
    for (size_t i = 0; i < found->n_samples; i++) {
        bool matches = value == NULL;
        for (size_t j = 0; j < found->samples[i]->n_labels; j++) {
            matches = matches || strcmp(found->samples[i]->labels[j]->value, value) == 0;
        }
        const Aisbx__V1__MetricSample *sample = found->samples[i];
        bool is_histogram = sample->n_bucket_counts > 0;
        total += !matches       ? 0
                 : is_histogram ? (double)sample->bucket_counts[sample->n_bucket_counts - 1]
                                : sample->value;
    }
    return total;
}

static void counts_what_happens(void **state)
{
    struct rig *rig = *state;
    const struct rig_spec good = {.args = {"echo", "12345"}};
    const struct rig_spec slow = {.args = {"sleep", "60"}, .wall_ms = 50};
    for (int i = 0; i < 3; i++) {
        aisbx__v1__run_response__free_unpacked(rig_run(rig->channel, &good, NULL), NULL);
    }
    aisbx__v1__run_response__free_unpacked(rig_run(rig->channel, &slow, NULL), NULL);
    Aisbx__V1__GetMetricsResponse *reply = scrape(rig);
    assert_true(sum(reply, "aisbx_execs_total", "exited") == 3);
    assert_true(sum(reply, "aisbx_execs_total", "timed_out") == 1);
    assert_true(sum(reply, "aisbx_exec_output_bytes_total", "stdout") == 18);
    assert_true(sum(reply, "aisbx_sandbox_starts_total", "started") == 4);
    assert_true(sum(reply, "aisbx_sandbox_stops_total", "exec_ended") == 4);
    assert_true(sum(reply, "aisbx_sandbox_duration_seconds", NULL) == 4);
    assert_true(sum(reply, "aisbx_requests_total", "Run") == 4);
    assert_true(sum(reply, "aisbx_request_duration_seconds", "Run") == 4);
    assert_true(sum(reply, "aisbx_errors_total", NULL) == 0);
    assert_true(sum(reply, "aisbx_sandboxes_active", NULL) == 0);
    assert_true(sum(reply, "aisbx_active_connections", "calls") == 1); /* this one */
    assert_true(sum(reply, "aisbx_memory_usage_bytes", "worker") > 1 << 20);
    aisbx__v1__get_metrics_response__free_unpacked(reply, NULL);
}

static void failures_carry_their_code(void **state)
{
    struct rig *rig = *state;
    Aisbx__V1__GetSandboxRequest request = AISBX__V1__GET_SANDBOX_REQUEST__INIT;
    Aisbx__V1__GetSandboxResponse *none = NULL;
    struct sb_err err;
    request.sandbox_id = rig_text("sb_aaaaaaaaaaaaaaaaaaaaaaaaaa");
    assert_int_equal(
        aisbx__v1__sandbox_service__get_sandbox__call(rig->channel, &request, NULL, &none, &err),
        -1);
    Aisbx__V1__GetMetricsResponse *reply = scrape(rig);
    assert_true(sum(reply, "aisbx_errors_total", "NOT_FOUND") == 1);
    assert_true(sum(reply, "aisbx_requests_total", "NOT_FOUND") == 1);
    aisbx__v1__get_metrics_response__free_unpacked(reply, NULL);
}

static void refusals_are_violations(void **state)
{
    struct rig *rig = *state;
    const struct rig_spec spec = {.args = {"sh", "-c", "unshare -U true; mount -t tmpfs x /tmp"}};
    aisbx__v1__run_response__free_unpacked(rig_run(rig->channel, &spec, NULL), NULL);
    Aisbx__V1__GetMetricsResponse *reply = scrape(rig);
    assert_true(sum(reply, "aisbx_security_violations_total", "syscall") >= 1);
    aisbx__v1__get_metrics_response__free_unpacked(reply, NULL);
}

static void what_sandboxes_use_is_seen(void **state)
{
    struct rig *rig = *state;
    struct rig_stream stream = {0};
    const struct rig_spec spec = {
        .args = {"sh", "-c", "head -c 8000000 /dev/zero >/tmp/f; echo full; sleep 60"}};
    rig_start(&stream, rig->channel, &spec, false, NULL);
    assert_true(rig_until_output(&stream, "full"));
    Aisbx__V1__GetMetricsResponse *reply = scrape(rig);
    bool is_counted = family(reply, "aisbx_memory_usage_bytes")->n_samples == 2;
    if (is_counted) {
        assert_true(sum(reply, "aisbx_memory_usage_bytes", "sandboxes") > 7e6);
    }
    assert_true(sum(reply, "aisbx_sandboxes_active", NULL) == 1);
    assert_true(sum(reply, "aisbx_execs_active", NULL) == 1);
    aisbx__v1__get_metrics_response__free_unpacked(reply, NULL);
    rig_stream_free(&stream);
}

const struct CMUnitTest metric_tests[] = {
    RIG_ALONE(counts_what_happens),
    RIG_ALONE(failures_carry_their_code),
    RIG_ALONE(refusals_are_violations),
    RIG_ALONE(what_sandboxes_use_is_seen),
};
const size_t metric_tests_n = sizeof metric_tests / sizeof *metric_tests;
