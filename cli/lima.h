#pragma once

struct sb_cli;
struct sb_err;

/** With --driver lima: makes the worker in lima's virtual machine the one to use, and starts the
 *  machine when it does not run. Afterwards $AISBX_ADDRESS names it, and no driver is asked for: it
 *  is the worker's own default. Does nothing when an address is named, for then that worker is
 * meant, or without --driver lima. Errors: SB_NOT_FOUND: no limactl; SB_UNAVAILABLE: the machine
 * does not start; cli->hint is set. */
int sb_lima_choose(struct sb_cli *cli, struct sb_err *err);
