/* What the kernel's texts about control groups mean. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/spawner/cgroup_find.h"

#define V2 "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1                                                                                         \
    "40 30 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"                            \
    "41 30 0:31 / /sys/fs/cgroup/cpu,cpuacct rw shared:1 master:2 - cgroup cgroup "                \
    "rw,cpu,cpuacct\n"                                                                             \
    "42 30 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"

static const struct {
    const char *name;
    const char *mounts;
    const char *groups;
    const char *controller;
    const char *dir; /* NULL: none is found */
    const char *root;
} rows[] = {
    {"version 2, at the root", V2, "0::/\n", NULL, "/sys/fs/cgroup", "/sys/fs/cgroup"},
    {"version 2, below", V2, "0::/user.slice/a.scope\n", NULL, "/sys/fs/cgroup/user.slice/a.scope",
     "/sys/fs/cgroup"},
    {"version 2 has no hierarchy of memory", V2, "0::/\n", "memory", NULL, NULL},
    {"version 1", V1, "4:memory:/job\n0::/\n", "memory", "/sys/fs/cgroup/memory/job",
     "/sys/fs/cgroup/memory"},
    {"two controllers together", V1, "3:cpu,cpuacct:/\n", "cpu", "/sys/fs/cgroup/cpu,cpuacct",
     "/sys/fs/cgroup/cpu,cpuacct"},
    {"cpu is not cpuset", V1, "3:cpuset:/\n", "cpu", NULL, NULL},
    {"both versions at once", V1, "4:memory:/\n0::/x\n", NULL, "/sys/fs/cgroup/unified/x",
     "/sys/fs/cgroup/unified"},
    {"a container sees a part",
     "40 30 0:30 /docker/ab /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
     "4:memory:/docker/ab/c\n", "memory", "/sys/fs/cgroup/memory/c", "/sys/fs/cgroup/memory"},
    {"a container sees another part",
     "40 30 0:30 /docker/ab /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
     "4:memory:/elsewhere\n", "memory", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory"},
    {"outside of the own namespace", V2, "0::/../other\n", NULL, "/sys/fs/cgroup",
     "/sys/fs/cgroup"},
    {"a line cut off", "30 23 0:26 / /sys/fs/cgroup rw\n", "0::/\n", NULL, NULL, NULL},
    {"nothing at all", "", "", NULL, NULL, NULL},
};

static void finds_the_own_group(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char dir[PATH_MAX] = "untouched";
        char root[PATH_MAX] = "untouched";
        const struct sb_cgroup_view view = {sb_str_from(rows[i].mounts),
                                            sb_str_from(rows[i].groups)};
        print_message("%s\n", rows[i].name);
        assert_int_equal(sb_cgroup_find(&view, rows[i].controller, dir, root), rows[i].dir != NULL);
        assert_string_equal(dir, rows[i].dir == NULL ? "untouched" : rows[i].dir);
        assert_string_equal(root, rows[i].dir == NULL ? "untouched" : rows[i].root);
    }
}

static void reads_the_number_of_a_key(void **state)
{
    (void)state;
    uint64_t value = 77;
    struct sb_str text = SB_STR("oom 3\noom_kill 2\nbad x\n");
    assert_true(sb_cgroup_keyed(text, "oom_kill", &value));
    assert_int_equal(value, 2);
    assert_false(sb_cgroup_keyed(text, "kill", &value));
    assert_false(sb_cgroup_keyed(text, "bad", &value));
    assert_false(sb_cgroup_keyed(SB_STR(""), "oom", &value));
    assert_int_equal(value, 2);
}

static void finds_a_word_as_a_whole(void **state)
{
    (void)state;
    assert_true(sb_cgroup_has_word(SB_STR("cpuset cpu io"), ' ', "cpu"));
    assert_false(sb_cgroup_has_word(SB_STR("cpuset io"), ' ', "cpu"));
    assert_false(sb_cgroup_has_word(SB_STR(""), ' ', "cpu"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_own_group),
        cmocka_unit_test(reads_the_number_of_a_key),
        cmocka_unit_test(finds_a_word_as_a_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
