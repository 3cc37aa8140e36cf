#pragma once
/** What the calls of process.v1 share: a program from a ProcessConfig, and how it ended as that
 *  contract tells it. */
#include <stdbool.h>
#include <stdint.h>

#include "process/v1/process.pb-c.h"

struct sb_caller;
struct sb_err;
struct sb_exec;
struct sb_rate;
struct sb_rpc_call;
struct sb_worker;

struct sb_program {
    struct sb_rpc_call *call; /* whose metadata may name the sandbox */
    const struct sb_caller *caller;
    const Process__V1__ProcessConfig *config; /* may be NULL */
    const Process__V1__PTY *pty;              /* NULL: no terminal */
    bool has_stdin;
    struct sb_rate *rate; /* filled when a quota refuses */
};

/** Errors: SB_INVALID; SB_DENIED: cwd leads out; and of sb_home_open, sb_exec_new. */
int sb_program_start(struct sb_worker *worker,
                     const struct sb_program *program,
                     struct sb_exec **ret_exec,
                     struct sb_err *err);

/** Of an ended exec: 0, and what its verdict says is a trailer of call; -1 with *err when it did
 *  not start: SB_NOT_FOUND, SB_DENIED, SB_INTERNAL. */
int sb_program_ended(struct sb_rpc_call *call,
                     const struct sb_exec *exec,
                     int32_t *ret_exit_code,
                     struct sb_err *err);
