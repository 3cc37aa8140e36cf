/** Sources become programs, and the files they travel in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "service/shared/fileproto.h"
#include "service/worker/script.h"
#include "service/worker/stage/stage.h"

static struct sb_budget budget;

static char *texts[] = {NULL, NULL};

static int budget_of_a_mebibyte(void **state)
{
    static char first[] = "one";
    static char second[] = "two words";
    (void)state;
    budget = (struct sb_budget){.max = 1 << 20};
    texts[0] = first;
    texts[1] = second;
    return 0;
}

static void a_short_source_is_an_argument_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < SB_LANGUAGES; i++) {
        struct sb_script script;
        struct sb_stage *stage = NULL;
        struct sb_err err;
        assert_int_equal(sb_script_make((enum sb_language)i, SB_STR("the source"), texts, 2, "x",
                                        &budget, &stage, &script, &err),
                         0);
        assert_null(stage);
        size_t at = 0;
        while (strcmp(script.args[at], "the source") != 0) {
            at++;
        }
        assert_string_equal(script.args[script.n_args - 2], "one");
        assert_string_equal(script.args[script.n_args - 1], "two words");
        assert_null(script.args[script.n_args]);
        assert_true(at >= 2 && at < script.n_args - 2);
        sb_script_done(&script);
    }
}

static void a_long_source_is_a_file_that_only_this_exec_has(void **state)
{
    (void)state;
    static char source[SB_SCRIPT_MAX_INLINE + 2];
    memset(source, '#', sizeof source - 1);
    for (int i = 0; i < SB_LANGUAGES; i++) {
        struct sb_script script;
        struct sb_stage *stage = NULL;
        struct sb_err err;
        assert_int_equal(sb_script_make((enum sb_language)i, sb_str_from(source), texts, 2, "ex_t",
                                        &budget, &stage, &script, &err),
                         0);
        assert_non_null(stage);
        assert_int_equal(stage->n, 1);
        assert_int_equal(stage->files[0].len, sizeof source - 1);
        assert_memory_equal(stage->files[0].path, "/tmp/run.ex_t/", 14);
        assert_string_equal(script.args[script.n_args - 3], stage->files[0].path);
        assert_string_equal(script.args[script.n_args - 1], "two words");
        assert_int_equal(budget.used, sizeof source - 1);
        sb_stage_unref(stage);
        assert_int_equal(budget.used, 0);
        sb_script_done(&script);
    }
}

static void split_compiles_what_is_compiled(void **state)
{
    (void)state;
    for (int i = 0; i < SB_LANGUAGES; i++) {
        struct sb_script compile;
        struct sb_script run;
        struct sb_err err;
        struct sb_stage *stage = sb_stage_new(&budget, 1 << 20);
        bool is_compiled = i >= SB_LANGUAGE_C;
        assert_int_equal(sb_script_split((enum sb_language)i, SB_STR("x"), texts, 1, "/d", stage,
                                         &compile, &run, &err),
                         0);
        assert_int_equal(stage->n, 1);
        assert_memory_equal(stage->files[0].path, "/d/", 3);
        assert_string_equal(stage->files[0].path + 3, sb_language_file((enum sb_language)i));
        assert_int_equal(compile.n_args > 0, is_compiled);
        assert_string_equal(run.args[run.n_args - 1], "one");
        sb_script_done(&compile);
        sb_script_done(&run);
        sb_stage_unref(stage);
    }
}

static void sources_that_are_none_are_refused(void **state)
{
    (void)state;
    static char source[SB_SCRIPT_MAX_SOURCE + 2];
    struct sb_script script;
    struct sb_stage *stage = NULL;
    struct sb_err err;
    memset(source, 'x', sizeof source - 1);
    assert_int_equal(
        sb_script_make(SB_LANGUAGE_C, SB_STR(""), NULL, 0, "x", &budget, &stage, &script, &err),
        -1);
    assert_int_equal(sb_script_make(SB_LANGUAGE_C, sb_str_from(source), NULL, 0, "x", &budget,
                                    &stage, &script, &err),
                     -1);
    assert_int_equal(err.code, SB_INVALID);
    assert_int_equal(
        sb_script_make(SB_LANGUAGE_C, SB_STR("x"), NULL, 4097, "x", &budget, &stage, &script, &err),
        -1);
    assert_null(stage);
}

static void what_all_files_take_is_bounded(void **state)
{
    (void)state;
    static char data[1 << 19];
    struct sb_err err;
    struct sb_stage *one = sb_stage_new(&budget, 1 << 20);
    struct sb_stage *two = sb_stage_new(&budget, 1 << 20);
    assert_int_equal(sb_stage_add(one, SB_STR("/a"), 0, &err), 0);
    assert_int_equal(sb_stage_append(one, data, sizeof data, &err), 0);
    assert_int_equal(sb_stage_add(two, SB_STR("/b"), 0, &err), 0);
    assert_int_equal(sb_stage_append(two, data, sizeof data, &err), 0);
    assert_int_equal(sb_stage_append(two, data, 1, &err), -1);
    assert_int_equal(err.code, SB_EXHAUSTED);
    sb_stage_drop(two);
    assert_int_equal(budget.used, sizeof data);
    assert_int_equal(sb_stage_append(one, data, sizeof data, &err), 0);
    assert_int_equal(sb_stage_append(one, data, 1, &err), -1); /* its own bound, too */
    sb_stage_unref(one);
    sb_stage_unref(two);
    assert_int_equal(budget.used, 0);
}

static void paths_stay_below_the_workspace(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "/", "/x", ".", "..", "a/../b", "a//b", "a/", "./a"};
    char path[SB_FILE_MAX_PATH];
    struct sb_err err;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(sb_stage_path(bad[i], "files", path, &err), -1);
        assert_int_equal(err.code, SB_INVALID);
    }
    assert_int_equal(sb_stage_path("a/..b/c.", "files", path, &err), 0);
    assert_string_equal(path, "/workspace/a/..b/c.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup(name, budget_of_a_mebibyte)
        TEST(a_short_source_is_an_argument_of_its_own),
        TEST(a_long_source_is_a_file_that_only_this_exec_has),
        TEST(split_compiles_what_is_compiled),
        TEST(sources_that_are_none_are_refused),
        TEST(what_all_files_take_is_bounded),
        TEST(paths_stay_below_the_workspace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
