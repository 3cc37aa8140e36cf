#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/log.h"
#include "proto/trace/internal.h"
#include "proto/trace/settings.h"
#include "proto/trace/trace.h"

enum { QUEUE = 8 };

/* Nobody listens there; what is recorded waits or is given up. */
static struct sb_tracer *tracer_of(const char *sampler)
{
    struct sb_err err;
    struct sb_trace_settings settings;
    struct sb_tracer *tracer = NULL;
    const struct sb_trace_options options = {.endpoint = "unix:/nonexistent/otel.sock",
                                             .sampler = sampler};
    sb_log_init(SB_LOG_FORMAT_LOGFMT, SB_LOG_LEVEL_NONE, "test");
    assert_int_equal(sb_trace_settings_read(&options, "us", &settings, &err), 0);
    settings.queue = QUEUE;
    settings.delay_ms = 60000;
    settings.flush_ms = 100;
    assert_int_equal(sb_tracer_new(&settings, NULL, &tracer, &err), 0);
    sb_trace_settings_done(&settings);
    return tracer;
}

static struct sb_trace parent_with(uint8_t flags)
{
    return (struct sb_trace){.trace_id = {1}, .span_id = {2}, .flags = flags};
}

static void without_a_tracer_the_callers_trace_goes_on(void **state)
{
    (void)state;
    struct sb_span span;
    struct sb_trace origin;
    const struct sb_trace parent = parent_with(SB_TRACE_SAMPLED);
    sb_span_begin(NULL, &parent, true, &span);
    assert_memory_equal(&span.trace, &parent, sizeof parent);
    assert_false(sb_span_is_recorded(&span));
    assert_true(sb_span_origin(&span, &origin));
    assert_memory_equal(&origin, &parent, sizeof parent);
    assert_null(sb_span_end(NULL, &span, SB_SPAN_SERVER, "x", 0));
    sb_span_text(NULL, "a", "b");
    sb_span_number(NULL, "a", 1);
    sb_span_event(NULL, "a", 1);
    sb_span_fail(NULL, NULL);
    sb_span_commit(NULL, NULL);
    sb_span_begin(NULL, NULL, true, &span);
    assert_false(sb_trace_is(&span.trace));
    assert_false(sb_span_origin(&span, &origin));
    sb_tracer_free(NULL);
}

static void a_span_is_a_child_with_an_id_of_its_own(void **state)
{
    (void)state;
    struct sb_span span;
    struct sb_span child;
    struct sb_trace origin;
    struct sb_tracer *tracer = tracer_of(NULL);
    const struct sb_trace parent = parent_with(SB_TRACE_SAMPLED);
    sb_span_begin(tracer, &parent, true, &span);
    assert_true(sb_span_is_recorded(&span));
    assert_memory_equal(span.trace.trace_id, parent.trace_id, sizeof parent.trace_id);
    assert_memory_equal(span.parent_id, parent.span_id, sizeof parent.span_id);
    assert_memory_not_equal(span.trace.span_id, parent.span_id, sizeof parent.span_id);
    assert_true(sb_span_origin(&span, &origin));
    assert_memory_equal(&origin, &parent, sizeof parent);
    sb_span_begin(tracer, &span.trace, false, &child);
    assert_memory_equal(child.parent_id, span.trace.span_id, sizeof child.parent_id);
    sb_span_begin(tracer, NULL, true, &span); /* the first of its trace */
    assert_true(sb_trace_is(&span.trace) && sb_span_is_recorded(&span));
    assert_int_equal(span.trace.flags, SB_TRACE_SAMPLED | SB_TRACE_RANDOM);
    for (int i = 0; i < 100; i++) {
        struct sb_span other;
        sb_span_begin(tracer, NULL, true, &other);
        assert_memory_not_equal(other.trace.trace_id, span.trace.trace_id, SB_TRACE_ID_BYTES);
        assert_memory_not_equal(other.trace.span_id, span.trace.span_id, SB_TRACE_SPAN_BYTES);
    }
    sb_tracer_free(tracer);
}

static void who_is_not_sampled_hands_on_what_came(void **state)
{
    (void)state;
    static const struct {
        const char *sampler;
        uint8_t flags;
        bool is_recorded;
    } rows[] = {
        {"parentbased_always_on", 0, false},
        {"parentbased_always_on", SB_TRACE_SAMPLED, true},
        {"parentbased_always_off", SB_TRACE_SAMPLED, true},
        {"always_off", SB_TRACE_SAMPLED, false},
        {"always_on", 0, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_span span;
        struct sb_tracer *tracer = tracer_of(rows[i].sampler);
        const struct sb_trace parent = parent_with(rows[i].flags);
        sb_span_begin(tracer, &parent, true, &span);
        assert_int_equal(sb_span_is_recorded(&span), rows[i].is_recorded);
        if (!rows[i].is_recorded) {
            assert_memory_equal(&span.trace, &parent, sizeof parent);
        }
        sb_tracer_free(tracer);
    }
    struct sb_span span;
    struct sb_tracer *tracer = tracer_of("always_off");
    sb_span_begin(tracer, NULL, true, &span); /* so that nobody behind it samples either */
    assert_true(sb_trace_is(&span.trace));
    assert_int_equal(span.trace.flags & SB_TRACE_SAMPLED, 0);
    sb_tracer_free(tracer);
}

static void a_full_ring_drops_and_counts(void **state)
{
    (void)state;
    struct sb_span span;
    struct sb_tracer *tracer = tracer_of(NULL);
    for (int i = 0; i < QUEUE + 3; i++) {
        sb_span_begin(tracer, NULL, true, &span);
        struct sb_span_record *record = sb_span_end(tracer, &span, SB_SPAN_SERVER, "x", 0);
        assert_true((record != NULL) == (i < QUEUE));
        sb_span_commit(tracer, record);
    }
    assert_int_equal(sb_tracer_counts(tracer).dropped, 3);
    assert_int_equal(sb_tracer_counts(tracer).exported, 0);
    sb_tracer_free(tracer); /* in vain, and not for long */
}

static void what_does_not_fit_is_left_out(void **state)
{
    (void)state;
    struct sb_span span;
    char text[1000];
    struct sb_tracer *tracer = tracer_of(NULL);
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    sb_span_begin(tracer, NULL, true, &span);
    struct sb_span_record *record = sb_span_end(tracer, &span, SB_SPAN_INTERNAL, text, 0);
    assert_int_equal(strlen(record->name), SB_SPAN_NAME_SIZE - 1);
    sb_span_text(record, "long", text);
    sb_span_text(record, "none", "");
    sb_span_text(record, "none", NULL);
    assert_int_equal(record->n_attributes, 0);
    text[SB_SPAN_TEXT_BYTES - 11] = '\0';
    sb_span_text(record, "most", text); /* ten bytes are left */
    sb_span_text(record, "too much", "0123456789");
    sb_span_text(record, "fits", "012345678");
    assert_int_equal(record->n_attributes, 2);
    assert_string_equal(record->attributes[0].text, text);
    assert_string_equal(record->attributes[1].text, "012345678");
    assert_int_equal(record->text_len, SB_SPAN_TEXT_BYTES);
    for (int i = 0; i < 100; i++) {
        sb_span_number(record, "n", i);
        sb_span_event(record, "e", 1);
    }
    assert_int_equal(record->n_attributes, SB_SPAN_MAX_ATTRIBUTES);
    assert_int_equal(record->attributes[SB_SPAN_MAX_ATTRIBUTES - 1].number,
                     SB_SPAN_MAX_ATTRIBUTES - 3);
    assert_int_equal(record->n_events, SB_SPAN_MAX_EVENTS);
    sb_span_commit(tracer, record);
    sb_tracer_free(tracer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_tracer_the_callers_trace_goes_on),
        cmocka_unit_test(a_span_is_a_child_with_an_id_of_its_own),
        cmocka_unit_test(who_is_not_sampled_hands_on_what_came),
        cmocka_unit_test(a_full_ring_drops_and_counts),
        cmocka_unit_test(what_does_not_fit_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
