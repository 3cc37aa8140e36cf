#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cli/args.h"
#include "cli/option.h"
#include "testing.h"

static const struct sb_option_group *const run_groups[] = {
    &sb_option_sandbox, &sb_option_network, &sb_option_program, &sb_option_everywhere, NULL};
static const struct sb_option_group *const list_groups[] = {&sb_option_list, &sb_option_everywhere,
                                                            NULL};

/* The parser moves words and splits commas in place, so each test hands it copies. */
struct line {
    char text[512];
    char *argv[16];
    struct sb_args args;
    struct sb_err err;
};

static int parse(struct line *line,
                 const struct sb_option_group *const *groups,
                 enum sb_args_style style,
                 const char *command)
{
    size_t n = 0;
    char *rest = line->text;
    *line = (struct line){0};
    rest = line->text;
    (void)snprintf(line->text, sizeof line->text, "%s", command);
    for (char *word; (word = strsep(&rest, " ")) != NULL;) {
        line->argv[n++] = word;
    }
    return sb_args_parse(&line->args, groups, style, line->argv, &line->err);
}

static void options_end_at_the_command(void **state)
{
    struct line line;
    (void)state;
    assert_int_equal(parse(&line, run_groups, SB_ARGS_COMMAND, "-p strict python3 -v --json"), 0);
    assert_string_equal(line.args.profile, "strict");
    assert_false(line.args.verbose);
    assert_int_equal(line.args.n_operands, 3);
    assert_string_equal(line.args.operands[0], "python3");
    assert_string_equal(line.args.operands[2], "--json");
    assert_null(line.args.operands[3]);
    sb_args_done(&line.args);
}

static void double_dash_before_the_command_is_dropped(void **state)
{
    struct line line;
    (void)state;
    assert_int_equal(parse(&line, run_groups, SB_ARGS_COMMAND, "-v -- -odd --"), 0);
    assert_true(line.args.verbose);
    assert_int_equal(line.args.n_operands, 2);
    assert_string_equal(line.args.operands[0], "-odd");
    assert_string_equal(line.args.operands[1], "--");
}

static void exec_takes_options_around_the_sandbox_and_not_in_the_command(void **state)
{
    struct line line;
    (void)state;
    assert_int_equal(
        parse(&line, run_groups, SB_ARGS_IN_COMMAND, "--timeout 2s sb_1 -v -- ls --json -v"), 0);
    assert_int_equal(line.args.timeout_ms, 2000);
    assert_true(line.args.verbose);
    assert_false(line.args.json);
    assert_int_equal(line.args.n_operands, 4);
    assert_string_equal(line.args.operands[0], "sb_1");
    assert_string_equal(line.args.operands[1], "ls");
}

static void options_and_operands_mix_where_there_is_no_command(void **state)
{
    struct line line;
    (void)state;
    assert_int_equal(parse(&line, list_groups, SB_ARGS_MIXED, "one --json two -q"), 0);
    assert_true(line.args.json);
    assert_true(line.args.quiet);
    assert_int_equal(line.args.n_operands, 2);
    assert_string_equal(line.args.operands[1], "two");
}

static void every_spelling_of_a_value_is_read(void **state)
{
    static const char *const spellings[] = {"--profile strict x", "--profile=strict x",
                                            "-p strict x", "-pstrict x", "-vp strict x"};
    (void)state;
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        struct line line;
        assert_int_equal(parse(&line, run_groups, SB_ARGS_COMMAND, spellings[i]), 0);
        assert_string_equal(line.args.profile, "strict");
        assert_int_equal(line.args.n_operands, 1);
    }
}

static void repeated_and_comma_options_are_collected_in_order(void **state)
{
    struct line line;
    (void)state;
    assert_int_equal(parse(&line, run_groups, SB_ARGS_COMMAND,
                           "-e A=1 -eB --require userns,seccomp --require cgroup x"),
                     0);
    assert_int_equal(line.args.env.n, 2);
    assert_string_equal(line.args.env.items[0], "A=1");
    assert_string_equal(line.args.env.items[1], "B");
    assert_int_equal(line.args.require.n, 3);
    assert_string_equal(line.args.require.items[1], "seccomp");
    assert_string_equal(line.args.require.items[2], "cgroup");
    sb_args_done(&line.args);
}

/* An unset variable of a script must not be read as "no restriction". */
static void an_empty_entry_of_a_list_is_refused(void **state)
{
    static const char *const lines[] = {
        "--allow-host= x", "--allow-host=a.org, x",       "--deny-host=,a.org x",
        "--require= x",    "--require=userns,,seccomp x",
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct line line;
        assert_int_equal(parse(&line, run_groups, SB_ARGS_COMMAND, lines[i]), -1);
        assert_non_null(strstr(line.err.text, "is empty"));
        sb_args_done(&line.args);
    }
}

static void a_choice_that_does_not_exist_is_answered_with_those_that_do(void **state)
{
    struct line line;
    (void)state;
    assert_int_equal(parse(&line, run_groups, SB_ARGS_COMMAND, "--driver docker x"), -1);
    assert_string_equal(line.err.text,
                        "option --driver: \"docker\" is none of native, bwrap, chroot, lima");
    assert_int_equal(parse(&line, run_groups, SB_ARGS_COMMAND, "--driver Native x"), -1);
    assert_string_equal(line.err.text,
                        "option --driver: \"Native\" is none of native, bwrap, chroot, lima; did "
                        "you mean native?");
}

static void numbers_have_units_and_bounds(void **state)
{
    struct line line;
    (void)state;
    assert_int_equal(parse(&line, run_groups, SB_ARGS_COMMAND,
                           "--memory 512m --cpu 0.5 --pids 9 --timeout 1m x"),
                     0);
    assert_int_equal(line.args.memory_bytes, 512 << 20);
    assert_int_equal(line.args.cpu_millis, 500);
    assert_int_equal(line.args.pids, 9);
    assert_int_equal(line.args.timeout_ms, 60000);
    assert_int_equal(parse(&line, run_groups, SB_ARGS_COMMAND, "--memory 1k x"), -1);
    assert_non_null(strstr(line.err.text, "option --memory"));
    assert_int_equal(parse(&line, run_groups, SB_ARGS_COMMAND, "--timeout 30 x"), -1);
    assert_int_equal(line.err.code, SB_INVALID);
}

static void unknown_option_suggests_the_nearest(void **state)
{
    struct line line;
    (void)state;
    assert_int_equal(parse(&line, run_groups, SB_ARGS_COMMAND, "--worksapce x"), -1);
    assert_string_equal(line.err.text, "there is no option --worksapce; did you mean --workspace?");
    assert_int_equal(parse(&line, run_groups, SB_ARGS_COMMAND, "-Z x"), -1);
    assert_string_equal(line.err.text, "there is no option -Z");
}

static void missing_and_needless_values_are_refused(void **state)
{
    struct line line;
    (void)state;
    assert_int_equal(parse(&line, run_groups, SB_ARGS_COMMAND, "--profile"), -1);
    assert_string_equal(line.err.text, "option --profile needs a value: NAME");
    assert_int_equal(parse(&line, run_groups, SB_ARGS_COMMAND, "--verbose=1 x"), -1);
    assert_string_equal(line.err.text, "option --verbose takes no value");
}

static void choices_are_checked(void **state)
{
    struct line line;
    (void)state;
    assert_int_equal(parse(&line, run_groups, SB_ARGS_COMMAND, "--network none x"), 0);
    assert_int_equal(parse(&line, run_groups, SB_ARGS_COMMAND, "--network nnoe x"), -1);
    assert_non_null(strstr(line.err.text, "none of none, limited; did you mean none?"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_end_at_the_command),
        cmocka_unit_test(double_dash_before_the_command_is_dropped),
        cmocka_unit_test(exec_takes_options_around_the_sandbox_and_not_in_the_command),
        cmocka_unit_test(options_and_operands_mix_where_there_is_no_command),
        cmocka_unit_test(every_spelling_of_a_value_is_read),
        cmocka_unit_test(repeated_and_comma_options_are_collected_in_order),
        cmocka_unit_test(an_empty_entry_of_a_list_is_refused),
        cmocka_unit_test(a_choice_that_does_not_exist_is_answered_with_those_that_do),
        cmocka_unit_test(numbers_have_units_and_bounds),
        cmocka_unit_test(unknown_option_suggests_the_nearest),
        cmocka_unit_test(missing_and_needless_values_are_refused),
        cmocka_unit_test(choices_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
