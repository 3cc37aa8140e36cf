#pragma once

/** In a child whose children are in the PID namespace of a sandbox, and whose /proc is the
 * sandbox's: stops every program of it, and waits a little until all stand still. PID 1 and its
 * children, which supervise, go on: they write nothing. */
void sb_stop_all(void);
/** Lets them go on. */
void sb_continue_all(void);
