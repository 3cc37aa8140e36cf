#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "service/spawner/proc_list.h"

static char dir[] = "/tmp/sb-proc-list.XXXXXX";

struct heard {
    int files;
    int dirs;
    bool is_enough; /* ends it */
    char last[32];
};

static int hear(void *arg, const char *name, bool is_dir, struct sb_err *err)
{
    struct heard *heard = arg;
    heard->files += !is_dir;
    heard->dirs += is_dir;
    (void)snprintf(heard->last, sizeof heard->last, "%s", name);
    return heard->is_enough ? sb_err_set(err, SB_EXHAUSTED, "enough") : 0;
}

static void make(const char *name, mode_t mode)
{
    char path[64];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(S_ISDIR(mode)   ? mkdir(path, 0755)
                     : S_ISLNK(mode) ? symlink("1", path)
                                     : mknod(path, S_IFREG | 0644, 0),
                     0);
}

static int begin(void **state)
{
    (void)state;
    return mkdtemp(dir) == NULL ? -1 : 0;
}

static int end(void **state)
{
    char command[80];
    (void)state;
    (void)snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static void leaves_what_programs_are_given(void **state)
{
    struct heard heard = {0};
    struct sb_err err;
    (void)state;
    make("meminfo", S_IFREG);
    make("sys", S_IFDIR);
    make("17", S_IFDIR);
    make("thread-self", S_IFLNK);
    assert_int_equal(sb_proc_each_hidden(dir, hear, &heard, &err), 0);
    assert_int_equal(heard.files + heard.dirs, 0);
}

static void hides_what_nobody_has_named(void **state)
{
    struct heard heard = {0};
    struct sb_err err;
    (void)state;
    make("mdstat", S_IFREG);
    assert_int_equal(sb_proc_each_hidden(dir, hear, &heard, &err), 0);
    assert_int_equal(heard.files, 1);
    assert_string_equal(heard.last, "mdstat");
    make("xen", S_IFDIR);
    for (int i = 0; i < 300; i++) { /* more than is read at a time */
        char name[32];
        (void)snprintf(name, sizeof name, "from-a-module-%d", i);
        make(name, S_IFREG);
    }
    heard = (struct heard){0};
    assert_int_equal(sb_proc_each_hidden(dir, hear, &heard, &err), 0);
    assert_int_equal(heard.files, 301);
    assert_int_equal(heard.dirs, 1);
}

static void ends_where_it_is_told_to(void **state)
{
    struct heard heard = {.is_enough = true};
    struct sb_err err;
    (void)state;
    assert_int_equal(sb_proc_each_hidden(dir, hear, &heard, &err), -1);
    assert_int_equal(err.code, SB_EXHAUSTED);
    assert_int_equal(heard.files + heard.dirs, 1);
    assert_int_equal(sb_proc_each_hidden("/none", hear, &heard, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_what_programs_are_given),
        cmocka_unit_test(hides_what_nobody_has_named),
        cmocka_unit_test(ends_where_it_is_told_to),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
