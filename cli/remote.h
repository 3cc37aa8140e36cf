#pragma once

struct sb_err;

/** Returns 0 when this program can talk to other machines. aisbx itself cannot: it is linked
 *  statically, for its start-up time, and gRPC is a module. It becomes aisbx-remote, the same
 *  program linked dynamically, with the same @argv, and comes back only on failure.
 *  Errors: SB_UNIMPLEMENTED: aisbx-remote is not there; by errno. */
int sb_remote_become_able(char **argv, struct sb_err *err);
