#pragma once
#include <stdbool.h>

struct sb_err;
struct sb_host;

/** Serves the worker until it says End or closes its socket, or SIGTERM comes; then kills and reaps
 * every sandbox.
 *  @sock  SOCK_SEQPACKET to the worker; @signal_fd  of sb_process_signals; both borrowed.
 *  @ret_is_orderly  the worker said End; set on failure, too.
 *  Errors: SB_INVALID: the worker broke the protocol; else by errno. All is killed then, too. */
int sb_serve_run(
    const struct sb_host *host, int sock, int signal_fd, bool *ret_is_orderly, struct sb_err *err);
