#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/beneath.h"
#include "base/err.h"

static const char *const root = "/workspace";

static void joins_what_lies_beneath(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", "/workspace"},
        {".", "/workspace"},
        {"/", "/workspace"},
        {"a", "/workspace/a"},
        {"/a/b/", "/workspace/a/b"},
        {"./a//./b", "/workspace/a/b"},
        {"a/../b", "/workspace/b"},
        {"a/b/../..", "/workspace"},
        {"...", "/workspace/..."},
        {"..a/.b", "/workspace/..a/.b"},
        {"/../../etc/passwd", "/workspace/etc/passwd"}, /* "/.." is "/" */
        {"/etc/passwd", "/workspace/etc/passwd"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_err err;
        char path[64];
        assert_int_equal(sb_beneath(root, sb_str_from(rows[i][0]), path, sizeof path, &err), 0);
        assert_string_equal(path, rows[i][1]);
    }
}

static void takes_the_directory_itself_by_its_name(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"/workspace", "/workspace"},
        {"/workspace/a", "/workspace/a"},
        {"//workspace/./a", "/workspace/a"},
        {"/workspace/../workspace/a", "/workspace/a"},
        {"/workspaces/a", "/workspace/workspaces/a"},
        {"/workspace/../a", "/workspace/a"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_err err;
        char path[64];
        assert_int_equal(sb_beneath(root, sb_str_from(rows[i][0]), path, sizeof path, &err), 0);
        assert_string_equal(path, rows[i][1]);
    }
}

static void refuses_what_leads_out(void **state)
{
    (void)state;
    static const char *const rows[] = {"..", "../a", "a/../../b", "./..", "a/../../../b"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_err err;
        char path[64];
        assert_int_equal(sb_beneath(root, sb_str_from(rows[i]), path, sizeof path, &err), -1);
        assert_int_equal(err.code, SB_DENIED);
    }
}

static void refuses_what_has_no_room(void **state)
{
    (void)state;
    struct sb_err err;
    char path[16];
    assert_int_equal(sb_beneath(root, SB_STR("abcd"), path, sizeof path, &err), 0);
    assert_int_equal(sb_beneath(root, SB_STR("abcde"), path, sizeof path, &err), -1);
    assert_int_equal(err.code, SB_INVALID);
    assert_int_equal(sb_beneath(root, SB_STR("a/b/c/d/e/f/g/h/i/j"), path, sizeof path, &err), -1);
    assert_int_equal(err.code, SB_INVALID);
    assert_int_equal(sb_beneath(root, SB_STR("a"), path, 10, &err), -1);
    assert_int_equal(err.code, SB_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_what_lies_beneath),
        cmocka_unit_test(takes_the_directory_itself_by_its_name),
        cmocka_unit_test(refuses_what_leads_out),
        cmocka_unit_test(refuses_what_has_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
