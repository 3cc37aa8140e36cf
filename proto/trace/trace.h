#pragma once
/** Spans of OpenTelemetry, from whoever makes them to a collector.
 *
 *  Theory of operation. Without a tracer (NULL) nothing is recorded, and what a caller sent as its
 *  trace is handed on as it came. With one
 *
 *    begin     decides whether the span is recorded, and gives it an id;
 *    end       takes a place in a ring that was there from the start; NULL when there is none: the
 *              span is dropped and counted;
 *    text, number, event, fail    fill it; what does not fit is left out;
 *    commit    hands it over.
 *
 *  Begin to commit happen on one thread (the loop's) and neither lock, wait nor allocate. A thread
 *  of the tracer's own reads the ring, at most SB_TRACE_BATCH at a time, and sends them; while the
 *  collector cannot be reached the ring fills. Nothing of a program, its input or its output is
 *  ever in a span, nor a key. */
#include <stdbool.h>
#include <stdint.h>

#include "base/trace.h"

struct sb_err;
struct sb_span_record;
struct sb_trace_settings;
struct sb_tracer;

enum sb_span_kind { SB_SPAN_INTERNAL = 1, SB_SPAN_SERVER = 2 };

/** One that has begun. Plain bytes, may be copied and dropped. All zero: nothing. */
struct sb_span {
    struct sb_trace trace;                  /* what is handed on; zero: nothing is */
    uint8_t parent_id[SB_TRACE_SPAN_BYTES]; /* zero: it is the first of its trace */
    bool has_parent;
    bool is_remote;    /* the parent is another process's */
    uint64_t start_ns; /* real time; 0: it is not recorded */
};

struct sb_trace_counts {
    uint64_t exported;
    uint64_t dropped; /* the ring was full */
    uint64_t failed;  /* the collector did not take them */
};

/** Starts the thread; nothing connects before the first span.
 *  @settings  taken over: what is left of it is empty.  @instance  service.instance.id; NULL: none.
 *  Errors: SB_EXHAUSTED. */
int sb_tracer_new(struct sb_trace_settings *settings,
                  const char *instance,
                  struct sb_tracer **ret_tracer,
                  struct sb_err *err);
/** Sends what is left, for at most the time that the settings say, and frees. NULL is fine. */
void sb_tracer_free(struct sb_tracer *tracer);
/** All 0 of NULL. */
struct sb_trace_counts sb_tracer_counts(const struct sb_tracer *tracer);

/** @parent  zero or NULL: none.  @is_remote  it came from another process. */
void sb_span_begin(struct sb_tracer *tracer,
                   const struct sb_trace *parent,
                   bool is_remote,
                   struct sb_span *ret_span);
static inline bool sb_span_is_recorded(const struct sb_span *span)
{
    return span->start_ns != 0;
}
/** What it was begun in: the parent's trace where there was one, else its own. False: none. */
bool sb_span_origin(const struct sb_span *span, struct sb_trace *ret_trace);
/** The time that spans are in; real, in nanoseconds. */
uint64_t sb_span_now(void);

/** NULL: there is nothing to fill or to commit. The setters take that, as does commit.
 *  @name  copied, cut to 63 bytes.  @end_ns  0: now. */
struct sb_span_record *sb_span_end(struct sb_tracer *tracer,
                                   const struct sb_span *span,
                                   enum sb_span_kind kind,
                                   const char *name,
                                   uint64_t end_ns);
/** @key  static; @text is copied; NULL or "": left out. */
void sb_span_text(struct sb_span_record *record, const char *key, const char *text);
void sb_span_number(struct sb_span_record *record, const char *key, int64_t number);
/** @name  static. */
void sb_span_event(struct sb_span_record *record, const char *name, uint64_t at_ns);
/** @why  static, or NULL. */
void sb_span_fail(struct sb_span_record *record, const char *why);
void sb_span_commit(struct sb_tracer *tracer, struct sb_span_record *record);
