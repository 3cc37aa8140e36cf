/* What a sandbox made, applied to a directory in which anything may lie. Below "top" is what may be
 * changed, beside it what may not. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "cli/apply.h"
#include "testing.h"

static char dir[] = "/tmp/aisbx-apply.XXXXXX";
static struct sb_apply apply;

static void shell(const char *script)
{
    char command[2048];
    (void)snprintf(command, sizeof command, "cd %s && %s", dir, script);
    assert_int_equal(system(command), 0);
}

static bool holds(const char *script)
{
    char command[2048];
    (void)snprintf(command, sizeof command, "cd %s && %s", dir, script);
    return system(command) == 0;
}

static int make(void **state)
{
    char top[64];
    struct sb_err err;
    (void)state;
    memcpy(strrchr(dir, '.') + 1, "XXXXXX", 6);
    if (mkdtemp(dir) == NULL) {
        return -1;
    }
    shell("mkdir -p top/sub/in beside && echo mine >beside/f && echo old >top/f && "
          "echo deep >top/sub/in/g && ln -s ../beside top/out && ln -s ../beside/f top/link");
    (void)snprintf(top, sizeof top, "%s/top", dir);
    return sb_apply_open(top, &apply, &err);
}

static int end(void **state)
{
    (void)state;
    sb_apply_done(&apply);
    shell("chmod -R u+rwx . && rm -r top beside");
    return rmdir(dir);
}

static int write_file(const char *path, bool is_new, unsigned mode, struct sb_err *err)
{
    const struct sb_apply_change change = {.path = path,
                                           .link = "",
                                           .kind = SB_APPLY_FILE,
                                           .is_new = is_new,
                                           .mode = mode,
                                           .size = 3,
                                           .time = {.tv_sec = 1000000000}};
    return sb_apply_begin(&apply, &change, err) < 0 ||
                   sb_apply_data(&apply, 0, "new", 3, err) < 0 ||
                   sb_apply_end(&apply, &change, err) < 0
               ? -1
               : 0;
}

static int do_other(const char *path, enum sb_apply_kind kind, bool is_removal, struct sb_err *err)
{
    const struct sb_apply_change change = {
        .path = path, .link = "/etc/passwd", .kind = kind, .is_removal = is_removal, .mode = 0755};
    return sb_apply_begin(&apply, &change, err);
}

static void assert_refused(int rc, const struct sb_err *err, enum sb_code code, const char *has)
{
    assert_int_equal(rc, -1);
    assert_int_equal(err->code, code);
    if (strstr(err->text, has) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", has, err->text);
    }
}

static void nothing_is_changed_through_a_link(void **state)
{
    static const char through[] = "a link is on its way";
    struct sb_err err;
    (void)state;
    assert_refused(write_file("out/f", false, 0644, &err), &err, SB_DENIED, through);
    assert_refused(write_file("out/new", true, 0644, &err), &err, SB_DENIED, through);
    assert_refused(do_other("out/f", SB_APPLY_FILE, true, &err), &err, SB_DENIED, through);
    assert_refused(do_other("out/d", SB_APPLY_DIR, false, &err), &err, SB_DENIED, through);
    assert_refused(do_other("out/l", SB_APPLY_SYMLINK, false, &err), &err, SB_DENIED, through);
    assert_true(holds("test \"$(ls beside)\" = f && grep -q mine beside/f"));
}

static void a_link_is_replaced_and_not_written_through(void **state)
{
    struct sb_err err;
    (void)state;
    assert_int_equal(write_file("link", false, 0644, &err), 0);
    assert_int_equal(do_other("out", SB_APPLY_DIR, false, &err), 0);
    assert_true(holds("test ! -L top/link && grep -q new top/link && grep -q mine beside/f && "
                      "test ! -L top/out && test -d top/out"));
}

static void paths_that_lead_out_are_none(void **state)
{
    static const char *const bad[] = {"../beside/f",        "/etc/x", "",     ".", "..",
                                      "sub/../../beside/f", "sub//x", "sub/", "f/"};
    struct sb_err err;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_refused(do_other(bad[i], SB_APPLY_FILE, true, &err), &err, SB_INVALID, "no path");
    }
    assert_true(holds("grep -q mine beside/f && grep -q old top/f"));
}

static void a_file_is_there_when_it_is_whole(void **state)
{
    struct sb_err err;
    const struct sb_apply_change change = {
        .path = "f", .link = "", .kind = SB_APPLY_FILE, .mode = 06755, .size = 10};
    (void)state;
    assert_int_equal(sb_apply_begin(&apply, &change, &err), 0);
    assert_int_equal(sb_apply_data(&apply, 4, "end", 3, &err), 0);
    assert_true(holds("grep -q old top/f"));
    assert_int_equal(sb_apply_end(&apply, &change, &err), 0);
    assert_true(holds("test \"$(stat -c '%a %s' top/f)\" = '755 10'"));
    assert_int_equal(sb_apply_begin(&apply, &change, &err), 0);
    sb_apply_finish(&apply); /* it was cut */
    assert_true(
        holds("test \"$(stat -c %s top/f)\" = 10 && test -z \"$(ls -A top | grep aisbx)\""));
}

static void what_the_sandbox_has_not_seen_stays(void **state)
{
    struct sb_err err;
    const struct sb_apply_change new_dir = {
        .path = "f", .link = "", .kind = SB_APPLY_DIR, .is_new = true, .mode = 0755};
    (void)state;
    assert_refused(write_file("sub", true, 0644, &err), &err, SB_PRECONDITION, "not seen");
    assert_refused(sb_apply_begin(&apply, &new_dir, &err), &err, SB_PRECONDITION, "not seen");
    assert_true(holds("test -e top/sub/in/g && grep -q old top/f && test -z \"$(ls -A top | grep "
                      "aisbx)\""));
    assert_int_equal(write_file("sub", false, 0644, &err), 0); /* it has */
    assert_true(holds("grep -q new top/sub"));
}

static void a_tree_goes_without_what_its_links_lead_to(void **state)
{
    struct sb_err err;
    (void)state;
    shell("ln -s ../../beside top/sub/in/l && ln -s ../beside top/gone");
    assert_int_equal(do_other("sub", SB_APPLY_DIR, true, &err), 0);
    assert_int_equal(do_other("gone", SB_APPLY_DIR, true, &err), 0);
    assert_int_equal(do_other("never/was", SB_APPLY_FILE, true, &err), -1);
    assert_int_equal(do_other("was", SB_APPLY_FILE, true, &err), 0);
    assert_true(holds("test ! -e top/sub && test ! -L top/gone && grep -q mine beside/f"));
}

static void directories_that_cannot_be_written_are_filled_first(void **state)
{
    struct sb_err err;
    const struct sb_apply_change change = {
        .path = "d", .link = "", .kind = SB_APPLY_DIR, .is_new = true, .mode = 0500};
    (void)state;
    assert_int_equal(sb_apply_begin(&apply, &change, &err), 0);
    assert_int_equal(write_file("d/x", true, 0400, &err), 0);
    sb_apply_finish(&apply);
    assert_true(holds("test \"$(stat -c %a top/d top/d/x | xargs)\" = '500 400'"));
}

static void only_files_directories_and_links_are_made(void **state)
{
    struct sb_err err;
    (void)state;
    assert_refused(do_other("p", SB_APPLY_OTHER, false, &err), &err, SB_DENIED, "is neither");
    assert_int_equal(do_other("l", SB_APPLY_SYMLINK, false, &err), 0);
    assert_true(holds("test ! -e top/p && test \"$(readlink top/l)\" = /etc/passwd"));
}

static void the_directory_is_no_link(void **state)
{
    char path[96];
    struct sb_apply other;
    struct sb_err err;
    (void)state;
    (void)snprintf(path, sizeof path, "%s/top/out", dir);
    assert_refused(sb_apply_open(path, &other, &err), &err, SB_DENIED, "a link is on its way now");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_changed_through_a_link),
        TEST(a_link_is_replaced_and_not_written_through),
        TEST(paths_that_lead_out_are_none),
        TEST(a_file_is_there_when_it_is_whole),
        TEST(what_the_sandbox_has_not_seen_stays),
        TEST(a_tree_goes_without_what_its_links_lead_to),
        TEST(directories_that_cannot_be_written_are_filled_first),
        TEST(only_files_directories_and_links_are_made),
        TEST(the_directory_is_no_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
