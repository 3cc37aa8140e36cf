#pragma once
/** How the parts are, for `aisbx-supervisor --health`, over a unix socket that only our user may
 *  connect to. One byte asks, 't' (text) or 'j' (JSON); the answer is the exit status, '0' or '1',
 *  and then what to print. A lock beside the socket lets one supervisor serve a directory. */
#include <stdbool.h>
#include <stdio.h>

struct sb_err;
struct sb_status;
struct sb_supervisor;

/** Listens at DIR/supervisor.sock. Errors: SB_EXISTS: another one does; by errno. */
int sb_status_new(struct sb_supervisor *supervisor,
                  const char *dir,
                  struct sb_status **ret_status,
                  struct sb_err *err);
void sb_status_free(struct sb_status *status);

/** Asks the one that runs, and prints its answer.
 *  Returns the exit status, 0 or 1; 1 and a text when none runs. Blocks for at most 5 s. */
int sb_status_ask(const char *dir, bool wants_json, FILE *out);
