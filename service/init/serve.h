#pragma once

struct sb_exec;

/** Runs one exec to its end: starts it, serves its socket, and exits this process when the whole
 *  tree is gone.
 *  @ctl_fd     PID 1 with SB_INIT_ONLY: the control socket, whose end of file ends the sandbox;
 *              a stub: -1.
 *  @signal_fd  reads SIGCHLD. */
_Noreturn void sb_serve_exec(struct sb_exec *exec, int ctl_fd, int signal_fd);
