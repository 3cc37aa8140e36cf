#pragma once
#include <stdint.h>

/** Monotonic (CLOCK_MONOTONIC), for deadlines and durations; unrelated to the date. */
uint64_t sb_clock_mono_ms(void);
uint64_t sb_clock_mono_ns(void);

/** Milliseconds since 1970-01-01 UTC; may jump when the clock is set. */
uint64_t sb_clock_real_ms(void);

/** Milliseconds from now (monotonic) to deadline, for poll(2): 0 when past, at most INT32_MAX. */
int sb_clock_left_ms(uint64_t deadline_mono_ms);
