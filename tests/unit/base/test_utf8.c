#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"

static bool valid(struct sb_str s)
{
    return sb_utf8_valid(s.ptr, s.len);
}

static void accepts_the_edges_of_each_range(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "plain",
        "\xC2\x80",
        "\xDF\xBF",
        "\xE0\xA0\x80",
        "\xED\x9F\xBF",
        "\xEE\x80\x80",
        "\xEF\xBF\xBF",
        "\xF0\x90\x80\x80",
        "\xF4\x8F\xBF\xBF",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_true(valid(sb_str_from(texts[i])));
    }
    assert_true(valid(SB_STR("a\0b")));
    assert_true(sb_utf8_valid(NULL, 0));
}

static void refuses_what_is_not_utf8(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "\x80",             /* continuation alone */
        "\xC0\xAF",         /* overlong / */
        "\xC1\xBF",         /* overlong */
        "\xE0\x9F\xBF",     /* overlong */
        "\xF0\x8F\xBF\xBF", /* overlong */
        "\xED\xA0\x80",     /* surrogate */
        "\xED\xBF\xBF",     /* surrogate */
        "\xF4\x90\x80\x80", /* above U+10FFFF */
        "\xF5\x80\x80\x80",
        "\xFF",
        "\xC3",      /* cut */
        "\xE2\x82",  /* cut */
        "\xC3(",     /* bad second byte */
        "\xE2\x82(", /* bad third byte */
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_false(valid(sb_str_from(texts[i])));
    }
}

static void does_not_look_beyond_the_length(void **state)
{
    (void)state;
    assert_false(sb_utf8_valid("\xE2\x82\xAC", 2));
    assert_false(sb_utf8_valid("\xC3\xA9", 1));
}

static void next_decodes_and_takes_one_byte_of_rubbish(void **state)
{
    (void)state;
    struct sb_str text = SB_STR("a\xE2\x82\xAC\xFF\xF0\x9F\x98\x80");
    static const int32_t expected[] = {'a', 0x20AC, -1, 0x1F600};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_int_equal(sb_utf8_next(&text), expected[i]);
    }
    assert_int_equal(text.len, 0);
}

static void controls_and_direction_overrides_are_not_printable(void **state)
{
    (void)state;
    static const int32_t bad[] = {-1,     0,      '\n',   0x1B,   0x7F,   0x9B,
                                  0x2028, 0x202E, 0x2066, 0xFEFF, 0xFFFE, 0xE0041};
    static const int32_t good[] = {' ', '~', 0xA0, 0xE9, 0x20AC, 0xFFFD, 0x1F600};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(sb_utf8_printable(bad[i]));
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(sb_utf8_printable(good[i]));
    }
    assert_true(sb_utf8_all_printable(SB_STR("")));
    assert_true(sb_utf8_all_printable(SB_STR("\xC3\xA9 ~")));
    assert_false(sb_utf8_all_printable(SB_STR("a\nb")));
    assert_false(sb_utf8_all_printable(SB_STR("a\0b")));
    assert_false(sb_utf8_all_printable(SB_STR("ab\xC3")));
}

static void sanitize_replaces_bad_bytes_and_controls(void **state)
{
    (void)state;
    char out[64];
    size_t n = sb_utf8_sanitize(out, sizeof out, SB_STR("\xC3\xA9\x1b[2J\n\xFF\xC2\x9B."),
                                SB_UTF8_ONE_LINE);
    assert_string_equal(out, "\xC3\xA9\xEF\xBF\xBD[2J\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD.");
    assert_int_equal(n, strlen(out));
}

static void sanitize_can_keep_lines(void **state)
{
    (void)state;
    char out[64];
    (void)sb_utf8_sanitize(out, sizeof out, SB_STR("a\tb\nc\r"), SB_UTF8_KEEP_LINES);
    assert_string_equal(out, "a\tb\nc\xEF\xBF\xBD");
}

static void sanitize_cuts_between_characters(void **state)
{
    (void)state;
    char out[6];
    assert_int_equal(sb_utf8_sanitize(out, 1, SB_STR("abc"), SB_UTF8_ONE_LINE), 0);
    assert_string_equal(out, "");
    (void)sb_utf8_sanitize(out, sizeof out, SB_STR("abc\xE2\x82\xAC"), SB_UTF8_ONE_LINE);
    assert_string_equal(out, "abc");
    (void)sb_utf8_sanitize(out, sizeof out, SB_STR("ab\xE2\x82\xAC"), SB_UTF8_ONE_LINE);
    assert_string_equal(out, "ab\xE2\x82\xAC");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_the_edges_of_each_range),
        cmocka_unit_test(refuses_what_is_not_utf8),
        cmocka_unit_test(does_not_look_beyond_the_length),
        cmocka_unit_test(next_decodes_and_takes_one_byte_of_rubbish),
        cmocka_unit_test(controls_and_direction_overrides_are_not_printable),
        cmocka_unit_test(sanitize_replaces_bad_bytes_and_controls),
        cmocka_unit_test(sanitize_can_keep_lines),
        cmocka_unit_test(sanitize_cuts_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
