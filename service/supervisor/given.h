#pragma once
/** Sockets that a service manager gave us, and which part serves each: those of a path the worker,
 * that of TCP the gateway. */

struct sb_err;
struct sb_supervisor;

/** After n_parts is set, before anything is opened. Fills given, n_given, address and port.
 *  Errors: SB_INVALID: one that no part serves; the text names it and what to change. */
int sb_given_take(struct sb_supervisor *supervisor, struct sb_err *err);
void sb_given_done(struct sb_supervisor *supervisor);
