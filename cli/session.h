#pragma once
/** One program, from its start to its end, with our standard streams.
 *
 *  Theory of operation. On the same machine the descriptors go along with the call (cli/streams.h)
 *  and only events come back; the worker sees no byte of output:
 *
 *      StartExec(request, fd 0 1 2) -->            <-- started, ended
 *
 *  To another machine, or when output is to be captured, bytes travel as messages:
 *
 *      InteractExec(start, stdin ..., eof) -->     <-- started, output ..., ended
 *
 *  A program on a terminal of the sandbox's always has the second form; ours is raw meanwhile
 *  (cli/tty.h). Attached to one that runs already, what is typed goes by calls of their own:
 *
 *      AttachExec(exec, offsets) -->               <-- output ..., ended
 *      SendExecInput, ResizeExec -->
 *
 *  One loop polls the channel, the signals and the streams. The first signal cancels the exec and
 *  waits until its whole tree is gone; the second ends aisbx, and the worker, seeing the connection
 *  close, does the same by itself. */
#include <stdbool.h>
#include <stdint.h>

#include "aisbx/v1/sandbox_service.pb-c.h"
#include "base/buf.h"

struct sb_connect;
struct sb_err;

enum { SB_SESSION_CAPTURE_MAX = 32 << 20 }; /* bytes kept of each stream */

struct sb_session_options {
    bool captures; /* keep output in the result instead of writing it to our streams */
    bool no_stdin;
    bool ignores[2];   /* stdout, stderr: drop what comes */
    bool has_terminal; /* attach: the program has one */
    void (*started)(const Aisbx__V1__ExecStarted *started, void *user); /* may be NULL */
    void *user;
};

struct sb_session_result {
    bool is_started;
    Aisbx__V1__Sandbox *sandbox; /* owned; NULL: not told */
    Aisbx__V1__Exec *exec;       /* owned, with its verdict; NULL: the end is not known */
    int signal;                  /* that made us cancel; 0: none */
    bool is_detached;            /* attach: by what was typed; the program goes on */
    uint64_t offsets[2];         /* of the next byte of stdout and stderr */
    struct sb_buf captured[2];   /* stdout, stderr */
    uint64_t dropped_bytes[2];   /* beyond the limit, or what was kept */
};

/** Runs @request to its end; its exec.stdio is set here. SIGPIPE must be ignored.
 *  Returns 0 when the end is known, or when a signal ended it. @ret  filled as far as known even
 *  on -1; sb_session_result_done frees it. The connection is closed in any case.
 *  Errors: of the call; SB_UNAVAILABLE: the worker went away. */
int sb_session_run(struct sb_connect *connect,
                   Aisbx__V1__StartExecRequest *request,
                   const struct sb_session_options *options,
                   struct sb_session_result *ret,
                   struct sb_err *err);
void sb_session_result_done(struct sb_session_result *result);

/** Starts @request in the background and returns as soon as it runs; closes the connection.
 *  @ret_exec  freed by the caller. */
int sb_session_start(struct sb_connect *connect,
                     Aisbx__V1__StartExecRequest *request,
                     Aisbx__V1__Exec **ret_exec,
                     struct sb_err *err);

/** Shows what an exec wrote, as it comes (unless @request says no_follow), by the same options, and
 *  unless no_stdin sends it what we read; closes the connection. Signals take their default action,
 *  after a terminal of ours was put back. Lines that begin with "~." leave, on a terminal.
 *  On SB_UNAVAILABLE it can be called again from ret->offsets. */
int sb_session_attach(struct sb_connect *connect,
                      const Aisbx__V1__AttachExecRequest *request,
                      const struct sb_session_options *options,
                      struct sb_session_result *ret,
                      struct sb_err *err);
