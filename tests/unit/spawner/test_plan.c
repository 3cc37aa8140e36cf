#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/err.h"
#include "service/spawner/plan.h"

/* A good plan with one mount and one limit, and the memory it points into. */
struct fixture {
    Spawn__V1__Plan plan;
    Spawn__V1__HostMount mounts[SB_PLAN_MAX_MOUNTS + 1];
    Spawn__V1__HostMount *mount_pointers[SB_PLAN_MAX_MOUNTS + 1];
    Spawn__V1__Rlimit rlimits[SB_PLAN_MAX_RLIMITS + 1];
    Spawn__V1__Rlimit *rlimit_pointers[SB_PLAN_MAX_RLIMITS + 1];
    char targets[SB_PLAN_MAX_MOUNTS + 1][16];
};

static char id[] = "sb_abc";
static char hostname[] = "box-1";
static char source[] = "/home/u";
static char target[] = "/data";

static void make_good(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    spawn__v1__plan__init(&f->plan);
    for (size_t i = 0; i <= SB_PLAN_MAX_MOUNTS; i++) {
        spawn__v1__host_mount__init(&f->mounts[i]);
        f->mounts[i].source = source;
        f->mounts[i].target = target;
        f->mount_pointers[i] = &f->mounts[i];
    }
    for (size_t i = 0; i <= SB_PLAN_MAX_RLIMITS; i++) {
        spawn__v1__rlimit__init(&f->rlimits[i]);
        f->rlimits[i].resource = RLIMIT_NOFILE;
        f->rlimits[i].value = 100;
        f->rlimit_pointers[i] = &f->rlimits[i];
    }
    f->plan.sandbox_id = id;
    f->plan.hostname = hostname;
    f->plan.driver = SPAWN__V1__DRIVER__DRIVER_NATIVE;
    f->plan.root = SPAWN__V1__ROOT__ROOT_SYSTEM;
    f->plan.workspace = SPAWN__V1__WORKSPACE__WORKSPACE_TMPFS;
    f->plan.disk_bytes = 1U << 20;
    f->plan.inodes = 100;
    f->plan.filter_id = 1;
    f->plan.mounts = f->mount_pointers;
    f->plan.n_mounts = 1;
    f->plan.rlimits = f->rlimit_pointers;
    f->plan.n_rlimits = 1;
}

static void accepts_a_good_plan(void **state)
{
    (void)state;
    struct fixture f;
    struct sb_plan plan;
    struct sb_err err;
    make_good(&f);
    assert_int_equal(sb_plan_check(&f.plan, &plan, &err), 0);
    assert_string_equal(plan.hostname, "box-1");
    assert_int_equal(plan.n_mounts, 1);
    assert_int_equal(plan.n_rlimits, 1);
    assert_true(plan.has_workspace && plan.workspace_is_tmpfs);
}

static void set_id(struct fixture *f)
{
    static char bad[] = "sb/../x";
    f->plan.sandbox_id = bad;
}
static void set_long_id(struct fixture *f)
{
    static char bad[66];
    memset(bad, 'a', sizeof bad - 1);
    f->plan.sandbox_id = bad;
}
static void set_empty_host(struct fixture *f)
{
    static char bad[] = "";
    f->plan.hostname = bad;
}
static void set_host(struct fixture *f)
{
    static char bad[] = "box\n127.0.0.1";
    f->plan.hostname = bad;
}
static void set_driver(struct fixture *f)
{
    f->plan.driver = (Spawn__V1__Driver)-1;
}
static void set_no_driver(struct fixture *f)
{
    f->plan.driver = SPAWN__V1__DRIVER__DRIVER_UNSPECIFIED;
}
static void set_root(struct fixture *f)
{
    f->plan.root = (Spawn__V1__Root)7;
}
static void set_no_root(struct fixture *f)
{
    f->plan.root = SPAWN__V1__ROOT__ROOT_UNSPECIFIED;
}
static void set_workspace(struct fixture *f)
{
    f->plan.workspace = (Spawn__V1__Workspace)7;
}
static void set_negative_workspace(struct fixture *f)
{
    f->plan.workspace = (Spawn__V1__Workspace)-1;
}
static void set_workspace_without_mount(struct fixture *f)
{
    f->plan.workspace = SPAWN__V1__WORKSPACE__WORKSPACE_MOUNT;
}
static void set_mount_without_workspace(struct fixture *f)
{
    static char at[] = "/workspace";
    f->mounts[0].target = at;
}
static void set_overlay_without_mount(struct fixture *f)
{
    f->plan.workspace = SPAWN__V1__WORKSPACE__WORKSPACE_OVERLAY;
}
static void set_writable_overlay(struct fixture *f)
{
    set_mount_without_workspace(f);
    set_overlay_without_mount(f);
    f->mounts[0].writable = 1;
}
static void set_read_only_overlay(struct fixture *f)
{
    set_mount_without_workspace(f);
    set_overlay_without_mount(f);
    f->mounts[0].writable = 0;
    f->plan.workspace_read_only = 1;
}
static void set_small_disk(struct fixture *f)
{
    f->plan.disk_bytes = (64U << 10) - 1;
}
static void set_large_disk(struct fixture *f)
{
    f->plan.disk_bytes = (1ULL << 40) + 1;
}
static void set_few_inodes(struct fixture *f)
{
    f->plan.inodes = 15;
}
static void set_many_inodes(struct fixture *f)
{
    f->plan.inodes = 100000001;
}
static void set_little_memory(struct fixture *f)
{
    f->plan.memory_bytes = (1U << 20) - 1;
}
static void set_much_memory(struct fixture *f)
{
    f->plan.memory_bytes = (1ULL << 40) + 1;
}
static void set_much_swap(struct fixture *f)
{
    f->plan.swap_bytes = (1ULL << 40) + 1;
}
static void set_small_quota(struct fixture *f)
{
    f->plan.cpu_quota_us = 999;
}
static void set_large_quota(struct fixture *f)
{
    f->plan.cpu_quota_us = 1024ULL * 100000 + 1;
}
static void set_heavy_weight(struct fixture *f)
{
    f->plan.cpu_weight = 10001;
}
static void set_many_pids(struct fixture *f)
{
    f->plan.pids = (1U << 22) + 1;
}
static void set_slow_disk(struct fixture *f)
{
    f->plan.io_write_bytes = 1023;
}
static void set_heavy_io(struct fixture *f)
{
    f->plan.io_weight = 10001;
}
static void set_privileged_port(struct fixture *f)
{
    f->plan.egress_port = 1023;
}
static void set_large_port(struct fixture *f)
{
    f->plan.egress_port = 65536;
}
static void set_no_filter(struct fixture *f)
{
    f->plan.filter_id = 0;
}
static void set_many_mounts(struct fixture *f)
{
    f->plan.n_mounts = SB_PLAN_MAX_MOUNTS + 1;
}
static void set_many_rlimits(struct fixture *f)
{
    f->plan.n_rlimits = SB_PLAN_MAX_RLIMITS + 1;
}
static void set_address_space(struct fixture *f)
{
    f->rlimits[0].resource = RLIMIT_AS;
}
static void set_core(struct fixture *f)
{
    f->rlimits[0].resource = RLIMIT_CORE;
}
static void set_huge_resource(struct fixture *f)
{
    f->rlimits[0].resource = UINT32_MAX;
}
static void set_relative_source(struct fixture *f)
{
    static char bad[] = "home";
    f->mounts[0].source = bad;
}
static void set_root_source(struct fixture *f)
{
    static char bad[] = "/";
    f->mounts[0].source = bad;
}
static void set_dotted_source(struct fixture *f)
{
    static char bad[] = "/home/../etc";
    f->mounts[0].source = bad;
}
static void set_same_targets(struct fixture *f)
{
    f->plan.n_mounts = 2;
}
static void set_nested_targets(struct fixture *f)
{
    static char at[] = "/data/below";
    f->mounts[1].target = at;
    f->plan.n_mounts = 2;
}

static void refuses_each_bad_field_by_name(void **state)
{
    (void)state;
    static const struct {
        void (*spoil)(struct fixture *f);
        const char *field;
    } rows[] = {
        {set_id, "sandbox_id"},
        {set_long_id, "sandbox_id"},
        {set_empty_host, "hostname"},
        {set_host, "hostname"},
        {set_driver, "driver"},
        {set_no_driver, "driver"},
        {set_root, "root"},
        {set_no_root, "root"},
        {set_workspace, "workspace"},
        {set_negative_workspace, "workspace"},
        {set_workspace_without_mount, "workspace"},
        {set_mount_without_workspace, "workspace"},
        {set_overlay_without_mount, "workspace"},
        {set_writable_overlay, "mounts.writable"},
        {set_read_only_overlay, "mounts.writable"},
        {set_small_disk, "disk_bytes"},
        {set_large_disk, "disk_bytes"},
        {set_few_inodes, "inodes"},
        {set_many_inodes, "inodes"},
        {set_little_memory, "memory_bytes"},
        {set_much_memory, "memory_bytes"},
        {set_much_swap, "swap_bytes"},
        {set_small_quota, "cpu_quota_us"},
        {set_large_quota, "cpu_quota_us"},
        {set_heavy_weight, "cpu_weight"},
        {set_many_pids, "pids"},
        {set_slow_disk, "io_write_bytes"},
        {set_heavy_io, "io_weight"},
        {set_privileged_port, "egress_port"},
        {set_large_port, "egress_port"},
        {set_no_filter, "filter_id"},
        {set_many_mounts, "mounts"},
        {set_many_rlimits, "rlimits"},
        {set_address_space, "rlimits.resource"},
        {set_core, "rlimits.resource"},
        {set_huge_resource, "rlimits.resource"},
        {set_relative_source, "mounts.source"},
        {set_root_source, "mounts.source"},
        {set_dotted_source, "mounts.source"},
        {set_same_targets, "mounts.target"},
        {set_nested_targets, "mounts.target"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fixture f;
        struct sb_plan plan;
        struct sb_err err;
        make_good(&f);
        rows[i].spoil(&f);
        assert_int_equal(sb_plan_check(&f.plan, &plan, &err), -1);
        assert_int_equal(err.code, SB_INVALID);
        if (strncmp(err.text, rows[i].field, strlen(rows[i].field)) != 0) {
            fail_msg("row %zu: \"%s\" does not start with %s", i, err.text, rows[i].field);
        }
    }
}

static void refuses_a_missing_plan(void **state)
{
    (void)state;
    struct sb_plan plan;
    struct sb_err err;
    assert_int_equal(sb_plan_check(NULL, &plan, &err), -1);
}

static void refuses_targets_in_what_the_sandbox_builds(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "/",        "/usr",   "/usr/local/x", "/bin",       "/sbin/x",    "/lib",
        "/lib64/x", "/etc",   "/etc/hosts",   "/dev/shm/x", "/proc/1",    "/sys",
        "/tmp",     "/run",   "/var",         "data",       "",           "/data/",
        "//data",   "/a//b",  "/a/./b",       "/a/../b",    "/..",        "/a/..",
        "/a\nb",    "/a\x7f", "/var/tmp",     "/var/tmp/x", "/var/run/x",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct sb_err err;
        if (sb_plan_check_target(bad[i], &err) == 0) {
            fail_msg("%s is accepted", bad[i]);
        }
    }
}

static void refuses_long_targets(void **state)
{
    (void)state;
    struct sb_err err;
    char path[SB_PLAN_MAX_PATH + 2];
    memset(path, 'a', sizeof path - 1);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    for (size_t i = 200; i < sizeof path - 1; i += 200) {
        path[i] = '/';
    }
    assert_int_equal(sb_plan_check_target(path, &err), -1);
    path[sizeof path - 2] = '\0';
    assert_int_equal(sb_plan_check_target(path, &err), 0);
    memset(path + 1, 'b', 256);
    assert_int_equal(sb_plan_check_target(path, &err), -1); /* one part too long */
}

static void accepts_targets_elsewhere(void **state)
{
    (void)state;
    static const char *const good[] = {
        "/workspace", "/data",      "/home/u/x", "/usrx", "/libs",    "/tmp/x",
        "/run/x",     "/var/lib/x", "/a b",      "/...",  "/.hidden",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct sb_err err;
        if (sb_plan_check_target(good[i], &err) < 0) {
            fail_msg("%s: %s", good[i], err.text);
        }
    }
}

static void makes_the_workspace_read_only_over_its_mount(void **state)
{
    (void)state;
    struct fixture f;
    struct sb_plan plan;
    struct sb_err err;
    static char at[] = "/workspace";
    make_good(&f);
    f.mounts[0].target = at;
    f.mounts[0].writable = 1;
    f.plan.workspace = SPAWN__V1__WORKSPACE__WORKSPACE_MOUNT;
    f.plan.workspace_read_only = 1;
    assert_int_equal(sb_plan_check(&f.plan, &plan, &err), 0);
    assert_false(plan.mounts[0].is_writable);
}

static void knows_what_lies_below_an_overlay(void **state)
{
    (void)state;
    struct fixture f;
    struct sb_plan plan;
    struct sb_err err;
    static char at[] = "/workspace";
    make_good(&f);
    f.mounts[0].target = at;
    f.mounts[0].writable = 0;
    f.plan.workspace = SPAWN__V1__WORKSPACE__WORKSPACE_OVERLAY;
    assert_int_equal(sb_plan_check(&f.plan, &plan, &err), 0);
    assert_true(plan.has_workspace && plan.workspace_is_overlay);
    assert_false(plan.workspace_is_tmpfs || plan.mounts[0].is_writable);
    assert_true(sb_plan_is_overlay(&plan, 0));
    f.plan.workspace = SPAWN__V1__WORKSPACE__WORKSPACE_MOUNT;
    assert_int_equal(sb_plan_check(&f.plan, &plan, &err), 0);
    assert_false(sb_plan_is_overlay(&plan, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_a_good_plan),
        cmocka_unit_test(refuses_each_bad_field_by_name),
        cmocka_unit_test(refuses_a_missing_plan),
        cmocka_unit_test(refuses_targets_in_what_the_sandbox_builds),
        cmocka_unit_test(refuses_long_targets),
        cmocka_unit_test(accepts_targets_elsewhere),
        cmocka_unit_test(makes_the_workspace_read_only_over_its_mount),
        cmocka_unit_test(knows_what_lies_below_an_overlay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
