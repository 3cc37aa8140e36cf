/** What interpreters say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "service/worker/context/answer.h"

#define FRAME(text) sb_str_of(text, sizeof(text) - 1)

static void is(struct sb_str text, const char *expected)
{
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.ptr, expected, text.len);
}

static void reads_a_value(void **state)
{
    (void)state;
    struct sb_err err;
    struct sb_answer answer;
    size_t len = 0;
    struct sb_str frame = FRAME("R\x0e\0\0\0\3\x0atext/plain42more");
    assert_int_equal(sb_answer_read(frame, &answer, &len, &err), 1);
    assert_int_equal(len, 19);
    assert_true(answer.is_main && answer.is_other_form);
    is(answer.mime, "text/plain");
    is(answer.data, "42");
}

static void reads_an_error(void **state)
{
    (void)state;
    struct sb_err err;
    struct sb_answer answer;
    size_t len = 0;
    struct sb_str frame = FRAME("E\x0c\0\0\0Name\0v\0l1\0l2");
    assert_int_equal(sb_answer_read(frame, &answer, &len, &err), 1);
    is(answer.name, "Name");
    is(answer.value, "v");
    assert_int_equal(answer.n_lines, 2);
    is(answer.lines[1], "l2");
}

static void reads_an_end(void **state)
{
    (void)state;
    struct sb_err err;
    struct sb_answer answer;
    size_t len = 0;
    assert_int_equal(sb_answer_read(FRAME("D\4\0\0\0\1\2\0\0"), &answer, &len, &err), 1);
    assert_int_equal(answer.status, 0x201);
}

static void waits_for_the_rest(void **state)
{
    (void)state;
    struct sb_err err;
    struct sb_answer answer;
    size_t len = 0;
    struct sb_str frame = FRAME("R\x0e\0\0\0\3\x0atext/plain42");
    for (size_t n = 0; n < frame.len; n++) {
        assert_int_equal(sb_answer_read(sb_str_head(frame, n), &answer, &len, &err), 0);
    }
}

static const struct {
    const char *what;
    struct sb_str frame;
} refused[] = {
    {"an unknown kind", {"X\0\0\0\0", 5}},
    {"more than any frame has", {"R\xff\xff\xff\xff", 5}},
    {"an end of five bytes", {"D\5\0\0\0", 5}},
    {"an end of none", {"D\0\0\0\0", 5}},
    {"readiness with a payload", {"H\1\0\0\0", 5}},
    {"a value without a head", {"R\1\0\0\0", 5}},
    {"a type longer than the frame", {"R\4\0\0\0\0\5ab", 9}},
    {"flags that there are not", {"R\5\0\0\0\4\3a/b", 10}},
    {"a type without a slash", {"R\5\0\0\0\0\3abc", 10}},
    {"a type with two", {"R\7\0\0\0\0\5a/b/c", 12}},
    {"a type with a space", {"R\5\0\0\0\0\3a/ ", 10}},
    {"a type with a NUL", {"R\5\0\0\0\0\3a/\0", 10}},
    {"a text that is not UTF-8", {"R\x0d\0\0\0\0\x0atext/plain\xff", 18}},
    {"JSON that is not UTF-8",
     {"R\x13\0\0\0\0\x10"
      "application/json\xff",
      24}},
    {"SVG that is not UTF-8", {"R\x10\0\0\0\0\x0dimage/svg+xml\xff", 21}},
    {"an error that is not UTF-8", {"E\1\0\0\0\xff", 6}},
};

static void refuses_what_no_interpreter_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct sb_err err;
        struct sb_answer answer;
        size_t len = 0;
        if (sb_answer_read(refused[i].frame, &answer, &len, &err) != -1) {
            fail_msg("took %s", refused[i].what);
        }
        assert_int_equal(err.code, SB_INVALID);
    }
}

static void takes_no_more_lines_than_it_has_room_for(void **state)
{
    (void)state;
    struct sb_err err;
    struct sb_answer answer;
    size_t len = 0;
    char frame[5 + SB_ANSWER_MAX_LINES + 3] = {'E'};
    unsigned n = SB_ANSWER_MAX_LINES + 2; /* name, value, and as many empty lines as there may be */
    frame[1] = (char)(n & 0xff);
    frame[2] = (char)(n >> 8);
    assert_int_equal(sb_answer_read(sb_str_of(frame, 5 + n), &answer, &len, &err), 1);
    n++;
    frame[1] = (char)(n & 0xff);
    frame[5 + n - 1] = 'x';
    assert_int_equal(sb_answer_read(sb_str_of(frame, 5 + n), &answer, &len, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_value),
        cmocka_unit_test(reads_an_error),
        cmocka_unit_test(reads_an_end),
        cmocka_unit_test(waits_for_the_rest),
        cmocka_unit_test(refuses_what_no_interpreter_says),
        cmocka_unit_test(takes_no_more_lines_than_it_has_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
