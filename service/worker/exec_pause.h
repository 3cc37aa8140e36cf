#pragma once
/** The clocks of an exec whose sandbox is paused. Loop thread. */
#include <stdint.h>

struct event;
struct sb_exec;

/** Lets one of its timers run once; in a paused sandbox from the moment it runs on. */
void sb_exec_arm(struct sb_exec *exec, struct event *timer, uint64_t ms);
/** Its sandbox is going to be PAUSED: its timers stand still. */
void sb_exec_pause(struct sb_exec *exec);
/** Its sandbox is RUNNING again. What it lay frozen does not count as time that it ran.
 *  @since_ms  monotonic; when the pause began. */
void sb_exec_resume(struct sb_exec *exec, uint64_t since_ms);
