#pragma once
#include <stdbool.h>

#include "aisbx/v1/sandbox_service.pb-c.h"

struct sb_cli;
struct sb_connect;
struct sb_err;
struct sb_session_result;

/** Runs a program to its end as run and exec do: streams, --verbose, --json; *ret_status is the
 *  exit status. Closes the connection. *ret_was_started tells whether the program may have done
 *  anything when -1 is returned.
 *  Errors: of the call. */
int sb_launch_run(struct sb_cli *cli,
                  struct sb_connect *connect,
                  Aisbx__V1__StartExecRequest *request,
                  bool *ret_was_started,
                  int *ret_status,
                  struct sb_err *err);

/** Starts it and prints an id: the exec's, or @sandbox_id when given. Closes the connection.
 *  *ret_status is set to 126 or 127, as of run, when the program could not be started, which is
 *  said in place of an id. */
int sb_launch_detached(struct sb_cli *cli,
                       struct sb_connect *connect,
                       Aisbx__V1__StartExecRequest *request,
                       const char *sandbox_id,
                       int *ret_status,
                       struct sb_err *err);

/** Says how a program ended that did not end by itself. @has_terminal  it had one: what was shown
 * is all there is to see, whatever was kept of it. */
void sb_launch_say_end(const Aisbx__V1__Verdict *verdict, bool has_terminal);

/** Prints a result whose output was captured as one JSON object. @status  exit status; -1: none. */
int sb_launch_print_json(const struct sb_session_result *result, int status, struct sb_err *err);
