#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/jsonedit.h"
#include "testing.h"

/* The result as text, or the error's. */
static const char *set(const char *text, const char *value)
{
    static struct sb_buf out;
    static struct sb_err err;
    sb_buf_done(&out);
    sb_buf_init(&out, SB_JSONEDIT_MAX_BYTES);
    return sb_jsonedit_set(sb_str_from(text), "servers", "aisbx", sb_str_from(value), &out, &err) <
                   0
               ? err.text
               : sb_buf_cstr(&out);
}

static const char *removed(const char *text)
{
    static struct sb_buf out;
    static struct sb_err err;
    sb_buf_done(&out);
    sb_buf_init(&out, SB_JSONEDIT_MAX_BYTES);
    return sb_jsonedit_remove(sb_str_from(text), "servers", "aisbx", &out, &err) < 0
               ? err.text
               : sb_buf_cstr(&out);
}

static void makes_a_file_of_nothing(void **state)
{
    (void)state;
    assert_string_equal(set("", "1"), "{\n  \"servers\": {\"aisbx\": 1}\n}\n");
    assert_string_equal(set(" \n", "1"), "{\n  \"servers\": {\"aisbx\": 1}\n}\n");
}

static void leaves_everything_else_as_it_stands(void **state)
{
    (void)state;
    assert_string_equal(
        set("{\n    \"a\" : 1.0e5 ,\n    \"b\":[ ]\n}", "2"),
        "{\n    \"a\" : 1.0e5 ,\n    \"b\":[ ],\n    \"servers\": {\"aisbx\": 2}\n}");
    assert_string_equal(set("{\"servers\":{\"x\":{}}}", "2"),
                        "{\"servers\":{\"x\":{}, \"aisbx\": 2}}");
    assert_string_equal(
        set("{\n  \"servers\": {\n    \"x\": {}\n  },\n  \"z\": 0\n}\n", "2"),
        "{\n  \"servers\": {\n    \"x\": {},\n    \"aisbx\": 2\n  },\n  \"z\": 0\n}\n");
    assert_string_equal(set("{\n  \"servers\": {}\n}\n", "2"),
                        "{\n  \"servers\": {\n    \"aisbx\": 2\n  }\n}\n");
}

static void replaces_only_the_value(void **state)
{
    (void)state;
    assert_string_equal(set("{\"servers\": {\"aisbx\":{\"old\":[1,\"}\"]} , \"y\":1}}", "{}"),
                        "{\"servers\": {\"aisbx\":{} , \"y\":1}}");
}

static void keeps_comments_and_trailing_commas(void **state)
{
    (void)state;
    assert_string_equal(
        set("{\n  // mine, \"servers\": {}\n  \"servers\": {\n    \"x\": 1, /* , */\n  },\n}\n",
            "2"),
        "{\n  // mine, \"servers\": {}\n  \"servers\": {\n    \"x\": 1,\n    \"aisbx\": 2, /* , "
        "*/\n  },\n}\n");
    assert_string_equal(set("{\"servers\": {\"url\": \"http://x/,}\"}}", "2"),
                        "{\"servers\": {\"url\": \"http://x/,}\", \"aisbx\": 2}}");
}

static void takes_out_what_it_put_in(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\n    \"a\" : 1.0e5 ,\n    \"servers\": {\n      \"x\": 1\n    }\n}",
        "{\"servers\":{\"x\":{}}}",
        "{\n  \"servers\": {\n    \"x\": 1, // one\n  },\n}\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char with[512];
        (void)snprintf(with, sizeof with, "%s", set(texts[i], "{\"k\": [\"}\"]}"));
        assert_string_not_equal(with, texts[i]);
        assert_string_equal(removed(with), texts[i]);
    }
    assert_string_equal(removed("{\"servers\": {\"aisbx\": 1, \"y\": 2}}"),
                        "{\"servers\": {\"y\": 2}}");
    assert_string_equal(removed("{\"servers\": {\"aisbx\": 1}}"), "{\"servers\": {}}");
}

static void refuses_what_it_does_not_understand(void **state)
{
    (void)state;
    assert_non_null(strstr(set("{\"servers\": [}", "1"), "line 1"));
    assert_non_null(strstr(set("{\"servers\": 7}", "1"), "an object was expected"));
    assert_non_null(strstr(set("[]", "1"), "an object was expected"));
    assert_non_null(strstr(set("{\"a\": 1, \"a\": 2}", "1"), "twice"));
    assert_non_null(strstr(set("{\"s\\u0065rvers\": {}}", "1"), "twice"));
    assert_non_null(strstr(removed("{\"servers\": {}}"), "no servers of that name"));
    assert_non_null(strstr(set("{} /* no end", "1"), "{\n"));
    assert_non_null(strstr(set("{\"a\": \"no end", "1"), "line 1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_a_file_of_nothing),
        cmocka_unit_test(leaves_everything_else_as_it_stands),
        cmocka_unit_test(replaces_only_the_value),
        cmocka_unit_test(keeps_comments_and_trailing_commas),
        cmocka_unit_test(takes_out_what_it_put_in),
        cmocka_unit_test(refuses_what_it_does_not_understand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
