#include "base/metrics.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "base/utf8.h"

const double sb_metrics_seconds[13] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                       0.1,    0.25,  1,      5,     15,   60};

/* The family's number, then each value with its NUL. */
enum { KEY_BYTES = 8 + SB_METRICS_MAX_LABELS * (SB_METRICS_MAX_LABEL_BYTES + 1) };

struct key {
    char bytes[KEY_BYTES];
    size_t len;
};

int sb_metrics_init(struct sb_metrics *metrics,
                    const struct sb_metric_family *families,
                    size_t n,
                    struct sb_err *err)
{
    *metrics = (struct sb_metrics){
        .families = families,
        .n = n,
        .series = calloc(n, sizeof *metrics->series),
        .n_series = calloc(n, sizeof *metrics->n_series),
    };
    if (metrics->series == NULL || metrics->n_series == NULL) {
        sb_metrics_done(metrics);
        return sb_err_oom(err);
    }
    for (size_t i = 0; i < n; i++) {
        sb_list_init(&metrics->series[i]);
        assert(families[i].n_bounds <= SB_METRICS_MAX_BOUNDS);
    }
    sb_map_init(&metrics->by_key, n * (SB_METRICS_MAX_SERIES + 1));
    return 0;
}

void sb_metrics_done(struct sb_metrics *metrics)
{
    for (size_t i = 0; metrics->series != NULL && i < metrics->n; i++) {
        for (struct sb_list *node; (node = sb_list_pop(&metrics->series[i])) != NULL;) {
            free(SB_LIST_ENTRY(node, struct sb_metric, link));
        }
    }
    sb_map_done(&metrics->by_key);
    free(metrics->series);
    free(metrics->n_series);
    *metrics = (struct sb_metrics){0};
}

static size_t count_labels(const struct sb_metric_family *family)
{
    size_t n = 0;
    while (n < SB_METRICS_MAX_LABELS && family->labels[n] != NULL) {
        n++;
    }
    return n;
}

/* Values as they will be shown: valid, on one line, cut. */
static void
make_metric(const struct sb_metric_family *family, const char *const *labels, struct sb_metric *ret)
{
    *ret = (struct sb_metric){.family = family};
    for (size_t i = 0; i < count_labels(family); i++) {
        (void)sb_utf8_sanitize(ret->labels[i], sizeof ret->labels[i], sb_str_from(labels[i]),
                               SB_UTF8_ONE_LINE);
    }
}

static void
make_key(const struct sb_metrics *metrics, const struct sb_metric *metric, struct key *ret)
{
    size_t family = (size_t)(metric->family - metrics->families);
    memcpy(ret->bytes, &family, sizeof family);
    ret->len = sizeof family;
    for (size_t i = 0; i < count_labels(metric->family); i++) {
        size_t len = strlen(metric->labels[i]) + 1;
        memcpy(ret->bytes + ret->len, metric->labels[i], len);
        ret->len += len;
    }
}

static struct sb_metric *add_series(struct sb_metrics *metrics, const struct sb_metric *wanted)
{
    size_t family = (size_t)(wanted->family - metrics->families);
    struct sb_err ignored;
    struct key key;
    struct sb_metric *metric = malloc(sizeof *metric);
    if (metric == NULL) {
        return NULL;
    }
    *metric = *wanted;
    make_key(metrics, metric, &key);
    if (sb_map_put(&metrics->by_key, sb_str_of(key.bytes, key.len), metric, &ignored) < 0) {
        free(metric);
        return NULL;
    }
    sb_list_append(&metrics->series[family], &metric->link);
    metrics->n_series[family]++;
    return metric;
}

/* NULL: memory is out, or there are no metrics. */
static struct sb_metric *find(struct sb_metrics *metrics, size_t family, const char *const *labels)
{
    static const char *const others[SB_METRICS_MAX_LABELS] = {"other", "other", "other", "other"};
    struct sb_metric wanted;
    struct key key;
    if (family >= metrics->n) {
        return NULL;
    }
    make_metric(&metrics->families[family], labels, &wanted);
    make_key(metrics, &wanted, &key);
    struct sb_metric *metric = sb_map_get(&metrics->by_key, sb_str_of(key.bytes, key.len));
    if (metric != NULL) {
        return metric;
    }
    if (metrics->n_series[family] < SB_METRICS_MAX_SERIES) {
        return add_series(metrics, &wanted);
    }
    make_metric(&metrics->families[family], others, &wanted);
    make_key(metrics, &wanted, &key);
    metric = sb_map_get(&metrics->by_key, sb_str_of(key.bytes, key.len));
    return metric != NULL ? metric : add_series(metrics, &wanted);
}

void sb_metrics_add(struct sb_metrics *metrics, size_t family, const char *const *labels, double n)
{
    struct sb_metric *metric = find(metrics, family, labels);
    if (metric != NULL) {
        metric->value += n;
    }
}

void sb_metrics_set(struct sb_metrics *metrics, size_t family, const char *const *labels, double to)
{
    struct sb_metric *metric = find(metrics, family, labels);
    if (metric != NULL) {
        metric->value = to;
    }
}

void sb_metrics_observe(struct sb_metrics *metrics,
                        size_t family,
                        const char *const *labels,
                        double value)
{
    struct sb_metric *metric = find(metrics, family, labels);
    size_t bucket = 0;
    if (metric == NULL) {
        return;
    }
    while (bucket < metric->family->n_bounds && value > metric->family->bounds[bucket]) {
        bucket++;
    }
    metric->counts[bucket]++;
    metric->value += value;
}
