#pragma once

struct sb_err;
struct sb_options;

enum { SB_SPAWNER_VERSION = 1 }; /* of spawn.v1; both ends come from one build */

/** Starts aisbx-spawner: beside this program, or in ../libexec/aisbx. It gets one end of a
 *  SOCK_SEQPACKET pair, our stderr, and next to nothing of our environment.
 *  @options  where this worker listens, which the spawner tidies at the end.
 *  @ret_sock  the other end, blocking, close-on-exec.
 *  Errors: SB_NOT_FOUND: no such program; else by errno. Before any thread. */
int sb_spawner_start_process(const struct sb_options *options, int *ret_sock, struct sb_err *err);
