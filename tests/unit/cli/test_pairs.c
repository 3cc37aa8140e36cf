#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cli/arena.h"
#include "cli/pairs.h"
#include "testing.h"

static struct sb_arena arena;
static struct sb_pairs pairs;
static struct sb_err err;

static int setup(void **state)
{
    (void)state;
    pairs = (struct sb_pairs){0};
    err = (struct sb_err){0};
    return setenv("AISBX_TEST_HERE", "mine", 1) + unsetenv("AISBX_TEST_NOT_HERE");
}

static int teardown(void **state)
{
    (void)state;
    sb_arena_done(&arena);
    return 0;
}

static void a_key_that_comes_again_wins(void **state)
{
    (void)state;
    assert_int_equal(sb_pairs_add_env(&pairs, &arena, SB_STR("A=1"), &err), 0);
    assert_int_equal(sb_pairs_add_env(&pairs, &arena, SB_STR("B=x=y"), &err), 0);
    assert_int_equal(sb_pairs_add_env(&pairs, &arena, SB_STR("A="), &err), 0);
    assert_int_equal(pairs.n, 2);
    assert_string_equal(pairs.items[0].value, "");
    assert_string_equal(pairs.items[1].value, "x=y");
}

static void a_bare_key_passes_the_callers_value_or_nothing(void **state)
{
    (void)state;
    assert_int_equal(sb_pairs_add_env(&pairs, &arena, SB_STR("AISBX_TEST_HERE"), &err), 0);
    assert_int_equal(sb_pairs_add_env(&pairs, &arena, SB_STR("AISBX_TEST_NOT_HERE"), &err), 0);
    assert_int_equal(pairs.n, 1);
    assert_string_equal(pairs.items[0].value, "mine");
}

static void an_empty_key_is_refused(void **state)
{
    (void)state;
    assert_int_equal(sb_pairs_add_env(&pairs, &arena, SB_STR("=1"), &err), -1);
    assert_int_equal(err.code, SB_INVALID);
}

static void file_lines_skip_blanks_and_comments(void **state)
{
    (void)state;
    struct sb_str lines = SB_STR("# one\n\nA=1\r\n  \nB=' 2 '\nC=3");
    assert_int_equal(sb_pairs_add_env_lines(&pairs, &arena, lines, "f", &err), 0);
    assert_int_equal(pairs.n, 3);
    assert_string_equal(pairs.items[0].value, "1");
    assert_string_equal(pairs.items[1].value, "' 2 '");
    assert_string_equal(pairs.items[2].value, "3");
}

static void file_errors_name_the_line(void **state)
{
    (void)state;
    assert_int_equal(sb_pairs_add_env_lines(&pairs, &arena, SB_STR("A=1\n\n=2\n"), "my.env", &err),
                     -1);
    assert_non_null(strstr(err.text, "my.env:3: "));
}

static void many_pairs_are_kept(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        char text[] = {'K', (char)('0' + i / 10), (char)('0' + i % 10), '=', 'v', '\0'};
        assert_int_equal(sb_pairs_add_label(&pairs, &arena, sb_str_from(text), &err), 0);
    }
    assert_int_equal(pairs.n, 100);
    assert_string_equal(pairs.items[0].key, "K00");
    assert_string_equal(pairs.items[99].key, "K99");
}

static void a_label_needs_a_value(void **state)
{
    (void)state;
    assert_int_equal(sb_pairs_add_label(&pairs, &arena, SB_STR("team"), &err), -1);
    assert_non_null(strstr(err.text, "\"team\" is not KEY=VALUE"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_key_that_comes_again_wins), TEST(a_bare_key_passes_the_callers_value_or_nothing),
        TEST(an_empty_key_is_refused),     TEST(file_lines_skip_blanks_and_comments),
        TEST(file_errors_name_the_line),   TEST(many_pairs_are_kept),
        TEST(a_label_needs_a_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
