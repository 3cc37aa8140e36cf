#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/argv.h"
#include "base/err.h"

#define AT(member) offsetof(struct target, member)

struct target {
    bool is_loud;
    uint64_t wait_ms;
    uint64_t weight;
    uint64_t mode;
    uint64_t fd;
    char *name;
    struct sb_field_texts words;
    bool is_hidden;
};

static const char *const weights[] = {"idle", NULL};

static const struct sb_field table[] = {
    {SB_STR("loud"), SB_FIELD_BOOL, AT(is_loud), 0, 1, NULL, "Says more", NULL},
    {SB_STR("wait"), SB_FIELD_MILLIS, AT(wait_ms), 1, 60000, "DURATION", "Before it ends", NULL},
    {SB_STR("weight"), SB_FIELD_U64, AT(weight), 1, 100, "N|idle", "Share", weights},
    {SB_STR("mode"), SB_FIELD_MODE, AT(mode), 0, 0777, "OCTAL", "Of the file", NULL},
    {SB_STR("fd"), SB_FIELD_U64, AT(fd), 0, 1023, "FD", "To write to", NULL},
    {SB_STR("name"), SB_FIELD_STRING, AT(name), 1, 8, "NAME", "Its name", NULL},
    {SB_STR("word"), SB_FIELD_TEXTS, AT(words), 0, 2, "WORD", "One more", NULL},
    {SB_STR("hidden"), SB_FIELD_BOOL, AT(is_hidden), 0, 1, NULL, NULL, NULL},
};
enum { N = sizeof table / sizeof *table };

static const struct target defaults = {
    .wait_ms = 2000, .weight = 10, .mode = 0600, .fd = UINT64_MAX};

static int parse(struct target *target, struct sb_err *err, const char *const *words)
{
    char text[8][64] = {"program"};
    char *argv[9] = {text[0]};
    int argc = 1;
    for (; words[argc - 1] != NULL; argc++) {
        (void)snprintf(text[argc], sizeof text[argc], "%s", words[argc - 1]);
        argv[argc] = text[argc];
    }
    *target = defaults;
    return sb_argv_parse(table, N, argc, argv, target, err);
}

static void takes_values_after_a_blank_or_an_equals_sign(void **state)
{
    (void)state;
    struct target target;
    struct sb_err err;
    const char *const words[] = {"--loud", "--wait", "1500", "--name=it", "--mode", "0660", NULL};
    assert_int_equal(parse(&target, &err, words), 0);
    assert_true(target.is_loud);
    assert_int_equal(target.wait_ms, 1500);
    assert_string_equal(target.name, "it");
    assert_int_equal(target.mode, 0660);
    sb_field_free(table, N, &target);
}

static void takes_a_boolean_that_is_given(void **state)
{
    (void)state;
    struct target target;
    struct sb_err err;
    assert_int_equal(parse(&target, &err, (const char *const[]){"--loud", "--loud=no", NULL}), 0);
    assert_false(target.is_loud);
}

static void takes_words_for_numbers_whatever_the_least_is(void **state)
{
    (void)state;
    struct target target;
    struct sb_err err;
    assert_int_equal(parse(&target, &err, (const char *const[]){"--weight=idle", NULL}), 0);
    assert_int_equal(target.weight, 0);
}

static void collects_what_may_be_given_several_times(void **state)
{
    (void)state;
    struct target target;
    struct sb_err err;
    const char *const words[] = {"--word", "one", "--word=two=2", NULL};
    assert_int_equal(parse(&target, &err, words), 0);
    assert_int_equal(target.words.n, 2);
    assert_string_equal(target.words.items[0], "one");
    assert_string_equal(target.words.items[1], "two=2");
    sb_field_free(table, N, &target);
    assert_int_equal(target.words.n, 0);
}

static void refuses_what_it_does_not_understand(void **state)
{
    (void)state;
    static const struct {
        const char *const words[4];
        const char *text;
    } rows[] = {
        {{"--wiat", "1"}, "unknown option --wiat; did you mean --wait?"},
        {{"--hiden"}, "unknown option --hiden (see --help)"},
        {{"--zzz"}, "unknown option --zzz (see --help)"},
        {{"word"}, "unexpected argument word (see --help)"},
        {{"--wait"}, "--wait: needs a value"},
        {{"--wait", "soon"}, "--wait: "},
        {{"--wait", "0"}, "--wait: "},
        {{"--loud=maybe"}, "--loud: "},
        {{"--weight", "0"}, "minimum is 1, or idle"},
        {{"--mode", "0888"}, "--mode: octal permission bits"},
        {{"--mode", "1777"}, "--mode: octal permission bits"},
        {{"--mode="}, "--mode: octal permission bits"},
        {{"--name="}, "--name: "},
        {{"--word="}, "--word: needs a value"},
        {{"--word=1", "--word=2", "--word=3"}, "--word: more than 2"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct target target;
        struct sb_err err;
        assert_int_equal(parse(&target, &err, rows[i].words), -1);
        assert_int_equal(err.code, SB_INVALID);
        if (strstr(err.text, rows[i].text) == NULL) {
            fail_msg("'%s' does not say '%s'", err.text, rows[i].text);
        }
        sb_field_free(table, N, &target);
    }
}

static void help_has_each_option_with_what_it_is_by_default(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    sb_argv_help(table, N, &defaults, out);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, "  --loud\n      Says more\n"
                              "  --wait DURATION\n      Before it ends (default: 2s)\n"
                              "  --weight N|idle\n      Share (default: 10)\n"
                              "  --mode OCTAL\n      Of the file (default: 0600)\n"
                              "  --fd FD\n      To write to\n"
                              "  --name NAME\n      Its name\n"
                              "  --word WORD\n      One more; may be given 2 times\n");
    free(text);
}

static void the_manual_has_them_as_macros_of_man(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    static const struct sb_field rows[] = {
        {SB_STR("a-b"), SB_FIELD_U64, AT(weight), 1, 100, "N-M", "A \\ and - here", NULL},
        {SB_STR("c"), SB_FIELD_STRING, AT(name), 1, 8, NULL, ".begins like a macro", NULL},
        {SB_STR("d"), SB_FIELD_BOOL, AT(is_hidden), 0, 1, NULL, NULL, NULL},
    };
    FILE *out = open_memstream(&text, &len);
    sb_argv_man(rows, 3, &defaults, out);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, ".TP\n\\fB\\-\\-a\\-b\\fR \\fIN\\-M\\fR\n"
                              "A \\e and \\- here (default: 10).\n"
                              ".TP\n\\fB\\-\\-c\\fR\n\\&.begins like a macro.\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_values_after_a_blank_or_an_equals_sign),
        cmocka_unit_test(takes_a_boolean_that_is_given),
        cmocka_unit_test(takes_words_for_numbers_whatever_the_least_is),
        cmocka_unit_test(collects_what_may_be_given_several_times),
        cmocka_unit_test(refuses_what_it_does_not_understand),
        cmocka_unit_test(help_has_each_option_with_what_it_is_by_default),
        cmocka_unit_test(the_manual_has_them_as_macros_of_man),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
