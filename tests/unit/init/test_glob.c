/** Patterns of file names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/init/glob.h"

static void matches_as_shells_do(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *path;
        int matches;
    } rows[] = {
        {"*", "a", 1},
        {"*", "a/b", 1},
        {"*.py", "x/y.py", 1},
        {"*.py", "x/y.pyc", 0},
        {"a/*.py", "a/b.py", 1},
        {"a/*.py", "a/b/c.py", 0},
        {"a/**", "a/b/c", 1},
        {"**/c", "c", 1},
        {"**/c", "a/b/c", 1},
        {"**/c", "a/bc", 0},
        {"a/**/c", "a/c", 1},
        {"a/**/c", "a/x/y/c", 1},
        {"a/**/c", "ab/c", 0},
        {"?", "a", 1},
        {"?", "", 0},
        {"a?c/d", "a/c/d", 0},
        {"[a-c]x", "bx", 1},
        {"[a-c]x", "dx", 0},
        {"[!a-c]x", "dx", 1},
        {"[]]", "]", 1},
        {"[", "[", 1},
        {"a[b", "a[b", 1},
        {"\\*", "*", 1},
        {"\\*", "x", 0},
        {"x/[!a]", "x//", 0},
        {"", "", 1},
        {"", "a", 0},
        {"[\xe0-\xef]", "\xe9", 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (sb_glob_matches(rows[i].pattern, rows[i].path) != rows[i].matches) {
            fail_msg("%s on %s", rows[i].pattern, rows[i].path);
        }
    }
}

static void no_pattern_takes_long(void **state)
{
    (void)state;
    char pattern[240];
    char path[4001];
    for (size_t i = 0; i < sizeof pattern - 1; i++) {
        pattern[i] = i % 2 == 0 ? '*' : 'a';
    }
    pattern[sizeof pattern - 1] = '\0';
    for (size_t i = 0; i < sizeof path - 1; i++) {
        path[i] = 'a';
    }
    path[sizeof path - 2] = 'b';
    path[sizeof path - 1] = '\0';
    pattern[sizeof pattern - 2] = 'c';
    assert_int_equal(sb_glob_matches(pattern, path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_as_shells_do),
        cmocka_unit_test(no_pattern_takes_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
