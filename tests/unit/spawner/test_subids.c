#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "service/spawner/subids.h"

/* Looks uid 4242, who has no name, up in a file with that text. */
static bool find(const char *text, struct sb_subids *ids)
{
    char path[] = "/tmp/test-subids-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)close(fd);
    bool found = sb_subids_find(path, 4242, ids);
    (void)unlink(path);
    return found;
}

static void finds_the_range_of_a_user_by_number(void **state)
{
    (void)state;
    struct sb_subids ids;
    assert_true(find("other:1:2\n4242:100000:65536\n", &ids));
    assert_int_equal(ids.first, 100000);
    assert_int_equal(ids.count, 65536);
}

static void finds_root_by_name(void **state)
{
    (void)state;
    struct sb_subids ids;
    char path[] = "/tmp/test-subids-XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "root:7000:8\n", 12), 12);
    (void)close(fd);
    assert_true(sb_subids_find(path, 0, &ids));
    assert_int_equal(ids.first, 7000);
    (void)unlink(path);
}

static void skips_lines_that_are_not_a_range(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "\n",
        "4242",
        "4242:1",
        "4242:x:1\n",
        "4242:1:x\n",
        "4242:0:5\n",
        "4242:1:0\n",
        "4242:-1:5\n",
        "4242:4294967295:1\n",
        "4242:4000000000:4000000000\n",
        "4242:1:2:3\n",
        ":1:2\n",
        "42421:1:2\n",
        "# 4242:1:2\n",
    };
    struct sb_subids ids;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (find(bad[i], &ids)) {
            fail_msg("found in %s", bad[i]);
        }
    }
}

static void finds_nothing_in_a_missing_file(void **state)
{
    (void)state;
    struct sb_subids ids;
    assert_false(sb_subids_find("/no/such/file", 0, &ids));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_range_of_a_user_by_number),
        cmocka_unit_test(finds_root_by_name),
        cmocka_unit_test(skips_lines_that_are_not_a_range),
        cmocka_unit_test(finds_nothing_in_a_missing_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
