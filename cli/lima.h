#pragma once
#include <stdbool.h>

struct sb_cli;
struct sb_err;

/** With --driver lima: makes the worker in lima's virtual machine the one to use, and starts the
 *  machine when it does not run. Afterwards $AISBX_ADDRESS names it, and no driver is asked for: it
 *  is the worker's own default. Does nothing without --driver lima.
 *  @is_here  the verb works with workers of this machine only.
 *  Errors: SB_INVALID: another worker is named, or is_here; SB_NOT_FOUND: no limactl;
 *  SB_UNAVAILABLE: the machine does not start. cli->hint is set. */
int sb_lima_choose(struct sb_cli *cli, bool is_here, struct sb_err *err);
