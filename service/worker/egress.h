#pragma once
/** The worker's side of the conversation with aisbx-egress, the only way out of sandboxes with a
 *  limited network.
 *
 *  Theory of operation. The spawner starts the proxy (the worker has given that right up) when the
 *  first such sandbox is made. What the proxy has to know is derived from the sandboxes, so nothing
 *  is queued: each line remembers whether the proxy knows it and its rules, and is told when the
 *  socket takes packets. When the proxy dies it is started again, after a while when it dies often,
 *  and told everything anew; until then connections wait in the backlog of the listening sockets,
 *  of which the worker keeps a copy. A proxy that never gets ready is given up: its lines are cut,
 *  and their sandboxes say so. Loop thread. */
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "service/worker/decisions.h"

struct sb_control;
struct sb_egress;
struct sb_err;
struct sb_sandbox;
struct sb_worker;

/** A sandbox's part. */
struct sb_egress_line {
    struct sb_list link; /* while listener >= 0 */
    int listener;        /* owned; -1: nothing gets out */
    bool is_open;        /* the proxy knows it */
    bool is_changed;     /* the proxy does not know its rules */
    uint32_t serial;     /* of the last change of rules */
    uint32_t answered;   /* serial up to which no forbidden connection is left */
    size_t n_hidden;     /* secrets, and authority, that the proxy was told of */
    uint64_t used_bytes; /* both ways, of connections that ended */
    struct sb_decisions decisions;
};

void sb_egress_line_init(struct sb_egress_line *line);

/** NULL: memory is out. */
struct sb_egress *sb_egress_new(struct sb_worker *worker);
void sb_egress_free(struct sb_egress *egress);

/** Sees to it that the proxy is under way. Call before the spawner is asked for a sandbox that
 *  needs it: then what became of it is known when that sandbox is there. */
void sb_egress_want(struct sb_egress *egress);

/** Serves what connects to the socket by the rules of the sandbox's policy.
 *  @listener  taken in every case.
 *  Errors: SB_UNAVAILABLE: there is no proxy; the text says why. Nothing gets out then. */
int sb_egress_join(struct sb_egress *egress,
                   struct sb_sandbox *sandbox,
                   int listener,
                   struct sb_err *err);
/** The rules of its policy are others. Its observers hear when that is in force. */
void sb_egress_change(struct sb_egress *egress, struct sb_sandbox *sandbox);
/** No change waits to be in force. */
bool sb_egress_is_settled(const struct sb_sandbox *sandbox);
/** Ends every connection of it. Twice is harmless. */
void sb_egress_leave(struct sb_egress *egress, struct sb_sandbox *sandbox);
/** The same, of one that comes back: its secrets stay. */
void sb_egress_part(struct sb_egress *egress, struct sb_sandbox *sandbox);

/** Hears what the proxy has said so far: what was refused to a program that ended. */
void sb_egress_settle(struct sb_egress *egress);

/** NULL: the proxy runs, or nobody has needed it; else why it does not. */
const char *sb_egress_failure(const struct sb_egress *egress);
