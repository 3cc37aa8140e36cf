#pragma once
#include <linux/sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Threads that clone children which share the spawner's memory; theory of operation: lane.c. */

enum { SB_LANES_MAX = 64 }; /* clones that have not become another program yet */

struct sb_lane;

/** Zeroed memory has no lanes; they come with need. */
struct sb_lanes {
    struct sb_lane *lanes[SB_LANES_MAX]; /* the first n; owned */
    size_t n;
};

/** What to clone. */
struct sb_lane_job {
    struct clone_args args;             /* flags for sharing memory, and a stack, are added */
    void (*run)(void *arg);             /* in the child; must not return */
    void (*failed)(void *arg, int sys); /* on a thread of the lanes: there is no child */
    void *arg; /* lives until the child is another program or dead, or failed has returned */
};

/** Starts a clone of the calling process and does not wait for it. What the child begins with
 *  (credentials, limits, signal mask) is what the calling thread had at the first call.
 *  Returns -1 when it cannot be made that way now: nothing has happened. The loop's thread. */
int sb_lanes_clone(struct sb_lanes *lanes, const struct sb_lane_job *job);

/** Ends the threads. One whose child hangs is left alone. */
void sb_lanes_done(struct sb_lanes *lanes);
