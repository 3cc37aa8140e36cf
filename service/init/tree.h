#pragma once

/** Sends a signal to every descendant of this process that /proc shows, except those in @spare
 *  (children of this process) and what is below them. Returns how many there are.
 *  @spare  ends with 0; may be NULL. */
int sb_tree_signal(int signal_number, const int *spare);

/** SIGKILL to all descendants but the spared, stopping them first so that none can fork away. They
 *  are not reaped; call again until none is left. */
void sb_tree_kill(const int *spare);
