#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/json_scan.h"

static const struct sb_json_scan_limits limits = {.bytes = 4096, .depth = 4, .values = 100};

static int scan(const char *text, struct sb_err *err)
{
    return sb_json_scan(sb_str_from(text), &limits, err);
}

static void accepts_what_the_standard_does(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "null",
        " true ",
        "[]",
        "{}",
        "[ ]",
        "{ }",
        "-0",
        "0.5e-3",
        "1E+9",
        "\"\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\\u00e9\\ud83d\\ude00\"",
        "{\"a\":[1,2,{\"b\":null}],\"c\":\"\xc3\xa9\"}",
        "{\"a\":{\"k\":1},\"b\":{\"k\":1}}",
        "[[[[]]]]",
        "\r\n\t[1,\n2]\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct sb_err err = {0};
        if (scan(texts[i], &err) < 0) {
            fail_msg("%s: %s", texts[i], err.text);
        }
    }
}

static const struct {
    const char *text;
    const char *message;
} refused[] = {
    {"", "line 1, column 1: the text ends too early"},
    {"[1,2", "line 1, column 5: the text ends too early"},
    {"{\"a\":1} x", "line 1, column 9: something follows the value"},
    {"[01]", "line 1, column 2: not a JSON value"},
    {"[1.]", "line 1, column 2: digits are missing after the point"},
    {"[1e]", "line 1, column 2: digits are missing in the exponent"},
    {"[+1]", "line 1, column 2: not a JSON value"},
    {"[-]", "line 1, column 2: not a JSON value"},
    {"[nul]", "line 1, column 2: not a JSON value"},
    {"['a']", "line 1, column 2: not a JSON value"},
    {"[1,]", "line 1, column 4: not a JSON value"},
    {"[1 2]", "line 1, column 4: \",\" or \"]\" is expected"},
    {"[1}", "line 1, column 3: \",\" or \"]\" is expected"},
    {"{\"a\":1,}", "line 1, column 8: a key in quotes is expected"},
    {"{\"a\" 1}", "line 1, column 6: \":\" is expected"},
    {"{\"a\":1 \"b\":2}", "line 1, column 8: \",\" or \"}\" is expected"},
    {"{a:1}", "line 1, column 2: a key in quotes is expected"},
    {"{\n \"a\":1,\n \"a\":2}", "line 3, column 2: the same key twice in one object"},
    {"{\"a\":1,\"\\u0061\":2}", "line 1, column 8: the same key twice in one object"},
    {"\"a\nb\"", "line 1, column 3: control character in a string"},
    {"\"a", "line 1, column 3: the string does not end"},
    {"\"\\x\"", "line 1, column 2: no such escape"},
    {"\"\\u12g4\"", "line 1, column 2: \\u needs four hexadecimal digits"},
    {"\"\\u0000\"", "line 1, column 2: \\u0000 is not allowed"},
    {"\"\\ud800\"", "line 1, column 2: half of a surrogate pair"},
    {"\"\\udc00\\ud800\"", "line 1, column 2: half of a surrogate pair"},
    {"\"\xff\"", "not UTF-8"},
    {"\"\xc0\xaf\"", "not UTF-8"},
    {"\xef\xbb\xbf{}", "line 1, column 1: not a JSON value"},
    {"[[[[[]]]]]", "line 1, column 5: nested too deeply"},
};

static void refuses_everything_else_and_says_where(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct sb_err err = {0};
        assert_int_equal(scan(refused[i].text, &err), -1);
        assert_int_equal(err.code, SB_INVALID);
        assert_string_equal(err.text, refused[i].message);
    }
}

static void refuses_a_nul_byte(void **state)
{
    (void)state;
    struct sb_err err = {0};
    assert_int_equal(sb_json_scan(SB_STR("1\0"), &limits, &err), -1);
    assert_int_equal(sb_json_scan(SB_STR("\"\0\""), &limits, &err), -1);
}

static void refuses_more_values_than_the_limit(void **state)
{
    (void)state;
    char text[256] = "[";
    size_t len = 1;
    struct sb_err err = {0};
    for (size_t i = 0; i < 99; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, i == 0 ? "0" : ",0");
    }
    (void)snprintf(text + len, sizeof text - len, "]");
    assert_int_equal(scan(text, &err), 0);
    (void)snprintf(text + len, sizeof text - len, ",0]");
    assert_int_equal(scan(text, &err), -1);
    assert_non_null(strstr(err.text, "too many values"));
}

static void refuses_more_bytes_than_the_limit(void **state)
{
    (void)state;
    char text[4098];
    struct sb_err err = {0};
    memset(text, ' ', sizeof text);
    text[0] = '0';
    assert_int_equal(sb_json_scan(sb_str_of(text, 4096), &limits, &err), 0);
    assert_int_equal(sb_json_scan(sb_str_of(text, 4097), &limits, &err), -1);
    assert_string_equal(err.text, "longer than 4096 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_what_the_standard_does),
        cmocka_unit_test(refuses_everything_else_and_says_where),
        cmocka_unit_test(refuses_a_nul_byte),
        cmocka_unit_test(refuses_more_values_than_the_limit),
        cmocka_unit_test(refuses_more_bytes_than_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
