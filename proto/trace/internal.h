#pragma once
/** Private to proto/trace. */
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "proto/trace/settings.h"
#include "proto/trace/trace.h"

enum {
    SB_TRACE_BATCH = 128, /* spans of one call of the collector */
    SB_SPAN_NAME_SIZE = 64,
    SB_SPAN_MAX_ATTRIBUTES = 14,
    SB_SPAN_MAX_EVENTS = 4,
    SB_SPAN_TEXT_BYTES = 448,
    SB_TRACE_IDS = 256, /* bytes of randomness kept */
};

struct sb_span_attribute {
    const char *key;  /* static */
    const char *text; /* within the record; NULL: a number */
    int64_t number;
};

/** One place of the ring. */
struct sb_span_record {
    struct sb_trace trace;
    uint8_t parent_id[SB_TRACE_SPAN_BYTES];
    bool is_remote;
    bool has_failed;
    enum sb_span_kind kind;
    const char *why; /* static; NULL: none */
    uint64_t start_ns;
    uint64_t end_ns;
    unsigned n_attributes;
    unsigned n_events;
    size_t text_len;
    struct sb_span_attribute attributes[SB_SPAN_MAX_ATTRIBUTES];
    struct {
        const char *name; /* static */
        uint64_t at_ns;
    } events[SB_SPAN_MAX_EVENTS];
    char name[SB_SPAN_NAME_SIZE];
    char text[SB_SPAN_TEXT_BYTES];
};

struct sb_tracer {
    struct sb_trace_settings settings; /* owned */
    char *instance;
    struct sb_span_record *ring; /* settings.queue places */
    uint8_t random[SB_TRACE_IDS];
    size_t n_random; /* that are left */
    pthread_t thread;
    int wake_fd; /* eventfd: spans came when there were none, a batch is full, or stop */

    /* Counts of spans since the start: the loop writes head, the thread tail. */
    _Atomic uint64_t head;
    _Atomic uint64_t tail;
    _Atomic uint64_t exported;
    _Atomic uint64_t dropped;
    _Atomic uint64_t failed;
    _Atomic bool is_stopping;
};

/** The thread; ctx is the tracer. */
void *sb_trace_export(void *ctx);
