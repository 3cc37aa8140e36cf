/* The rows are those of the W3C's own suite (github.com/w3c/trace-context, test/test.py), by what
 * it expects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/trace.h"

#define ID   "12345678901234567890123456789012"
#define SPAN "1234567890123456"

static void what_is_taken_comes_out_as_version_00(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        const char *out;
    } rows[] = {
        {"00-" ID "-" SPAN "-01", "00-" ID "-" SPAN "-01"},
        {"00-" ID "-" SPAN "-00", "00-" ID "-" SPAN "-00"},
        /* flags that nobody knows */
        {"00-" ID "-" SPAN "-ff", "00-" ID "-" SPAN "-03"},
        /* versions to come: read as far as it is the same */
        {"cc-" ID "-" SPAN "-01", "00-" ID "-" SPAN "-01"},
        {"cc-" ID "-" SPAN "-01-what-the-future-will-be-like", "00-" ID "-" SPAN "-01"},
        {"01-" ID "-" SPAN "-01-", "00-" ID "-" SPAN "-01"},
        {"00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
         "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_trace trace;
        char text[SB_TRACE_TEXT_SIZE];
        assert_true(sb_trace_parse(sb_str_from(rows[i].in), &trace));
        assert_true(sb_trace_is(&trace));
        assert_string_equal(sb_trace_format(&trace, text), rows[i].out);
    }
}

static void everything_else_is_none(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "00",
        "00-",
        "00-" ID,
        "00-" ID "-" SPAN,
        "00-" ID "-" SPAN "-",
        "00-" ID "-" SPAN "-1",
        "00-" ID "-" SPAN "-001",
        "00-" ID "-" SPAN "-01-",
        "00-" ID "-" SPAN "-01.",
        "00-" ID "-" SPAN "-01-what-the-future-will-be-like",
        "cc-" ID "-" SPAN "-01.what-the-future-will-not-be-like",
        "ff-" ID "-" SPAN "-01",
        ".0-" ID "-" SPAN "-01",
        "0.-" ID "-" SPAN "-01",
        "000-" ID "-" SPAN "-01",
        "0-" ID "-" SPAN "-01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-.2345678901234567890123456789012-" SPAN "-01",
        "00-1234567890123456789012345678901.-" SPAN "-01",
        "00-ABCDEF78901234567890123456789012-" SPAN "-01",
        "00-" ID "3-" SPAN "-01",
        "00-1234567890123456789012345678901-" SPAN "-01",
        "00-" ID "-0000000000000000-01",
        "00-" ID "-.234567890123456-01",
        "00-" ID "-123456789012345.-01",
        "00-" ID "-ABCDEF1234567890-01",
        "00-" ID "-" SPAN "7-01",
        "00-" ID "-123456789012345-01",
        "00-" ID "-" SPAN "-.0",
        "00-" ID "-" SPAN "-0.",
        "00_" ID "-" SPAN "-01",
        "00-" ID "_" SPAN "-01",
        "00-" ID "-" SPAN "_01",
        " 00-" ID "-" SPAN "-01",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_trace trace = {.flags = 1};
        if (sb_trace_parse(sb_str_from(rows[i]), &trace)) {
            fail_msg("taken: %s", rows[i]);
        }
        assert_false(sb_trace_is(&trace));
        assert_int_equal(trace.flags, 0);
    }
    struct sb_trace trace;
    assert_false(sb_trace_parse((struct sb_str){NULL, 0}, &trace));
}

static void what_comes_later_is_bounded(void **state)
{
    (void)state;
    char text[SB_TRACE_MAX_PARENT_BYTES + 1];
    struct sb_trace trace;
    memset(text, 'x', sizeof text);
    (void)memcpy(text, "01-" ID "-" SPAN "-01-", 56);
    assert_true(sb_trace_parse(sb_str_of(text, sizeof text - 1), &trace));
    assert_false(sb_trace_parse(sb_str_of(text, sizeof text), &trace));
}

static void the_id_alone_is_hex(void **state)
{
    (void)state;
    struct sb_trace trace;
    char text[SB_TRACE_ID_TEXT_SIZE];
    assert_true(sb_trace_parse(SB_STR("00-" ID "-" SPAN "-01"), &trace));
    assert_string_equal(sb_trace_format_id(&trace, text), ID);
}

static void a_state_is_passed_on_when_its_form_is_right(void **state)
{
    (void)state;
    static const char *const good[] = {
        "foo=1", "foo=1,bar=2",      "foo=1 , bar=2",       "foo=1,",  "foo=1,,bar=2",
        "a/b=1", "fw529a3039@dt=Ff", "0a*b-c_d=  x y!\"#$", "z=1;2:3",
    };
    static const char *const bad[] = {
        "",       ",",           "foo",      "foo=",    "=1",      "foo=1,bar",
        "foo =1", "Foo=1",       "foo@=1",   "a@b@c=1", "foo=b=r", "foo=1,\t,",
        "_foo=1", "f\xc3\xb6=1", "foo=\x7f", "foo=1\n", "-a=1",    "foo=1, BAR=2",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (!sb_trace_state_is_good(sb_str_from(good[i]))) {
            fail_msg("refused: %s", good[i]);
        }
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (sb_trace_state_is_good(sb_str_from(bad[i]))) {
            fail_msg("taken: %s", bad[i]);
        }
    }
}

static void a_state_is_bounded(void **state)
{
    (void)state;
    char text[SB_TRACE_MAX_STATE_BYTES + 2] = "";
    size_t len = 0;
    for (int i = 0; i < SB_TRACE_MAX_STATE_MEMBERS; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, "%sk%d=1", i == 0 ? "" : ",", i);
    }
    assert_true(sb_trace_state_is_good(sb_str_from(text)));
    (void)snprintf(text + len, sizeof text - len, ",one=more");
    assert_false(sb_trace_state_is_good(sb_str_from(text)));
    memset(text, 'x', sizeof text);
    (void)memcpy(text, "a=", 2);
    assert_true(sb_trace_state_is_good(sb_str_of(text, 2 + 256)));
    assert_false(sb_trace_state_is_good(sb_str_of(text, 2 + 257)));
    text[2 + 254] = ',';
    (void)memcpy(text + 2 + 255, "b=", 2);
    assert_true(sb_trace_state_is_good(sb_str_of(text, SB_TRACE_MAX_STATE_BYTES)));
    assert_false(sb_trace_state_is_good(sb_str_of(text, SB_TRACE_MAX_STATE_BYTES + 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken_comes_out_as_version_00),
        cmocka_unit_test(everything_else_is_none),
        cmocka_unit_test(what_comes_later_is_bounded),
        cmocka_unit_test(the_id_alone_is_hex),
        cmocka_unit_test(a_state_is_passed_on_when_its_form_is_right),
        cmocka_unit_test(a_state_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
