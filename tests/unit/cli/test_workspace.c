#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "cli/arena.h"
#include "cli/args.h"
#include "cli/workspace.h"
#include "testing.h"

/* A directory tree of its own: TOP/project/tool, TOP/elsewhere/tool; the test stands in project. */
struct tree {
    char top[64];
    char project[80];
    char tool[96];
    char other[96];
    struct sb_arena arena;
    struct sb_err err;
};

static void touch(const char *path)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
    assert_true(fd >= 0);
    (void)close(fd);
}

static int setup(void **state)
{
    static struct tree tree;
    tree = (struct tree){.top = "/tmp/aisbx-test-workspace.XXXXXX"};
    assert_non_null(mkdtemp(tree.top));
    (void)snprintf(tree.project, sizeof tree.project, "%s/project", tree.top);
    (void)snprintf(tree.tool, sizeof tree.tool, "%s/tool", tree.project);
    (void)snprintf(tree.other, sizeof tree.other, "%s/elsewhere", tree.top);
    assert_int_equal(mkdir(tree.project, 0755), 0);
    assert_int_equal(mkdir(tree.other, 0755), 0);
    (void)snprintf(tree.other, sizeof tree.other, "%s/elsewhere/tool", tree.top);
    touch(tree.tool);
    touch(tree.other);
    assert_int_equal(chdir(tree.project), 0);
    assert_int_equal(setenv("HOME", "/nonexistent", 1), 0);
    *state = &tree;
    return 0;
}

static int teardown(void **state)
{
    struct tree *tree = *state;
    sb_arena_done(&tree->arena);
    (void)unlink(tree->tool);
    (void)unlink(tree->other);
    *strrchr(tree->other, '/') = '\0';
    (void)rmdir(tree->other);
    (void)rmdir(tree->project);
    (void)rmdir(tree->top);
    return chdir("/");
}

static void system_directories_are_not_taken_unasked(void **state)
{
    static const char *const refused[] = {"/",    "/usr",  "/usr/share", "/etc",      "/etc/ssl",
                                          "/var", "/home", "/tmp",       "/run/aisbx"};
    static const char *const fine[] = {
        "/home/me/project", "/tmp/x", "/var/lib/x", "/usr/src/x",
        "/opt/x",           "/usrx",  "/srv",       "/run/user/1000/x"};
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        assert_non_null(sb_workspace_objection(refused[i]));
    }
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
        assert_null(sb_workspace_objection(fine[i]));
    }
}

static void the_current_directory_is_the_workspace(void **state)
{
    struct tree *tree = *state;
    struct sb_args args = {0};
    struct sb_workspace workspace;
    assert_int_equal(sb_workspace_choose(&args, NULL, false, &tree->arena, &workspace, &tree->err),
                     0);
    assert_string_equal(workspace.source, tree->project);
    assert_int_equal(workspace.mode, SB_MOUNT_UNSAID);
    assert_null(workspace.note);
}

static void the_home_directory_is_not_and_a_note_says_why(void **state)
{
    struct tree *tree = *state;
    struct sb_args args = {0};
    struct sb_workspace workspace;
    assert_int_equal(setenv("HOME", tree->project, 1), 0);
    assert_int_equal(sb_workspace_choose(&args, NULL, false, &tree->arena, &workspace, &tree->err),
                     0);
    assert_null(workspace.source);
    assert_string_equal(workspace.note, "it is your home directory");
}

static void a_remote_worker_gets_none_and_a_note_says_why(void **state)
{
    struct tree *tree = *state;
    struct sb_args args = {0};
    struct sb_workspace workspace;
    assert_int_equal(sb_workspace_choose(&args, NULL, true, &tree->arena, &workspace, &tree->err),
                     0);
    assert_null(workspace.source);
    assert_string_equal(workspace.note, "the worker is on another machine");
}

static void minimal_has_none_unless_asked_for(void **state)
{
    struct tree *tree = *state;
    struct sb_args args = {0};
    struct sb_workspace workspace;
    assert_int_equal(
        sb_workspace_choose(&args, "minimal", false, &tree->arena, &workspace, &tree->err), 0);
    assert_null(workspace.source);
    assert_null(workspace.note);
    args.workspace = ".";
    assert_int_equal(
        sb_workspace_choose(&args, "minimal", false, &tree->arena, &workspace, &tree->err), 0);
    assert_string_equal(workspace.source, tree->project);
    assert_int_equal(workspace.mode, SB_MOUNT_RO);
}

static void a_named_directory_must_be_one(void **state)
{
    struct tree *tree = *state;
    struct sb_args args = {.workspace = "../project:ro"};
    struct sb_workspace workspace;
    assert_int_equal(sb_workspace_choose(&args, NULL, false, &tree->arena, &workspace, &tree->err),
                     0);
    assert_string_equal(workspace.source, tree->project);
    assert_int_equal(workspace.mode, SB_MOUNT_RO);
    args.workspace = "tool";
    assert_int_equal(sb_workspace_choose(&args, NULL, false, &tree->arena, &workspace, &tree->err),
                     -1);
    assert_non_null(strstr(tree->err.text, "Not a directory"));
    args.workspace = "absent";
    assert_int_equal(sb_workspace_choose(&args, NULL, false, &tree->arena, &workspace, &tree->err),
                     -1);
    assert_int_equal(tree->err.code, SB_NOT_FOUND);
    args.no_workspace = true;
    assert_int_equal(sb_workspace_choose(&args, NULL, false, &tree->arena, &workspace, &tree->err),
                     -1);
    assert_int_equal(tree->err.code, SB_INVALID);
}

static struct sb_workspace_command locate(struct tree *tree, const char *command)
{
    struct sb_workspace workspace = {.source = tree->project};
    struct sb_workspace_command found;
    assert_int_equal(sb_workspace_locate(&workspace, command, &tree->arena, &found, &tree->err), 0);
    return found;
}

static void names_and_relative_paths_stay(void **state)
{
    assert_string_equal(locate(*state, "python3").path, "python3");
    assert_string_equal(locate(*state, "./tool").path, "./tool");
    assert_null(locate(*state, "./tool").bind);
}

static void a_command_below_the_workspace_is_found_there(void **state)
{
    struct tree *tree = *state;
    struct sb_workspace_command found = locate(tree, tree->tool);
    assert_string_equal(found.path, "/workspace/tool");
    assert_null(found.bind);
}

static void a_path_that_only_looks_below_the_workspace_is_bound(void **state)
{
    struct tree *tree = *state;
    char crooked[160];
    (void)snprintf(crooked, sizeof crooked, "%s/../elsewhere/tool", tree->project);
    struct sb_workspace_command found = locate(tree, crooked);
    assert_string_equal(found.path, tree->other);
    assert_string_equal(found.bind, tree->other);
}

static void a_command_of_the_system_or_of_the_sandbox_stays(void **state)
{
    assert_string_equal(locate(*state, "/usr/bin/env").path, "/usr/bin/env");
    assert_null(locate(*state, "/usr/bin/env").bind);
    assert_string_equal(locate(*state, "/workspace/made/inside").path, "/workspace/made/inside");
    assert_null(locate(*state, "/workspace/made/inside").bind);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(system_directories_are_not_taken_unasked),
        TEST(the_current_directory_is_the_workspace),
        TEST(the_home_directory_is_not_and_a_note_says_why),
        TEST(a_remote_worker_gets_none_and_a_note_says_why),
        TEST(minimal_has_none_unless_asked_for),
        TEST(a_named_directory_must_be_one),
        TEST(names_and_relative_paths_stay),
        TEST(a_command_below_the_workspace_is_found_there),
        TEST(a_path_that_only_looks_below_the_workspace_is_bound),
        TEST(a_command_of_the_system_or_of_the_sandbox_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
