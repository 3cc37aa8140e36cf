#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"

static int open_null(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void leaving_the_scope_closes_and_keeps_errno(void **state)
{
    (void)state;
    int seen = -1;
    errno = E2BIG;
    {
        SB_CLEANUP(sb_closep) int fd = open_null();
        seen = fd;
    }
    assert_int_equal(errno, E2BIG);
    assert_int_equal(fcntl(seen, F_GETFD), -1);
}

static void a_failing_close_keeps_errno_too(void **state)
{
    (void)state;
    errno = E2BIG;
    int not_open = INT_MAX;
    sb_closep(&not_open);
    assert_int_equal(errno, E2BIG);
}

static void a_stolen_descriptor_stays_open(void **state)
{
    (void)state;
    int stolen = -1;
    {
        SB_CLEANUP(sb_closep) int fd = open_null();
        stolen = SB_STEAL_FD(fd);
        assert_int_equal(fd, -1);
    }
    assert_int_not_equal(fcntl(stolen, F_GETFD), -1);
    sb_closep(&stolen);
}

static void a_stolen_pointer_is_not_freed(void **state)
{
    (void)state;
    char *stolen = NULL;
    {
        SB_CLEANUP(sb_freep) char *text = strdup("kept");
        SB_CLEANUP(sb_freep) char *freed = strdup("gone"); /* the leak sanitizer judges */
        assert_non_null(freed);
        stolen = SB_STEAL_PTR(text); /* NOLINT(clang-analyzer-unix.Malloc): blind to cleanup */
        assert_null(text);
    }
    assert_string_equal(stolen, "kept");
    sb_freep(&stolen);
}

static void steal_leaves_the_named_empty_value(void **state)
{
    (void)state;
    uint32_t uid = 5;
    assert_int_equal(SB_STEAL(uid, UINT32_MAX), 5);
    assert_int_equal(uid, UINT32_MAX);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaving_the_scope_closes_and_keeps_errno),
        cmocka_unit_test(a_failing_close_keeps_errno_too),
        cmocka_unit_test(a_stolen_descriptor_stays_open),
        cmocka_unit_test(a_stolen_pointer_is_not_freed),
        cmocka_unit_test(steal_leaves_the_named_empty_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
