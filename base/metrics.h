#pragma once
/** Counters, gauges and histograms with labels.
 *
 *  Theory of operation. A program has one const table of families; the index of a row is what code
 *  counts by. Series (one set of label values) come into being when they are first counted, at most
 *  SB_METRICS_MAX_SERIES of a family: values beyond go to a series whose labels all read "other",
 *  so that no caller can make the table grow. Not thread-safe. Counting allocates only for a new
 *  series, and never fails to the caller. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"

struct sb_err;

enum {
    SB_METRICS_MAX_LABELS = 4,
    SB_METRICS_MAX_BOUNDS = 16,
    SB_METRICS_MAX_SERIES = 256,     /* of one family */
    SB_METRICS_MAX_LABEL_BYTES = 63, /* of one value; the rest is cut */
};

enum sb_metric_kind {
    SB_METRIC_COUNTER, /* only grows */
    SB_METRIC_GAUGE,
    SB_METRIC_HISTOGRAM,
};

struct sb_metric_family {
    const char *name; /* "aisbx_requests_total" */
    const char *help; /* one sentence */
    enum sb_metric_kind kind;
    const char *labels[SB_METRICS_MAX_LABELS]; /* names; the first NULL ends them */
    const double *bounds;                      /* histograms: ascending, without infinity */
    size_t n_bounds;
};

/** Upper bounds in seconds that suit calls: 0.5 ms to 60 s. */
extern const double sb_metrics_seconds[13];
enum { SB_METRICS_N_SECONDS = sizeof sb_metrics_seconds / sizeof *sb_metrics_seconds };

struct sb_metric {
    struct sb_list link; /* of its family, in order of making */
    const struct sb_metric_family *family;
    char labels[SB_METRICS_MAX_LABELS][SB_METRICS_MAX_LABEL_BYTES + 1];
    double value;                               /* counter, gauge; histogram: sum */
    uint64_t counts[SB_METRICS_MAX_BOUNDS + 1]; /* histogram: of each bucket alone, last +Inf */
};

struct sb_metrics {
    const struct sb_metric_family *families; /* const table */
    size_t n;
    struct sb_list *series; /* owned; one list for each family */
    size_t *n_series;       /* owned */
    struct sb_map by_key;
};

/** Errors: SB_EXHAUSTED. A zeroed struct is usable, and counts nothing. */
int sb_metrics_init(struct sb_metrics *metrics,
                    const struct sb_metric_family *families,
                    size_t n,
                    struct sb_err *err);
void sb_metrics_done(struct sb_metrics *metrics);

/** @labels  as many values as the family has names, in that order; NULL when it has none. */
void sb_metrics_add(struct sb_metrics *metrics, size_t family, const char *const *labels, double n);
void sb_metrics_set(struct sb_metrics *metrics,
                    size_t family,
                    const char *const *labels,
                    double to);
void sb_metrics_observe(struct sb_metrics *metrics,
                        size_t family,
                        const char *const *labels,
                        double value);
