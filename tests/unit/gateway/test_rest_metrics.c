#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "aisbx/v1/worker_service.pb-c.h"
#include "base/out.h"
#include "mcp-gateway/rest/metrics.h"

static Aisbx__V1__MetricSample__LabelsEntry label(char *key, char *value)
{
    Aisbx__V1__MetricSample__LabelsEntry entry = AISBX__V1__METRIC_SAMPLE__LABELS_ENTRY__INIT;
    entry.key = key;
    entry.value = value;
    return entry;
}

static void check_rendered(Aisbx__V1__MetricFamily **families, size_t n, const char *expected)
{
    Aisbx__V1__GetMetricsResponse reply = AISBX__V1__GET_METRICS_RESPONSE__INIT;
    struct sb_out out;
    reply.families = families;
    reply.n_families = n;
    sb_out_init(&out, -1);
    sb_rest_metrics_render(&reply.base, "w\"1", &out);
    assert_string_equal(sb_buf_cstr(&out.buf), expected);
    sb_out_done(&out);
}

static void writes_families_by_name_with_labels_escaped(void **state)
{
    (void)state;
    char profile[] = "profile";
    char hostile[] = "a\"} 1\nb\\";
    char bad[] = "no-name";
    char name_b[] = "aisbx_b_total";
    char name_a[] = "aisbx_a";
    char help[] = "One\nline";
    Aisbx__V1__MetricSample__LabelsEntry first = label(profile, hostile);
    Aisbx__V1__MetricSample__LabelsEntry second = label(bad, profile);
    Aisbx__V1__MetricSample__LabelsEntry *labels[] = {&first, &second};
    Aisbx__V1__MetricSample counter = AISBX__V1__METRIC_SAMPLE__INIT;
    Aisbx__V1__MetricSample gauge = AISBX__V1__METRIC_SAMPLE__INIT;
    Aisbx__V1__MetricSample *counters[] = {&counter};
    Aisbx__V1__MetricSample *gauges[] = {&gauge};
    Aisbx__V1__MetricFamily b = AISBX__V1__METRIC_FAMILY__INIT;
    Aisbx__V1__MetricFamily a = AISBX__V1__METRIC_FAMILY__INIT;
    counter.labels = labels;
    counter.n_labels = 2;
    counter.value = 3;
    gauge.value = 0.5;
    b.name = name_b;
    b.help = help;
    b.kind = AISBX__V1__METRIC_KIND__METRIC_KIND_COUNTER;
    b.samples = counters;
    b.n_samples = 1;
    a.name = name_a;
    a.kind = AISBX__V1__METRIC_KIND__METRIC_KIND_GAUGE;
    a.samples = gauges;
    a.n_samples = 1;
    Aisbx__V1__MetricFamily *families[] = {&b, &a, &b};
    check_rendered(families, 3,
                   "# HELP aisbx_a \n# TYPE aisbx_a gauge\naisbx_a{worker=\"w\\\"1\"} 0.5\n"
                   "# HELP aisbx_b_total One\\nline\n# TYPE aisbx_b_total counter\n"
                   "aisbx_b_total{worker=\"w\\\"1\",profile=\"a\\\"} 1\\nb\\\\\"} 3\n");
}

static void writes_histograms(void **state)
{
    (void)state;
    char name[] = "aisbx_d_seconds";
    double bounds[] = {0.1, 1};
    uint64_t counts[] = {1, 2, 5};
    Aisbx__V1__MetricSample sample = AISBX__V1__METRIC_SAMPLE__INIT;
    Aisbx__V1__MetricSample *samples[] = {&sample};
    Aisbx__V1__MetricFamily family = AISBX__V1__METRIC_FAMILY__INIT;
    sample.bucket_bounds = bounds;
    sample.n_bucket_bounds = 2;
    sample.bucket_counts = counts;
    sample.n_bucket_counts = 3;
    sample.sum = 7.25;
    family.name = name;
    family.kind = AISBX__V1__METRIC_KIND__METRIC_KIND_HISTOGRAM;
    family.samples = samples;
    family.n_samples = 1;
    Aisbx__V1__MetricFamily *families[] = {&family};
    check_rendered(families, 1,
                   "# HELP aisbx_d_seconds \n# TYPE aisbx_d_seconds histogram\n"
                   "aisbx_d_seconds_bucket{worker=\"w\\\"1\",le=\"0.1\"} 1\n"
                   "aisbx_d_seconds_bucket{worker=\"w\\\"1\",le=\"1\"} 2\n"
                   "aisbx_d_seconds_bucket{worker=\"w\\\"1\",le=\"+Inf\"} 5\n"
                   "aisbx_d_seconds_sum{worker=\"w\\\"1\"} 7.25\n"
                   "aisbx_d_seconds_count{worker=\"w\\\"1\"} 5\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_families_by_name_with_labels_escaped),
        cmocka_unit_test(writes_histograms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
