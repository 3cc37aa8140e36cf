#include "base/clock.h"

#include <limits.h>
#include <time.h>

static uint64_t now_ns(clockid_t clock)
{
    struct timespec ts = {0};
    (void)clock_gettime(clock, &ts); /* cannot fail for the two clocks used here */
    return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

uint64_t sb_clock_mono_ns(void)
{
    return now_ns(CLOCK_MONOTONIC);
}

uint64_t sb_clock_mono_ms(void)
{
    return now_ns(CLOCK_MONOTONIC) / 1000000U;
}

uint64_t sb_clock_real_ms(void)
{
    return now_ns(CLOCK_REALTIME) / 1000000U;
}

int sb_clock_left_ms(uint64_t deadline_mono_ms)
{
    uint64_t now = sb_clock_mono_ms();
    if (deadline_mono_ms <= now) {
        return 0;
    }
    uint64_t left = deadline_mono_ms - now;
    return left > INT_MAX ? INT_MAX : (int)left;
}
