#pragma once
/** A sandbox is frozen, and thawed. Everything runs on the loop thread.
 *
 *  Theory of operation. PAUSED begins with the wish: from then on nothing new starts inside, execs
 *  wait, and the clocks of those that run stand still. The spawner is asked until all is frozen, at
 *  most SB_MAX_FREEZE_MS; what cannot be frozen is RUNNING again. Wishes may change while the
 *  spawner is asked: the last one counts, and one question is under way at a time. */

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct sb_sandbox;

struct sb_pause {
    bool wants;     /* to be frozen */
    bool is_frozen; /* every process of it */
    bool is_asking;
    bool asked_to_freeze; /* or to thaw */
    uint64_t since_ms;    /* monotonic; PAUSED since, 0: it is not */
    uint64_t deadline_ms; /* monotonic; for it to be frozen */
    struct event timer;   /* until it is asked again */
    struct sb_err err;    /* why the last wish to freeze it failed; SB_OK: it did not */
};

/** Wishes it frozen. Observers of the sandbox are told when sb_pause_is_frozen, or when it is
 * RUNNING again: pause.err says why. Twice is harmless. Errors: SB_PRECONDITION: its state. */
int sb_pause_begin(struct sb_sandbox *sandbox, struct sb_err *err);
/** Wishes it thawed; observers are told when it is RUNNING. Harmless when it is.
 *  Errors: SB_PRECONDITION: its state. */
int sb_pause_end(struct sb_sandbox *sandbox, struct sb_err *err);
/** Nothing inside runs, and nothing will until sb_pause_end, unless it is destroyed. */
bool sb_pause_is_frozen(const struct sb_sandbox *sandbox);

/* ---- for sandbox.c and sandbox_make.c ---- */

void sb_pause_init(struct sb_sandbox *sandbox);
/** It ends, and is not PAUSED any more: nothing is asked, and the clocks of its execs run on. */
void sb_pause_stop(struct sb_sandbox *sandbox);
