/* What a spawner that starts takes for a dead one's, in folders that stand for groups. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "service/spawner/cgroup.h"
#include "service/spawner/cgroup_driver.h"

/* The list of a group's own processes. */
enum procs { NO_FILE, EMPTY, UNREADABLE, HAS_ONE };

static const struct {
    const char *name;
    enum procs procs;
    bool is_left; /* with what is below it */
} rows[] = {
    {"aisbx-1", EMPTY, false},  {"aisbx-2", NO_FILE, true}, {"aisbx-3", UNREADABLE, true},
    {"aisbx-4", HAS_ONE, true}, {"aisbx-pod", EMPTY, true},
};

enum { N_ROWS = sizeof rows / sizeof *rows };

static void make_group(int parent, const char *name, enum procs procs)
{
    char path[64];
    assert_int_equal(mkdirat(parent, name, 0755), 0);
    (void)snprintf(path, sizeof path, "%s/box-1", name);
    assert_int_equal(mkdirat(parent, path, 0755), 0);
    (void)snprintf(path, sizeof path, "%s/cgroup.procs", name);
    if (procs == UNREADABLE) { /* can be opened, and not be read */
        assert_int_equal(mkdirat(parent, path, 0755), 0);
    } else if (procs != NO_FILE) {
        int fd = openat(parent, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, "1\n", procs == HAS_ONE ? 2 : 0), procs == HAS_ONE ? 2 : 0);
        (void)close(fd);
    }
}

static bool has_box(int parent, const char *name)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s/box-1", name);
    return faccessat(parent, path, F_OK, 0) == 0;
}

static void forget_group(int parent, const char *name)
{
    static const char *const below[] = {"/box-1", "/cgroup.procs", ""};
    for (size_t i = 0; i < sizeof below / sizeof *below; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "%s%s", name, below[i]);
        (void)unlinkat(parent, path, 0);
        (void)unlinkat(parent, path, AT_REMOVEDIR);
    }
}

static void only_a_group_that_is_seen_to_be_empty_is_swept(void **state)
{
    char dir[] = "/tmp/aisbx-sweep.XXXXXX";
    struct sb_cgroups cgroups = SB_CGROUPS_NONE;
    struct sb_err err;
    bool has[N_ROWS];
    (void)state;
    assert_non_null(mkdtemp(dir));
    int parent = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(parent >= 0);
    for (size_t i = 0; i < N_ROWS; i++) {
        make_group(parent, rows[i].name, rows[i].procs);
    }
    int made = sb_cgroup_make_base(&cgroups, 0, parent, &err);
    for (size_t i = 0; i < N_ROWS; i++) {
        has[i] = has_box(parent, rows[i].name);
        forget_group(parent, rows[i].name);
    }
    sb_cgroup_close(&cgroups); /* and the folder with it */
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(made, 0);
    for (size_t i = 0; i < N_ROWS; i++) {
        if (has[i] != rows[i].is_left) {
            fail_msg("%s: %s", rows[i].name, has[i] ? "left" : "swept");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_group_that_is_seen_to_be_empty_is_swept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
