#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/num.h"

typedef int
parse_fn(struct sb_str, uint64_t min, uint64_t max, uint64_t *ret_value, struct sb_err *err);

struct row {
    const char *text;
    uint64_t value;
};

static void check_accepts(parse_fn *parse, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct sb_err err = {.text = ""};
        uint64_t value = ~rows[i].value;
        int result = parse(sb_str_from(rows[i].text), 0, UINT64_MAX, &value, &err);
        if (result != 0 || value != rows[i].value) {
            fail_msg("%s: %d %llu %s", rows[i].text, result, (unsigned long long)value, err.text);
        }
    }
}

static void check_refuses(parse_fn *parse, const char *const *texts, size_t n, const char *hint)
{
    for (size_t i = 0; i < n; i++) {
        struct sb_err err = {.text = ""};
        uint64_t value = 77;
        if (parse(sb_str_from(texts[i]), 0, UINT64_MAX, &value, &err) == 0) {
            fail_msg("\"%s\" was accepted as %llu", texts[i], (unsigned long long)value);
        }
        assert_int_equal(err.code, SB_INVALID);
        assert_int_equal(value, 77);
        assert_non_null(strstr(err.text, hint));
    }
}

#define ACCEPTS(parse, ...)                                                                        \
    do {                                                                                           \
        static const struct row rows[] = {__VA_ARGS__};                                            \
        check_accepts(parse, rows, sizeof rows / sizeof rows[0]);                                  \
    } while (0)

#define REFUSES(parse, hint, ...)                                                                  \
    do {                                                                                           \
        static const char *const texts[] = {__VA_ARGS__};                                          \
        check_refuses(parse, texts, sizeof texts / sizeof texts[0], hint);                         \
    } while (0)

static void whole_numbers(void **state)
{
    (void)state;
    ACCEPTS(sb_num_u64, {"0", 0}, {"007", 7}, {"18446744073709551615", UINT64_MAX});
    REFUSES(sb_num_u64, "whole number", "", " 1", "1 ", "+1", "-1", "0x1", "1e3", "1.0", "1k");
    REFUSES(sb_num_u64, "too large; the maximum is 18446744073709551615", "18446744073709551616",
            "99999999999999999999999");
}

static void sizes_count_in_1024(void **state)
{
    (void)state;
    ACCEPTS(sb_num_bytes, {"0", 0}, {"1048576", 1048576}, {"1b", 1}, {"1B", 1},
            {"512m", 512U << 20}, {"1g", 1U << 30}, {"64KiB", 65536}, {"64kb", 65536},
            {"2T", 2ULL << 40}, {"1.5g", 3ULL << 29}, {"0.1k", 102},
            {"16777215t", 16777215ULL << 40});
    REFUSES(sb_num_bytes, "512MiB", "", "m", "1 m", "1mm", "1bb", "1mi", "1p", "-1m", "1.5", "1.5b",
            "1.m", ".5m", "1.1234567m", "1k1k");
    REFUSES(sb_num_bytes, "too large", "16777216t", "99999999999999999999",
            "18446744073709551615.5k");
}

static void a_nul_is_no_suffix(void **state)
{
    (void)state;
    struct sb_err err;
    uint64_t value = 0;
    assert_int_equal(sb_num_bytes(SB_STR("1k\0"), 0, 9999, &value, &err), -1);
    assert_int_equal(sb_num_bytes(SB_STR("1\0"), 0, 9999, &value, &err), -1);
    assert_int_equal(sb_num_millis(SB_STR("1s\0"), 0, 9999, &value, &err), -1);
}

static void durations_need_a_unit(void **state)
{
    (void)state;
    ACCEPTS(sb_num_millis, {"0s", 0}, {"250ms", 250}, {"30s", 30000}, {"5m", 300000},
            {"2h", 7200000}, {"1h30m", 5400000}, {"1.5s", 1500}, {"1m1s1ms", 61001},
            {"1h0.5s", 3600500}, {"0.25h", 900000});
    REFUSES(sb_num_millis, "write a unit", "", "0", "30", "s", "1d", "1S", "1 s", "30m1h", "1s1s",
            "1.5h30m", "1.5ms", "0.0001s", "1h30", "-1s", "1sm", "99999999999999999999");
    REFUSES(sb_num_millis, "too large", "5124095576031h", "99999999999999999999s",
            "5124095576030h99999999999m");
}

static void cpus_become_millicores(void **state)
{
    (void)state;
    ACCEPTS(sb_num_cpu, {"1", 1000}, {"0.5", 500}, {"1.25", 1250}, {"0.001", 1}, {"0.5000", 500});
    REFUSES(sb_num_cpu, "CPUs", "", ".5", "1.", "0.0001", "1c", "500m", "-1", "1,5", "1.2.3");
    REFUSES(sb_num_cpu, "too large", "99999999999999999999", "18446744073709551615.5");
}

static void limits_are_inclusive_and_named_in_the_unit(void **state)
{
    (void)state;
    struct sb_err err;
    uint64_t value = 0;
    assert_int_equal(sb_num_bytes(SB_STR("1m"), 1U << 20, 1U << 30, &value, &err), 0);
    assert_int_equal(sb_num_bytes(SB_STR("1g"), 1U << 20, 1U << 30, &value, &err), 0);
    assert_int_equal(sb_num_bytes(SB_STR("1023k"), 1U << 20, 1U << 30, &value, &err), -1);
    assert_int_equal(err.code, SB_INVALID);
    assert_string_equal(err.text, "\"1023k\" is too small; the minimum is 1MiB");
    assert_int_equal(sb_num_bytes(SB_STR("2g"), 1U << 20, 1U << 30, &value, &err), -1);
    assert_string_equal(err.text, "\"2g\" is too large; the maximum is 1GiB");
    assert_int_equal(sb_num_millis(SB_STR("2h"), 1, 5400000, &value, &err), -1);
    assert_string_equal(err.text, "\"2h\" is too large; the maximum is 1h30m");
    assert_int_equal(sb_num_cpu(SB_STR("0.01"), 50, 64000, &value, &err), -1);
    assert_string_equal(err.text, "\"0.01\" is too small; the minimum is 0.05");
    assert_int_equal(sb_num_u64(SB_STR("9"), 1, 8, &value, &err), -1);
    assert_string_equal(err.text, "\"9\" is too large; the maximum is 8");
    assert_int_equal(value, 1U << 30);
}

static void formatted_text_parses_back(void **state)
{
    (void)state;
    static const uint64_t values[] = {
        0, 1, 999, 1000, 1001, 1024, 1536, 59999, 60000, 3600000, 86400001, 1ULL << 40, UINT64_MAX,
    };
    static const struct {
        parse_fn *parse;
        const char *(*format)(char out[SB_NUM_TEXT_SIZE], uint64_t value);
    } pairs[] = {
        {sb_num_bytes, sb_num_format_bytes},
        {sb_num_millis, sb_num_format_millis},
        {sb_num_cpu, sb_num_format_cpu},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        for (size_t j = 0; j < sizeof values / sizeof values[0]; j++) {
            char text[SB_NUM_TEXT_SIZE];
            struct sb_err err;
            uint64_t back = ~values[j];
            struct sb_str s = sb_str_from(pairs[i].format(text, values[j]));
            assert_int_equal(pairs[i].parse(s, 0, UINT64_MAX, &back, &err), 0);
            assert_true(back == values[j]);
        }
    }
}

static void formats_are_what_people_write(void **state)
{
    (void)state;
    char text[SB_NUM_TEXT_SIZE];
    assert_string_equal(sb_num_format_bytes(text, 512U << 20), "512MiB");
    assert_string_equal(sb_num_format_bytes(text, 1000), "1000B");
    assert_string_equal(sb_num_format_bytes(text, 0), "0B");
    assert_string_equal(sb_num_format_bytes_short(text, 123456789), "117.7MiB");
    assert_string_equal(sb_num_format_bytes_short(text, 1U << 20), "1MiB");
    assert_string_equal(sb_num_format_bytes_short(text, 999), "999B");
    assert_string_equal(sb_num_format_bytes_short(text, UINT64_MAX), "16777215.9TiB");
    assert_string_equal(sb_num_format_millis(text, 5400000), "1h30m");
    assert_string_equal(sb_num_format_millis(text, 1500), "1s500ms");
    assert_string_equal(sb_num_format_millis(text, UINT64_MAX), "5124095576030h25m51s615ms");
    assert_string_equal(sb_num_format_cpu(text, 1250), "1.25");
    assert_string_equal(sb_num_format_cpu(text, 10000), "10");
    assert_string_equal(sb_num_format_cpu(text, 0), "0");
}

static void hex_digits(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        const char text[2] = {(char)c, '\0'};
        int want = isxdigit(c) ? (int)strtol(text, NULL, 16) : -1;
        assert_int_equal(sb_num_hex_digit((char)c), want);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers),
        cmocka_unit_test(sizes_count_in_1024),
        cmocka_unit_test(a_nul_is_no_suffix),
        cmocka_unit_test(durations_need_a_unit),
        cmocka_unit_test(cpus_become_millicores),
        cmocka_unit_test(limits_are_inclusive_and_named_in_the_unit),
        cmocka_unit_test(formatted_text_parses_back),
        cmocka_unit_test(formats_are_what_people_write),
        cmocka_unit_test(hex_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
