#pragma once

/** Sends a signal once to every descendant of this process, parents before their children. What
 *  they fork from then on does not get it. */
void sb_tree_signal(int signal_number);

/** SIGKILL to all descendants, stopping them first so that none can fork away. They are not reaped;
 *  call again until none is left.
 *  @spare  children of this process to leave alone, with what is below them; ends with 0; may be
 *          NULL. */
void sb_tree_kill(const int *spare);
