#include <string.h>

#include "base/err.h"
#include "cli/boxpath.h"
#include "testing.h"

static void a_colon_before_any_slash_names_a_sandbox(void **state)
{
    (void)state;
    struct sb_boxpath inside = sb_boxpath_of("sb_9xq:/tmp/a:b");
    assert_true(inside.is_inside);
    assert_true(sb_str_eq(inside.sandbox, SB_STR("sb_9xq")));
    assert_string_equal(inside.path, "/tmp/a:b");
    assert_true(sb_boxpath_of("sb_9xq:").is_inside);
    assert_false(sb_boxpath_of("./a:b").is_inside);
    assert_false(sb_boxpath_of("/a:b").is_inside);
    assert_false(sb_boxpath_of(":b").is_inside);
    assert_false(sb_boxpath_of("-").is_inside);
}

static void what_is_relative_is_below_the_workspace(void **state)
{
    (void)state;
    struct sb_err err;
    char path[SB_BOXPATH_SIZE];
    assert_int_equal(sb_boxpath_absolute("", path, &err), 0);
    assert_string_equal(path, "/workspace");
    assert_int_equal(sb_boxpath_absolute("a/b", path, &err), 0);
    assert_string_equal(path, "/workspace/a/b");
    assert_int_equal(sb_boxpath_absolute("/tmp/", path, &err), 0);
    assert_string_equal(path, "/tmp/");
    char longest[SB_BOXPATH_SIZE + 1];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(sb_boxpath_absolute(longest, path, &err), -1);
    assert_int_equal(err.code, SB_INVALID);
}

static void a_name_is_what_comes_last(void **state)
{
    (void)state;
    assert_true(sb_str_eq(sb_boxpath_name("/a/b//"), SB_STR("b")));
    assert_true(sb_str_eq(sb_boxpath_name("b"), SB_STR("b")));
    assert_true(sb_str_eq(sb_boxpath_name("/"), SB_STR("")));
    assert_true(sb_str_eq(sb_boxpath_name("a/.."), SB_STR("")));
}

static void nothing_from_inside_leads_out_of_the_destination(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "/a", "..", "a/../b", "a//b", "./a", "a/", "a/.."};
    assert_true(sb_boxpath_is_below("a/b c/..d"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(sb_boxpath_is_below(bad[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_colon_before_any_slash_names_a_sandbox),
        cmocka_unit_test(what_is_relative_is_below_the_workspace),
        cmocka_unit_test(a_name_is_what_comes_last),
        cmocka_unit_test(nothing_from_inside_leads_out_of_the_destination),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
