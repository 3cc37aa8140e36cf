#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "service/spawner/drivers/bwrap_command.h"
#include "service/spawner/drivers/bwrap_probe.h"
#include "service/spawner/plan.h"

static struct sb_bwrap_command command;

static void compile(const struct sb_plan *plan, bool has_disable_userns)
{
    const struct sb_bwrap bwrap = {.has_disable_userns = has_disable_userns};
    struct sb_err err;
    assert_int_equal(sb_bwrap_compile(plan, &bwrap, &command, &err), 0);
    assert_null(command.words[command.n]);
}

static bool has(const char *first, const char *second, const char *third)
{
    for (size_t i = 0; i + 2 < command.n; i++) {
        if (strcmp(command.words[i], first) == 0 &&
            (second == NULL || strcmp(command.words[i + 1], second) == 0) &&
            (third == NULL || strcmp(command.words[i + 2], third) == 0)) {
            return true;
        }
    }
    return false;
}

static size_t at(const char *word, const char *next)
{
    for (size_t i = 0; i + 1 < command.n; i++) {
        if (strcmp(command.words[i], word) == 0 && strcmp(command.words[i + 1], next) == 0) {
            return i;
        }
    }
    fail_msg("no %s %s", word, next);
    return 0;
}

static struct sb_plan good(void)
{
    return (struct sb_plan){.hostname = "box", .has_workspace = true, .workspace_is_tmpfs = true};
}

static void makes_all_namespaces_and_leaves_no_right(void **state)
{
    (void)state;
    static const char *const wanted[] = {"--unshare-user", "--unshare-pid",    "--unshare-ipc",
                                         "--unshare-uts",  "--unshare-cgroup", "--die-with-parent",
                                         "--new-session",  "--as-pid-1",       "--clearenv"};
    struct sb_plan plan = good();
    compile(&plan, true);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        assert_true(has(wanted[i], NULL, NULL));
    }
    assert_true(has("--cap-drop", "ALL", NULL));
    assert_true(has("--hostname", "box", NULL));
    assert_true(has("--disable-userns", NULL, NULL));
    compile(&plan, false);
    assert_false(has("--disable-userns", NULL, NULL));
}

static void puts_the_allowing_filter_on_first_and_starts_init(void **state)
{
    (void)state;
    struct sb_plan plan = good();
    compile(&plan, true);
    (void)at("--add-seccomp-fd", "6");
    assert_string_equal(command.words[command.n - 2], "--");
    assert_string_equal(command.words[command.n - 1], "/proc/self/fd/5");
}

static void makes_the_root_read_only_after_everything_else(void **state)
{
    (void)state;
    struct sb_plan plan = good();
    compile(&plan, true);
    size_t last = at("--remount-ro", "/");
    for (size_t i = last + 2; i < command.n; i++) {
        assert_string_not_equal(command.words[i], "--bind");
        assert_string_not_equal(command.words[i], "--ro-bind");
        assert_string_not_equal(command.words[i], "--dir");
    }
    assert_true(at("--dev-bind", "/tmp/dev") < at("--remount-ro", "/dev"));
}

static void binds_what_was_staged_as_the_plan_says(void **state)
{
    (void)state;
    struct sb_plan plan = good();
    plan.workspace_is_tmpfs = false;
    plan.n_mounts = 3;
    plan.mounts[0] = (struct sb_plan_mount){"/home/u", "/workspace", true, false};
    plan.mounts[1] = (struct sb_plan_mount){"/srv", "/data/srv", false, false};
    plan.mounts[2] = (struct sb_plan_mount){"/srv", "/tmp/srv", false, false};
    compile(&plan, true);
    assert_true(has("--bind", "/tmp/workspace", "/workspace"));
    assert_true(has("--ro-bind", "/tmp/data/srv", "/data/srv"));
    assert_true(has("--bind", "/tmp/tmp", "/tmp"));
    assert_false(has("--ro-bind", "/tmp/tmp/srv", NULL)); /* comes with /tmp */
    assert_false(has("--ro-bind", "/home/u", NULL));      /* never the host's path */
    assert_true(has("--chdir", "/workspace", NULL));
}

static void keeps_a_read_only_workspace_read_only(void **state)
{
    (void)state;
    struct sb_plan plan = good();
    plan.workspace_read_only = true;
    compile(&plan, true);
    assert_true(has("--ro-bind", "/tmp/workspace", "/workspace"));
}

static void shows_no_documents_in_the_minimal_root(void **state)
{
    (void)state;
    struct sb_plan plan = good();
    plan.is_minimal = true;
    plan.has_workspace = plan.workspace_is_tmpfs = false;
    compile(&plan, true);
    assert_false(has("--ro-bind", "/usr", "/usr"));
    assert_true(has("--ro-bind", "/usr/bin", "/usr/bin"));
    assert_true(has("--chdir", "/", NULL));
    assert_false(has("--bind", "/tmp/workspace", NULL));
}

static void covers_parts_of_proc_after_it_is_mounted(void **state)
{
    (void)state;
    struct sb_plan plan = good();
    compile(&plan, true);
    assert_true(has("--ro-bind", "/proc/sys", "/proc/sys"));
    assert_true(has("--ro-bind", "/tmp/run/file", "/proc/cmdline"));
    assert_true(at("--proc", "/proc") < at("--ro-bind", "/proc/sys"));
}

static void has_room_for_the_longest_plan(void **state)
{
    (void)state;
    static char target[SB_PLAN_MAX_PATH + 1];
    const struct sb_bwrap bwrap = {.has_disable_userns = true};
    struct sb_err err;
    struct sb_plan plan = good();
    memset(target, 'a', sizeof target - 1);
    target[0] = '/';
    plan.n_mounts = SB_PLAN_MAX_MOUNTS;
    for (size_t i = 0; i < SB_PLAN_MAX_MOUNTS; i++) {
        plan.mounts[i] = (struct sb_plan_mount){"/x", target, false, false};
    }
    assert_int_equal(sb_bwrap_compile(&plan, &bwrap, &command, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_all_namespaces_and_leaves_no_right),
        cmocka_unit_test(puts_the_allowing_filter_on_first_and_starts_init),
        cmocka_unit_test(makes_the_root_read_only_after_everything_else),
        cmocka_unit_test(binds_what_was_staged_as_the_plan_says),
        cmocka_unit_test(keeps_a_read_only_workspace_read_only),
        cmocka_unit_test(shows_no_documents_in_the_minimal_root),
        cmocka_unit_test(covers_parts_of_proc_after_it_is_mounted),
        cmocka_unit_test(has_room_for_the_longest_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
