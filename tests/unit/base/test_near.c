#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/near.h"

static const char *const names[] = {"memory", "cpus", NULL, "wall", "network", "run", "rm"};

static const char *find(const char *typed)
{
    return sb_near_find(sb_str_from(typed), names, sizeof names / sizeof names[0]);
}

static void finds_the_name_behind_a_slip(void **state)
{
    (void)state;
    assert_string_equal(find("memroy"), "memory");
    assert_string_equal(find("Memory"), "memory");
    assert_string_equal(find("cpu"), "cpus");
    assert_string_equal(find("netwrok"), "network");
    assert_string_equal(find("rnu"), "run");
}

static void finds_what_was_only_begun(void **state)
{
    (void)state;
    assert_string_equal(find("mem"), "memory");
    assert_string_equal(find("net"), "network");
}

static void suggests_nothing_for_something_else(void **state)
{
    (void)state;
    assert_null(find("volume"));
    assert_null(find(""));
    assert_null(find("x"));
    assert_null(find("qq"));
    static const char *const letter[] = {"v"};
    assert_null(sb_near_find(SB_STR("x"), letter, 1));
}

static void the_nearest_wins_then_the_first(void **state)
{
    (void)state;
    static const char *const close[] = {"abcxyz", "abcdxx", "abcdef", "abcdeg"};
    assert_string_equal(sb_near_find(SB_STR("abcdeh"), close, 4), "abcdef");
}

static void distance_counts_edits(void **state)
{
    (void)state;
    assert_int_equal(sb_near_distance(SB_STR("kitten"), SB_STR("sitting")), 3);
    assert_int_equal(sb_near_distance(SB_STR("ab"), SB_STR("ba")), 1);
    assert_int_equal(sb_near_distance(SB_STR(""), SB_STR("abc")), 3);
    assert_int_equal(sb_near_distance(SB_STR("abc"), sb_str_from(NULL)), 3);
    assert_int_equal(sb_near_distance(SB_STR("same"), SB_STR("SAME")), 0);
}

static void long_text_is_not_compared(void **state)
{
    (void)state;
    char text[65];
    memset(text, 'x', sizeof text);
    struct sb_str at_limit = sb_str_of(text, 64);
    struct sb_str beyond = sb_str_of(text, 65);
    assert_int_equal(sb_near_distance(at_limit, at_limit), 0);
    assert_true(sb_near_distance(SB_STR("x"), beyond) == SIZE_MAX);
    assert_true(sb_near_distance(beyond, SB_STR("x")) == SIZE_MAX);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_name_behind_a_slip),
        cmocka_unit_test(finds_what_was_only_begun),
        cmocka_unit_test(suggests_nothing_for_something_else),
        cmocka_unit_test(the_nearest_wins_then_the_first),
        cmocka_unit_test(distance_counts_edits),
        cmocka_unit_test(long_text_is_not_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
