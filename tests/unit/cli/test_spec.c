#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "cli/args.h"
#include "cli/spec.h"
#include "testing.h"

static struct sb_spec spec;
static struct sb_args args;
static struct sb_err err;

static int setup(void **state)
{
    (void)state;
    spec = (struct sb_spec){0};
    args = (struct sb_args){.no_workspace = true};
    err = (struct sb_err){0};
    return unsetenv("AISBX_DEFAULT_PROFILE");
}

static int teardown(void **state)
{
    (void)state;
    sb_spec_done(&spec);
    sb_args_done(&args);
    return 0;
}

static void nothing_said_leaves_everything_to_the_worker(void **state)
{
    (void)state;
    assert_int_equal(sb_spec_sandbox(&spec, &args, &err), 0);
    assert_string_equal(spec.sandbox.profile, "");
    assert_int_equal(spec.sandbox.n_mounts, 0);
    assert_null(spec.sandbox.network);
    assert_int_equal(spec.sandbox.limits->memory_bytes, 0);
}

static void the_variable_names_the_profile_and_the_option_wins(void **state)
{
    (void)state;
    assert_int_equal(setenv("AISBX_DEFAULT_PROFILE", "go-dev", 1), 0);
    assert_int_equal(sb_spec_sandbox(&spec, &args, &err), 0);
    assert_string_equal(spec.sandbox.profile, "go-dev");
    args.profile = "strict";
    assert_int_equal(sb_spec_sandbox(&spec, &args, &err), 0);
    assert_string_equal(spec.sandbox.profile, "strict");
}

static void options_become_fields(void **state)
{
    (void)state;
    args.memory_bytes = 512 << 20;
    args.network = "none";
    args.ttl_ms = 7;
    assert_int_equal(sb_args_push(&args.require, "seccomp", &err), 0);
    assert_int_equal(sb_args_push(&args.labels, "team=red", &err), 0);
    assert_int_equal(sb_args_push(&args.mounts, "/usr/share:/data:rw", &err), 0);
    assert_int_equal(sb_spec_sandbox(&spec, &args, &err), 0);
    assert_int_equal(spec.sandbox.limits->memory_bytes, 512 << 20);
    assert_int_equal(spec.sandbox.network->mode, AISBX__V1__NETWORK_MODE__NETWORK_MODE_NONE);
    assert_int_equal(spec.sandbox.ttl_ms, 7);
    assert_int_equal(spec.sandbox.require[0], AISBX__V1__CONTROL__CONTROL_SECCOMP);
    assert_string_equal(spec.sandbox.labels[0]->key, "team");
    assert_string_equal(spec.sandbox.labels[0]->value, "red");
    assert_int_equal(spec.sandbox.n_mounts, 1);
    assert_string_equal(spec.sandbox.mounts[0]->source, "/usr/share");
    assert_string_equal(spec.sandbox.mounts[0]->target, "/data");
    assert_int_equal(spec.sandbox.mounts[0]->mode, AISBX__V1__MOUNT_MODE__MOUNT_MODE_RW);
}

static void commas_within_a_package_are_its_own(void **state)
{
    (void)state;
    static const char *const pieces[] = {"a",         "numpy>=1.26", "<2",      "!=1.30",
                                         "uvicorn[x", "y]==1",       "npm:b@^2"};
    static const char *const packages[] = {"a", "numpy>=1.26,<2,!=1.30", "uvicorn[x,y]==1",
                                           "npm:b@^2"};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        assert_int_equal(sb_args_push(&args.packages, pieces[i], &err), 0);
    }
    assert_int_equal(sb_spec_sandbox(&spec, &args, &err), 0);
    assert_int_equal(spec.sandbox.n_packages, 4);
    for (size_t i = 0; i < spec.sandbox.n_packages; i++) {
        assert_string_equal(spec.sandbox.packages[i], packages[i]);
    }
}

static void a_mount_that_is_not_there_is_an_error_that_names_it(void **state)
{
    (void)state;
    assert_int_equal(sb_args_push(&args.mounts, "/nonexistent/x", &err), 0);
    assert_int_equal(sb_spec_sandbox(&spec, &args, &err), -1);
    assert_string_equal(err.text, "option --mount: /nonexistent/x: No such file or directory");
}

static void env_options_win_over_env_files(void **state)
{
    char path[] = "/tmp/aisbx-test-env.XXXXXX";
    char *words[] = {(char[]){"env"}, NULL};
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "A=file\nB=file\n", 14), 14);
    (void)close(fd);
    assert_int_equal(sb_args_push(&args.env_files, path, &err), 0);
    assert_int_equal(sb_args_push(&args.env, "A=option", &err), 0);
    args.timeout_ms = 5;
    assert_int_equal(sb_spec_exec(&spec, &args, words, &err), 0);
    (void)unlink(path);
    assert_int_equal(spec.exec.n_env, 2);
    assert_string_equal(spec.exec.env[0]->value, "option");
    assert_string_equal(spec.exec.env[1]->value, "file");
    assert_int_equal(spec.exec.wall_ms, 5);
    assert_int_equal(spec.exec.command->n_args, 1);
}

static void a_command_of_the_host_is_bound_unless_a_mount_has_it(void **state)
{
    char path[] = "/tmp/aisbx-test-tool.XXXXXX";
    char *words[] = {path, NULL};
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_int_equal(sb_spec_sandbox(&spec, &args, &err), 0);
    assert_int_equal(sb_spec_exec(&spec, &args, words, &err), 0);
    assert_int_equal(sb_spec_bind_command(&spec, &err), 0);
    assert_int_equal(spec.sandbox.n_mounts, 1);
    assert_string_equal(spec.sandbox.mounts[0]->target, path);
    assert_int_equal(spec.sandbox.mounts[0]->mode, AISBX__V1__MOUNT_MODE__MOUNT_MODE_RO);

    sb_spec_done(&spec);
    spec = (struct sb_spec){0};
    words[0] = path; /* what stood there was the arena's */
    assert_int_equal(sb_args_push(&args.mounts, path, &err), 0);
    assert_int_equal(sb_spec_sandbox(&spec, &args, &err), 0);
    assert_int_equal(sb_spec_exec(&spec, &args, words, &err), 0);
    assert_int_equal(sb_spec_bind_command(&spec, &err), 0);
    assert_int_equal(spec.sandbox.n_mounts, 1);
    (void)unlink(path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_said_leaves_everything_to_the_worker),
        TEST(the_variable_names_the_profile_and_the_option_wins),
        TEST(options_become_fields),
        TEST(commas_within_a_package_are_its_own),
        TEST(a_mount_that_is_not_there_is_an_error_that_names_it),
        TEST(env_options_win_over_env_files),
        TEST(a_command_of_the_host_is_bound_unless_a_mount_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
