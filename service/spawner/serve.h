#pragma once

struct sb_err;
struct sb_host;

/** Serves the worker until it closes its end or SIGTERM comes; then kills and reaps every sandbox.
 *  @sock  SOCK_SEQPACKET to the worker; @signal_fd  of sb_process_signals; both borrowed.
 *  Errors: SB_INVALID: the worker broke the protocol; else by errno. All is killed then, too. */
int sb_serve_run(const struct sb_host *host, int sock, int signal_fd, struct sb_err *err);
