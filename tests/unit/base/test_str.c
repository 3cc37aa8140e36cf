#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/str.h"

static void equality_compares_bytes_and_takes_null_as_empty(void **state)
{
    (void)state;
    assert_true(sb_str_eq(SB_STR("ab"), sb_str_from("ab")));
    assert_false(sb_str_eq(SB_STR("ab"), SB_STR("ac")));
    assert_false(sb_str_eq(SB_STR("ab"), SB_STR("abc")));
    assert_true(sb_str_eq(SB_STR(""), sb_str_from(NULL)));
}

static void prefixes_and_suffixes(void **state)
{
    (void)state;
    assert_true(sb_str_starts_with(SB_STR("unix:/x"), SB_STR("unix:")));
    assert_false(sb_str_starts_with(SB_STR("un"), SB_STR("unix:")));
    assert_true(sb_str_ends_with(SB_STR("a.json"), SB_STR(".json")));
    assert_false(sb_str_ends_with(SB_STR("json"), SB_STR(".json")));
    assert_true(sb_str_starts_with(SB_STR("x"), sb_str_from(NULL)));
    assert_true(sb_str_ends_with(SB_STR("x"), sb_str_from(NULL)));
}

static void skip_and_head_stop_at_the_end(void **state)
{
    (void)state;
    assert_true(sb_str_eq(sb_str_skip(SB_STR("abc"), 1), SB_STR("bc")));
    assert_int_equal(sb_str_skip(SB_STR("abc"), 9).len, 0);
    assert_true(sb_str_eq(sb_str_head(SB_STR("abc"), 2), SB_STR("ab")));
    assert_true(sb_str_eq(sb_str_head(SB_STR("abc"), 9), SB_STR("abc")));
}

static void split_cuts_at_the_first_separator(void **state)
{
    (void)state;
    struct sb_str head = SB_STR("kept");
    struct sb_str tail = SB_STR("k=v=w");
    assert_true(sb_str_split(tail, '=', &head, &tail));
    assert_true(sb_str_eq(head, SB_STR("k")));
    assert_true(sb_str_eq(tail, SB_STR("v=w")));
    assert_false(sb_str_split(SB_STR("none"), '=', &head, &tail));
    assert_true(sb_str_eq(head, SB_STR("k")));
}

static void next_walks_all_pieces_even_empty_ones(void **state)
{
    (void)state;
    struct sb_str rest = SB_STR("a,,b,");
    static const char *const expected[] = {"a", "", "b", ""};
    struct sb_str piece;
    for (size_t i = 0; i < 4; i++) {
        assert_true(sb_str_next(&rest, ',', &piece));
        assert_true(sb_str_eq(piece, sb_str_from(expected[i])));
    }
    assert_false(sb_str_next(&rest, ',', &piece));
}

static void trim_takes_blanks_off_both_ends(void **state)
{
    (void)state;
    assert_true(sb_str_eq(sb_str_trim(SB_STR(" \t a b\r\n")), SB_STR("a b")));
    assert_int_equal(sb_str_trim(SB_STR("  ")).len, 0);
}

static void has_nul_looks_inside(void **state)
{
    (void)state;
    assert_true(sb_str_has_nul(SB_STR("a\0b")));
    assert_false(sb_str_has_nul(SB_STR("ab")));
    assert_false(sb_str_has_nul(sb_str_from(NULL)));
}

static void dup_terminates(void **state)
{
    (void)state;
    char *copy = sb_str_dup(sb_str_head(SB_STR("abc"), 2));
    assert_string_equal(copy, "ab");
    free(copy);
    copy = sb_str_dup(sb_str_from(NULL));
    assert_string_equal(copy, "");
    free(copy);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality_compares_bytes_and_takes_null_as_empty),
        cmocka_unit_test(prefixes_and_suffixes),
        cmocka_unit_test(skip_and_head_stop_at_the_end),
        cmocka_unit_test(split_cuts_at_the_first_separator),
        cmocka_unit_test(next_walks_all_pieces_even_empty_ones),
        cmocka_unit_test(trim_takes_blanks_off_both_ends),
        cmocka_unit_test(has_nul_looks_inside),
        cmocka_unit_test(dup_terminates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
