#include "service/worker/exec_pause.h"

#include <stddef.h>

#include "base/clock.h"
#include "service/worker/exec.h"
#include "service/worker/limits.h"
#include "service/worker/sandbox.h"
#include "service/worker/timer.h"

static uint64_t left_of_wall(const struct sb_exec *exec)
{
    uint64_t ran_ms = sb_clock_mono_ms() - exec->start_mono_ms;
    return ran_ms < exec->wall_ms ? exec->wall_ms - ran_ms : 1;
}

static uint64_t all_of_grace(const struct sb_exec *exec)
{
    (void)exec;
    return SB_MAX_OUTPUT_GRACE_MS;
}

static uint64_t all_of_kill(const struct sb_exec *exec)
{
    (void)exec;
    return SB_MAX_KILL_WAIT_MS;
}

static const struct {
    size_t at;
    uint64_t (*left_ms)(const struct sb_exec *exec); /* when it runs on */
} timers[] = {
    {offsetof(struct sb_exec, wall_timer), left_of_wall},
    {offsetof(struct sb_exec, grace_timer), all_of_grace},
    {offsetof(struct sb_exec, kill_timer), all_of_kill},
};
enum { N_TIMERS = sizeof timers / sizeof *timers };

static struct event *timer_of(struct sb_exec *exec, size_t i)
{
    return (struct event *)(void *)((char *)exec + timers[i].at);
}

void sb_exec_arm(struct sb_exec *exec, struct event *timer, uint64_t ms)
{
    if (exec->sandbox->state != SB_STATE_PAUSED) {
        sb_timer_arm(timer, ms);
        return;
    }
    for (size_t i = 0; i < N_TIMERS; i++) {
        exec->held_timers |= timer_of(exec, i) == timer ? 1U << i : 0;
    }
}

void sb_exec_pause(struct sb_exec *exec)
{
    for (size_t i = 0; i < N_TIMERS; i++) {
        struct event *timer = timer_of(exec, i);
        if (event_pending(timer, EV_TIMEOUT, NULL) != 0) {
            (void)event_del(timer);
            exec->held_timers |= 1U << i;
        }
    }
}

void sb_exec_resume(struct sb_exec *exec, uint64_t since_ms)
{
    unsigned held = exec->held_timers;
    exec->held_timers = 0;
    if (exec->start_mono_ms != 0 && exec->state < SB_EXEC_EXITED) {
        uint64_t from = exec->start_mono_ms > since_ms ? exec->start_mono_ms : since_ms;
        exec->start_mono_ms += sb_clock_mono_ms() - from;
    }
    for (size_t i = 0; i < N_TIMERS; i++) {
        if ((held >> i & 1) != 0) {
            sb_timer_arm(timer_of(exec, i), timers[i].left_ms(exec));
        }
    }
}
