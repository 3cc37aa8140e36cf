#pragma once
/** Where every call enters and leaves.
 *
 *  Theory of operation.
 *
 *      message --> who is it --> act? --> record of the intent --> committed --> handler
 *                  |             |no -----------------------------------------> handler
 *                  |refused: a record says so                 |not: UNAVAILABLE, nothing was done
 *      answer  <-- record of the outcome <-- status <---------------------------- handler
 *
 *  A handler cannot be reached past the gate, and a method without a row in acts.c is refused, so
 *  that none can be forgotten. The request waits in the call; the loop goes on meanwhile. */
#include <stdbool.h>

#include "service/worker/auth/caller.h"
#include "service/worker/spans.h"

struct sb_err;
struct sb_exec;
struct sb_rpc_call;
struct sb_sandbox;
struct sb_ticket;
struct sb_worker;

/** Puts the gate before the server's methods, which are all registered.
 *  Errors: SB_INTERNAL: a method has no row in acts.c. */
int sb_gate_install(struct sb_worker *worker, struct sb_err *err);

/** Ends the calls of that actor that only look, as watching does: what it may not ask any more it
 * is not told any more. What acts goes on, for others may wait for it. */
void sb_gate_cut(struct sb_worker *worker, const char *actor);

/** Who calls, as the gate found. */
const struct sb_caller *sb_gate_caller(const struct sb_rpc_call *call);

/** What it is in, for what it makes. @ticket  of the caller, whose call has not been answered; or
 *  NULL. */
struct sb_lineage sb_gate_lineage(const struct sb_ticket *ticket);

/** What the call turned out to be about, for the record of its outcome. @ticket  of the caller, or
 *  NULL. */
void sb_gate_note(struct sb_ticket *ticket,
                  const struct sb_sandbox *sandbox,
                  const struct sb_exec *exec);

/** What was begun goes on without its caller, as a program in the background: a call that is left
 *  from now on has not failed. @ticket  of the caller, or NULL. */
void sb_gate_goes_on(struct sb_ticket *ticket);
