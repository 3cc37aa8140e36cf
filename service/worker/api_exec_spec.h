#pragma once
/** What an ExecSpec asks for beside the program. */
#include "aisbx/v1/exec.pb-c.h"

struct sb_err;
struct sb_exec_limits;
struct sb_exec_terminal;
struct sb_sandbox;

/** Untouched when none is asked for. Errors: SB_INVALID naming the field. */
int sb_api_exec_terminal(const Aisbx__V1__ExecSpec *spec,
                         struct sb_exec_terminal *ret_terminal,
                         struct sb_err *err);
/** Untouched when none is asked for. Whether they lower the sandbox's is sb_exec_new's to see.
 *  Errors: SB_INVALID naming the field. */
int sb_api_exec_limits(const Aisbx__V1__ExecSpec *spec,
                       struct sb_exec_limits *ret_limits,
                       struct sb_err *err);
/** Errors: SB_INVALID: somebody else than the sandbox's one user. */
int sb_api_exec_user(const Aisbx__V1__ExecSpec *spec,
                     const struct sb_sandbox *sandbox,
                     struct sb_err *err);
