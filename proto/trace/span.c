#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "proto/trace/internal.h"

uint64_t sb_span_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* ---- ids ---- */

/* Never zero, which means none. */
static void make_id(struct sb_tracer *tracer, uint8_t *out, size_t n)
{
    if (tracer->n_random < n) {
        ssize_t got = getrandom(tracer->random, sizeof tracer->random, 0);
        tracer->n_random = got < 0 ? 0 : (size_t)got;
    }
    if (tracer->n_random < n) { /* no randomness: the clock tells spans apart */
        uint64_t now = sb_span_now();
        memset(out, 0, n);
        memcpy(out, &now, sizeof now);
        return;
    }
    tracer->n_random -= n;
    memcpy(out, tracer->random + tracer->n_random, n);
    out[0] |= out[0] == 0;
}

static bool samples(const struct sb_trace_settings *settings, const struct sb_trace *trace)
{
    uint64_t value = 0;
    for (size_t i = SB_TRACE_ID_BYTES / 2; i < SB_TRACE_ID_BYTES; i++) {
        value = value << 8 | trace->trace_id[i];
    }
    return settings->bound == UINT64_MAX || value < settings->bound;
}

void sb_span_begin(struct sb_tracer *tracer,
                   const struct sb_trace *parent,
                   bool is_remote,
                   struct sb_span *ret_span)
{
    bool has_parent = parent != NULL && sb_trace_is(parent);
    struct sb_span span = {.has_parent = has_parent};
    if (has_parent) {
        span.trace = *parent;
    }
    if (tracer == NULL) {
        *ret_span = span;
        return;
    }
    bool is_sampled = (span.trace.flags & SB_TRACE_SAMPLED) != 0;
    if (!has_parent) {
        make_id(tracer, span.trace.trace_id, sizeof span.trace.trace_id);
        span.trace.flags = SB_TRACE_RANDOM;
    }
    if (!has_parent || !tracer->settings.follows_parent) {
        is_sampled = samples(&tracer->settings, &span.trace);
    }
    if (is_sampled || !has_parent) { /* else the caller's goes on as it came */
        memcpy(span.parent_id, span.trace.span_id, sizeof span.parent_id);
        make_id(tracer, span.trace.span_id, sizeof span.trace.span_id);
    }
    if (is_sampled) {
        span.trace.flags |= SB_TRACE_SAMPLED;
        span.is_remote = has_parent && is_remote;
        span.start_ns = sb_span_now();
    }
    *ret_span = span;
}

bool sb_span_origin(const struct sb_span *span, struct sb_trace *ret_trace)
{
    static const uint8_t none[SB_TRACE_SPAN_BYTES];
    *ret_trace = span->trace;
    if (memcmp(span->parent_id, none, sizeof none) != 0) {
        memcpy(ret_trace->span_id, span->parent_id, sizeof ret_trace->span_id);
    }
    return sb_trace_is(ret_trace);
}

/* ---- records ---- */

struct sb_span_record *sb_span_end(struct sb_tracer *tracer,
                                   const struct sb_span *span,
                                   enum sb_span_kind kind,
                                   const char *name,
                                   uint64_t end_ns)
{
    if (tracer == NULL || !sb_span_is_recorded(span)) {
        return NULL;
    }
    uint64_t head = atomic_load_explicit(&tracer->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&tracer->tail, memory_order_acquire);
    if (head - tail >= tracer->settings.queue) {
        atomic_fetch_add_explicit(&tracer->dropped, 1, memory_order_relaxed);
        return NULL;
    }
    struct sb_span_record *record = &tracer->ring[head % tracer->settings.queue];
    memset(record, 0, offsetof(struct sb_span_record, attributes));
    record->trace = span->trace;
    memcpy(record->parent_id, span->parent_id, sizeof record->parent_id);
    record->is_remote = span->is_remote;
    record->kind = kind;
    record->start_ns = span->start_ns;
    record->end_ns = end_ns == 0 ? sb_span_now() : end_ns;
    size_t len = strnlen(name, sizeof record->name - 1);
    memcpy(record->name, name, len);
    record->name[len] = '\0';
    return record;
}

static struct sb_span_attribute *add(struct sb_span_record *record, const char *key)
{
    if (record == NULL || record->n_attributes == SB_SPAN_MAX_ATTRIBUTES) {
        return NULL;
    }
    struct sb_span_attribute *attribute = &record->attributes[record->n_attributes++];
    *attribute = (struct sb_span_attribute){.key = key};
    return attribute;
}

void sb_span_text(struct sb_span_record *record, const char *key, const char *text)
{
    size_t len = text == NULL ? 0 : strlen(text) + 1;
    if (record == NULL || len <= 1 || len > sizeof record->text - record->text_len) {
        return;
    }
    struct sb_span_attribute *attribute = add(record, key);
    if (attribute != NULL) {
        attribute->text = memcpy(record->text + record->text_len, text, len);
        record->text_len += len;
    }
}

void sb_span_number(struct sb_span_record *record, const char *key, int64_t number)
{
    struct sb_span_attribute *attribute = add(record, key);
    if (attribute != NULL) {
        attribute->number = number;
    }
}

void sb_span_event(struct sb_span_record *record, const char *name, uint64_t at_ns)
{
    if (record != NULL && at_ns != 0 && record->n_events < SB_SPAN_MAX_EVENTS) {
        record->events[record->n_events].name = name;
        record->events[record->n_events++].at_ns = at_ns;
    }
}

void sb_span_fail(struct sb_span_record *record, const char *why)
{
    if (record != NULL) {
        record->has_failed = true;
        record->why = why;
    }
}

static void wake(const struct sb_tracer *tracer)
{
    uint64_t one = 1;
    ssize_t ignored = write(tracer->wake_fd, &one, sizeof one); /* full: it is awake */
    (void)ignored;
}

void sb_span_commit(struct sb_tracer *tracer, struct sb_span_record *record)
{
    if (record == NULL) {
        return;
    }
    uint64_t head = atomic_load_explicit(&tracer->head, memory_order_relaxed) + 1;
    /* In this order: either we see that the thread took all there was, or it sees this one. */
    atomic_store(&tracer->head, head);
    uint64_t tail = atomic_load(&tracer->tail);
    if (head - tail == 1 || (head - tail) % SB_TRACE_BATCH == 0) {
        wake(tracer);
    }
}

/* ---- life ---- */

struct sb_trace_counts sb_tracer_counts(const struct sb_tracer *tracer)
{
    if (tracer == NULL) {
        return (struct sb_trace_counts){0, 0, 0};
    }
    return (struct sb_trace_counts){
        .exported = atomic_load_explicit(&tracer->exported, memory_order_relaxed),
        .dropped = atomic_load_explicit(&tracer->dropped, memory_order_relaxed),
        .failed = atomic_load_explicit(&tracer->failed, memory_order_relaxed),
    };
}

static void free_tracer(struct sb_tracer *tracer)
{
    if (tracer->wake_fd >= 0) {
        close(tracer->wake_fd);
    }
    sb_trace_settings_done(&tracer->settings);
    free(tracer->instance);
    free(tracer->ring);
    free(tracer);
}

int sb_tracer_new(struct sb_trace_settings *settings,
                  const char *instance,
                  struct sb_tracer **ret_tracer,
                  struct sb_err *err)
{
    struct sb_tracer *tracer = calloc(1, sizeof *tracer);
    if (tracer == NULL) {
        return sb_err_oom(err);
    }
    tracer->settings = *settings;
    *settings = (struct sb_trace_settings){.address = NULL};
    tracer->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    tracer->ring = calloc(tracer->settings.queue, sizeof *tracer->ring);
    tracer->instance = instance == NULL ? NULL : strdup(instance);
    if (tracer->ring == NULL || (instance != NULL && tracer->instance == NULL)) {
        free_tracer(tracer);
        return sb_err_oom(err);
    }
    int rc = tracer->wake_fd < 0 ? errno
                                 : pthread_create(&tracer->thread, NULL, sb_trace_export, tracer);
    if (rc != 0) {
        free_tracer(tracer);
        return sb_err_sys(err, rc, "the thread that sends spans");
    }
    *ret_tracer = tracer;
    return 0;
}

void sb_tracer_free(struct sb_tracer *tracer)
{
    if (tracer == NULL) {
        return;
    }
    atomic_store(&tracer->is_stopping, true);
    wake(tracer);
    (void)pthread_join(tracer->thread, NULL);
    free_tracer(tracer);
}
