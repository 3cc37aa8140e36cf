#pragma once
#include <sys/types.h>

/** fork(2) for a process with libevent's signal handlers, which write to a pipe that both would
 *  share: the child has none, and no signal in between reaches them. It ends with us, by SIGKILL.
 *  Returns 0 in the child, else as fork. */
pid_t sb_child_fork(void);
