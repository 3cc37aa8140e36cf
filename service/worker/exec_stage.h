#pragma once
/** An exec whose files are put into its sandbox before it starts. Loop thread. */
#include <stdbool.h>

struct sb_exec;

/** Its sandbox runs. True: all is there, or there was nothing to put; else sb_exec_begin is called
 *  again when it is, or the exec fails. */
bool sb_exec_stage_ready(struct sb_exec *exec);
/** It has ended: nothing is put any more. */
void sb_exec_stage_done(struct sb_exec *exec);
