#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/metrics.h"
#include "fail_alloc.h"

enum { CALLS, LIVE, SECONDS, N };

static const double bounds[] = {0.1, 1};
static const struct sb_metric_family families[N] = {
    [CALLS] = {"calls_total", "Calls.", SB_METRIC_COUNTER, {"method", "code"}, NULL, 0},
    [LIVE] = {"live", "Live.", SB_METRIC_GAUGE, {NULL}, NULL, 0},
    [SECONDS] = {"seconds", "Time.", SB_METRIC_HISTOGRAM, {NULL}, bounds, 2},
};

static struct sb_metrics metrics;

static int setup(void **state)
{
    (void)state;
    struct sb_err err;
    return sb_metrics_init(&metrics, families, N, &err);
}

static int teardown(void **state)
{
    (void)state;
    sb_metrics_done(&metrics);
    return 0;
}

static const struct sb_metric *first(size_t family)
{
    const struct sb_list *head = &metrics.series[family];
    return sb_list_is_empty(head) ? NULL : SB_LIST_ENTRY(head->next, struct sb_metric, link);
}

static void count(const char *method, const char *code)
{
    const char *const labels[] = {method, code};
    sb_metrics_add(&metrics, CALLS, labels, 1);
}

static void series_are_told_apart_by_their_labels(void **state)
{
    (void)state;
    count("Run", "OK");
    count("Run", "OK");
    count("RunO", "K"); /* not the same, though the text together is */
    assert_int_equal(metrics.n_series[CALLS], 2);
    assert_true(first(CALLS)->value == 2);
    assert_string_equal(first(CALLS)->labels[0], "Run");
}

static void a_gauge_is_what_it_was_set_to(void **state)
{
    (void)state;
    sb_metrics_set(&metrics, LIVE, NULL, 7);
    sb_metrics_set(&metrics, LIVE, NULL, 3);
    sb_metrics_add(&metrics, LIVE, NULL, -1);
    assert_true(first(LIVE)->value == 2);
}

static void a_value_on_a_bound_belongs_below_it(void **state)
{
    (void)state;
    sb_metrics_observe(&metrics, SECONDS, NULL, 0.1);
    sb_metrics_observe(&metrics, SECONDS, NULL, 0.5);
    sb_metrics_observe(&metrics, SECONDS, NULL, 99);
    assert_int_equal(first(SECONDS)->counts[0], 1);
    assert_int_equal(first(SECONDS)->counts[1], 1);
    assert_int_equal(first(SECONDS)->counts[2], 1);
    assert_true(first(SECONDS)->value > 99.59 && first(SECONDS)->value < 99.61);
}

static void hostile_labels_stay_bounded(void **state)
{
    (void)state;
    char name[128];
    for (int i = 0; i < 2 * SB_METRICS_MAX_SERIES; i++) {
        (void)snprintf(name, sizeof name, "method-%d", i);
        count(name, "OK");
    }
    assert_int_equal(metrics.n_series[CALLS], SB_METRICS_MAX_SERIES + 1);
    const struct sb_metric *last =
        SB_LIST_ENTRY(metrics.series[CALLS].prev, struct sb_metric, link);
    assert_string_equal(last->labels[0], "other");
    assert_true(last->value == SB_METRICS_MAX_SERIES);
    count("method-0", "OK"); /* those that are there go on */
    assert_true(first(CALLS)->value == 2);
}

static void labels_are_one_line_of_text(void **state)
{
    (void)state;
    char longest[200];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    count("a\nb\xff", longest);
    assert_null(strchr(first(CALLS)->labels[0], '\n'));
    assert_int_equal(strlen(first(CALLS)->labels[1]), SB_METRICS_MAX_LABEL_BYTES);
}

static void without_memory_nothing_is_counted_and_nothing_breaks(void **state)
{
    (void)state;
    struct sb_metrics none = {0};
    sb_metrics_add(&none, CALLS, NULL, 1); /* never made */
    for (int i = 1; i < 4; i++) {
        sb_fail_alloc_at((unsigned)i);
        count("Run", "OK");
        sb_fail_alloc_at(0);
    }
    count("Run", "OK");
    assert_true(first(CALLS)->value >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(series_are_told_apart_by_their_labels, setup, teardown),
        cmocka_unit_test_setup_teardown(a_gauge_is_what_it_was_set_to, setup, teardown),
        cmocka_unit_test_setup_teardown(a_value_on_a_bound_belongs_below_it, setup, teardown),
        cmocka_unit_test_setup_teardown(hostile_labels_stay_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(labels_are_one_line_of_text, setup, teardown),
        cmocka_unit_test_setup_teardown(without_memory_nothing_is_counted_and_nothing_breaks, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
