#pragma once
#include <event2/event.h>
#include <stdint.h>
#include <sys/time.h>

/** Lets a timer run once, so many milliseconds from now, whatever it was set to before.
 *  Loop thread. */
static inline void sb_timer_arm(struct event *timer, uint64_t ms)
{
    const struct timeval tv = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
    (void)event_add(timer, &tv);
}
