#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"

static void monotonic_time_does_not_go_back(void **state)
{
    (void)state;
    uint64_t before_ms = sb_clock_mono_ms();
    uint64_t ns = sb_clock_mono_ns();
    uint64_t after_ms = sb_clock_mono_ms();
    assert_true(before_ms <= ns / 1000000);
    assert_true(ns / 1000000 <= after_ms);
}

static void real_time_is_the_time_of_day(void **state)
{
    (void)state;
    uint64_t before = (uint64_t)time(NULL);
    uint64_t ms = sb_clock_real_ms();
    /* time(2) may lag behind by one tick of the kernel's coarse clock. */
    assert_true(ms / 1000 >= before);
    assert_true(ms / 1000 <= (uint64_t)time(NULL) + 1);
}

static void time_left_is_never_negative_and_fits_poll(void **state)
{
    (void)state;
    assert_int_equal(sb_clock_left_ms(0), 0);
    assert_int_equal(sb_clock_left_ms(sb_clock_mono_ms()), 0);
    assert_int_equal(sb_clock_left_ms(UINT64_MAX), INT_MAX);
    int left = sb_clock_left_ms(sb_clock_mono_ms() + 3600000);
    assert_in_range(left, 1, 3600000);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(monotonic_time_does_not_go_back),
        cmocka_unit_test(real_time_is_the_time_of_day),
        cmocka_unit_test(time_left_is_never_negative_and_fits_poll),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
