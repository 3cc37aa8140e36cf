#pragma once
#include <stdbool.h>

struct sb_err;

/** Where a sandbox is in its life. The numbers are those of aisbx.v1.SandboxState.
 *
 *                                PAUSED -------+
 *                                 ^  |         |
 *                                 |  v         v
 *      STARTING <---------------> RUNNING ----> STOPPING ----> DESTROYED
 *        |  |                                    ^              ^
 *        |  +------------------------------------+              |
 *        +------------------------------------------------------+
 *
 *  RUNNING -> STARTING: taken back to a snapshot: what ran is killed, then it is spawned anew.
 *  STARTING -> STOPPING: destroyed, or its call cancelled, before the spawner answered.
 *  STARTING -> DESTROYED: the spawner refused; RUNNING or PAUSED -> DESTROYED: PID 1 died by
 * itself, or the spawner did. */
enum sb_state {
    SB_STATE_STARTING = 1,
    SB_STATE_RUNNING = 2,
    SB_STATE_PAUSED = 3, /* frozen, or about to be: nothing new starts */
    SB_STATE_STOPPING = 4,
    SB_STATE_DESTROYED = 5,
    SB_STATE_END_,
};

/** "running"; static. */
const char *sb_state_name(enum sb_state state);
bool sb_state_may(enum sb_state from, enum sb_state to);
/** Moves *state. SB_PRECONDITION when the table has no such move; *state is then unchanged. */
int sb_state_move(enum sb_state *state, enum sb_state to, struct sb_err *err);
