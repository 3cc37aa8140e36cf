#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/out.h"

static struct sb_out out;

static int setup(void **state)
{
    (void)state;
    sb_out_init(&out, -1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sb_out_done(&out);
    return 0;
}

static void nested_values_get_their_commas(void **state)
{
    struct sb_json json = {.out = &out};
    (void)state;
    sb_json_open(&json, NULL, '{');
    sb_json_u64(&json, "a", UINT64_MAX);
    sb_json_open(&json, "b", '[');
    sb_json_i64(&json, NULL, -1);
    sb_json_bool(&json, NULL, true);
    sb_json_null(&json, NULL);
    sb_json_open(&json, NULL, '{');
    sb_json_close(&json, '}');
    sb_json_close(&json, ']');
    sb_json_key(&json, SB_STR("k\"ey"));
    sb_json_cstr(&json, NULL, "v");
    sb_json_cstr(&json, "c", NULL);
    sb_json_close(&json, '}');
    assert_string_equal(
        sb_buf_cstr(&out.buf),
        "{\"a\":18446744073709551615,\"b\":[-1,true,null,{}],\"k\\\"ey\":\"v\",\"c\":\"\"}");
}

static void control_characters_quotes_and_backslashes_are_escaped(void **state)
{
    struct sb_json json = {.out = &out};
    (void)state;
    sb_json_str(&json, NULL, SB_STR("a\"\\\b\f\n\r\t\x01\x1f\x7f\0z"));
    assert_string_equal(sb_buf_cstr(&out.buf),
                        "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f\\u0000z\"");
}

/* Some terminals obey U+009B as they do ESC [. */
static void control_characters_beyond_ascii_are_escaped(void **state)
{
    struct sb_json json = {.out = &out};
    (void)state;
    sb_json_str(&json, NULL,
                SB_STR("a\xc2\x80\xc2\x9b"
                       "31m\xc2\x9f\xc2\xa0\xc3\xbc"));
    assert_string_equal(sb_buf_cstr(&out.buf), "\"a\\u0080\\u009b31m\\u009f\xc2\xa0\xc3\xbc\"");
}

static void malformed_utf8_is_replaced_and_the_rest_kept(void **state)
{
    struct sb_json json = {.out = &out};
    (void)state;
    sb_json_str(&json, NULL, SB_STR("gr\xc3\xbc\xff\xe2\x82-\xed\xa0\x80"));
    assert_string_equal(sb_buf_cstr(&out.buf), "\"gr\xc3\xbc\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd-"
                                               "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void numbers_that_json_lacks_become_null(void **state)
{
    struct sb_json json = {.out = &out};
    (void)state;
    sb_json_open(&json, NULL, '[');
    sb_json_double(&json, NULL, 0.5);
    sb_json_double(&json, NULL, 0.038);
    sb_json_double(&json, NULL, 0.1 + 0.2);
    sb_json_double(&json, NULL, (double)INFINITY);
    sb_json_double(&json, NULL, (double)NAN);
    sb_json_close(&json, ']');
    assert_string_equal(sb_buf_cstr(&out.buf), "[0.5,0.038,0.30000000000000004,null,null]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nested_values_get_their_commas, setup, teardown),
        cmocka_unit_test_setup_teardown(control_characters_quotes_and_backslashes_are_escaped,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(control_characters_beyond_ascii_are_escaped, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(malformed_utf8_is_replaced_and_the_rest_kept, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(numbers_that_json_lacks_become_null, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
