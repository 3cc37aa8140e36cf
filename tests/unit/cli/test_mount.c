#include <string.h>

#include "base/err.h"
#include "cli/mount.h"
#include "testing.h"

static void assert_str(struct sb_str got, const char *want)
{
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.ptr == NULL ? "" : got.ptr, want, got.len);
}

static void parses_every_form(void **state)
{
    static const struct {
        const char *text;
        const char *source;
        const char *target;
        enum sb_mount_mode mode;
    } rows[] = {
        {"/data", "/data", "", SB_MOUNT_UNSAID},
        {"/data:rw", "/data", "", SB_MOUNT_RW},
        {"/data:/workspace:overlay", "/data", "/workspace", SB_MOUNT_OVERLAY},
        {"data:/in", "data", "/in", SB_MOUNT_UNSAID},
        {"./data:/in:ro", "./data", "/in", SB_MOUNT_RO},
        {"/a b:/c d:rw", "/a b", "/c d", SB_MOUNT_RW},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sb_mount_text mount;
        struct sb_err err;
        assert_int_equal(sb_mount_parse(sb_str_from(rows[i].text), &mount, &err), 0);
        assert_str(mount.source, rows[i].source);
        assert_str(mount.target, rows[i].target);
        assert_int_equal(mount.mode, rows[i].mode);
    }
}

static void refuses_what_is_not_a_mount(void **state)
{
    static const char *const texts[] = {
        "", ":/in", "/data:", "/data:in", "/data:/in:rx", "/data:/in:/more", ":ro", "/d:/in:ro:rw"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct sb_mount_text mount;
        struct sb_err err = {0};
        assert_int_equal(sb_mount_parse(sb_str_from(texts[i]), &mount, &err), -1);
        assert_int_equal(err.code, SB_INVALID);
    }
}

static void workspace_goes_to_one_place(void **state)
{
    struct sb_mount_text mount;
    struct sb_err err;
    (void)state;
    assert_int_equal(sb_mount_parse_workspace(SB_STR("src:ro"), &mount, &err), 0);
    assert_str(mount.source, "src");
    assert_str(mount.target, "/workspace");
    assert_int_equal(mount.mode, SB_MOUNT_RO);
    assert_int_equal(sb_mount_parse_workspace(SB_STR("."), &mount, &err), 0);
    assert_int_equal(mount.mode, SB_MOUNT_UNSAID);
    assert_int_equal(sb_mount_parse_workspace(SB_STR(":ro"), &mount, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_every_form),
        cmocka_unit_test(refuses_what_is_not_a_mount),
        cmocka_unit_test(workspace_goes_to_one_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
