#pragma once
#include "service/shared/initproto.h"

/** Looks whether a limit is met just now of which the kernel keeps no count, and notes it: each
 * time at the file systems, each fourth time at signals and open files, too, which takes some
 * system calls for each process of the sandbox, of at most 256.
 *  @job  a process with the job's user: init may have another. */
void sb_watch_look(struct sb_init_seen *seen, int job);
/** What the bounded file systems have; those that are no tmpfs stay as they are. */
void sb_watch_spaces(struct sb_init_space spaces[SB_INIT_SPACES]);
