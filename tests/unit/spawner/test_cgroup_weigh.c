/* The share of all sandboxes together, in folders that stand for the groups of a kernel. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "service/spawner/cgroup.h"
#include "service/spawner/cgroup_driver.h"

struct folder {
    char path[64];
    int fd;
};

static int setup(void **state)
{
    static struct folder folder;
    (void)snprintf(folder.path, sizeof folder.path, "/tmp/aisbx-weigh.XXXXXX");
    if (mkdtemp(folder.path) == NULL) {
        return -1;
    }
    folder.fd = open(folder.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = &folder;
    return folder.fd < 0 ? -1 : 0;
}

static const char *const files[] = {"cpu.idle", "cpu.weight", "cpu.shares"};

static void forget(const struct folder *folder)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        (void)unlinkat(folder->fd, files[i], 0);
    }
}

static int teardown(void **state)
{
    const struct folder *folder = *state;
    forget(folder);
    (void)close(folder->fd);
    return rmdir(folder->path);
}

static void make(const struct folder *folder, const char *name)
{
    int fd = openat(folder->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
}

/* What a file holds now; empty: never written. */
static const char *text_of(const struct folder *folder, const char *name, char text[16])
{
    int fd = openat(folder->fd, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, 15);
    assert_true(n >= 0);
    text[n] = '\0';
    (void)close(fd);
    return text;
}

static const struct {
    const char *what;
    const struct sb_cgroup_driver *driver;
    unsigned controllers;
    bool has_idle;
    uint64_t weight;
    const char *idle; /* that is written */
    const char *share;
} rows[] = {
    {"a weight, v2", &sb_cgroup_v2, SB_CGROUP_ALL, true, 10, "", "10"},
    {"a weight, v1", &sb_cgroup_v1, SB_CGROUP_ALL, true, 10, "", "104"},
    {"the usual one", &sb_cgroup_v2, SB_CGROUP_ALL, true, SB_CGROUP_WEIGHT, "", ""},
    {"idle, v2", &sb_cgroup_v2, SB_CGROUP_ALL, true, SB_CGROUP_IDLE, "1", ""},
    {"idle, v1", &sb_cgroup_v1, SB_CGROUP_ALL, true, SB_CGROUP_IDLE, "1", ""},
    {"idle before Linux 5.15, v2", &sb_cgroup_v2, SB_CGROUP_ALL, false, SB_CGROUP_IDLE, "", "1"},
    {"idle before Linux 5.15, v1", &sb_cgroup_v1, SB_CGROUP_ALL, false, SB_CGROUP_IDLE, "", "12"},
    {"no controller", &sb_cgroup_v2, SB_CGROUP_MEMORY, true, SB_CGROUP_IDLE, "", ""},
    {"no groups", NULL, 0, true, SB_CGROUP_IDLE, "", ""},
};

static void the_share_of_all_sandboxes_is_what_was_asked_or_the_smallest(void **state)
{
    const struct folder *folder = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[16];
        const struct sb_cgroups groups = {
            .driver = rows[i].driver,
            .controllers = rows[i].controllers,
            .bases = {folder->fd, folder->fd, folder->fd, folder->fd},
        };
        const char *share = rows[i].driver == &sb_cgroup_v1 ? "cpu.shares" : "cpu.weight";
        print_message("%s\n", rows[i].what);
        make(folder, share);
        if (rows[i].has_idle) {
            make(folder, "cpu.idle");
        }
        sb_cgroup_weigh(&groups, rows[i].weight);
        assert_string_equal(text_of(folder, "cpu.idle", text), rows[i].idle);
        assert_string_equal(text_of(folder, share, text), rows[i].share);
        forget(folder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            the_share_of_all_sandboxes_is_what_was_asked_or_the_smallest, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
