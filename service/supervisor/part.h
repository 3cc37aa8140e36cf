#pragma once
/** One program that is kept running.
 *
 *   IDLE <-> STARTING -> RUNNING -> STOPPING -> IDLE
 *               |           |
 *               +-----------+--> BACKOFF -> STARTING
 *
 *  It is RUNNING when it said READY on the descriptor of --ready-fd. One that ends without being
 *  asked is started again: at first soon, then after twice as long each time, at most
 *  SB_PART_MAX_BACKOFF_MS; every wait is logged. After SB_PART_WELL_MS of running the wait is short
 *  again. It is given up in one case: when it never ran, and ends with SB_PART_MISUSED, it refuses
 *  its options, which another start would not change. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "service/supervisor/probe.h"
#include "service/supervisor/relay.h"

struct event;
struct event_base;
struct sb_err;

enum {
    SB_PART_MIN_BACKOFF_MS = 100,
    SB_PART_MAX_BACKOFF_MS = 30000,
    SB_PART_WELL_MS = 60000,
    SB_PART_START_MS = 60000, /* to say READY; then it is killed */
    SB_PART_MISUSED = 2,      /* exit status of our programs for wrong usage */
    SB_PART_MISSES = 3,       /* probes in a row without an answer; then it is killed */
    SB_PART_ARGS_MAX = 160,
    SB_PART_READY_FD = 3,   /* of the program, behind the sockets that it is given */
    SB_PART_LOWEST_FD = 16, /* of ours that it gets: beyond all that it has */
};

enum sb_part_state {
    SB_PART_IDLE,
    SB_PART_STARTING,
    SB_PART_RUNNING,
    SB_PART_STOPPING,
    SB_PART_BACKOFF,
};

struct sb_part;

/** What the owner is told. */
struct sb_part_events {
    void (*ready)(struct sb_part *part, void *ctx);
    void (*stopped)(struct sb_part *part, void *ctx); /* it was asked to */
    void (*refused)(struct sb_part *part, void *ctx); /* its options; it is IDLE */
    void (*changed)(struct sb_part *part, void *ctx); /* of its state, or whether it is well */
};

struct sb_part {
    const char *name;                   /* "worker" */
    const char *argv[SB_PART_ARGS_MAX]; /* borrowed; ends with NULL */
    const int *given;                   /* listening sockets, borrowed; from SB_PART_LOWEST_FD on */
    size_t n_given;
    struct event_base *base;
    const struct sb_part_events *events;
    void *ctx;
    bool is_json; /* its log */

    enum sb_part_state state;
    pid_t pid;           /* 0: none */
    uint64_t grace_ms;   /* to stop in; then it is killed */
    uint64_t backoff_ms; /* of the next wait */
    uint64_t since_ms;   /* monotonic, of the state */
    uint64_t restarts;   /* since the supervisor began */
    char why[256];       /* how it last ended, "" when it did not */
    int port;            /* that READY told; 0 */
    int ready_fd;        /* -1 */
    struct event *ready; /* reads ready_fd */
    struct event *timer; /* of the state */
    struct sb_relay relay;
    struct sb_probe probe;
    struct event *probe_timer;
    uint64_t probe_every_ms;
    unsigned misses;
    bool has_run;     /* once at least */
    bool is_well;     /* the last probe was answered */
    uint64_t well_ms; /* monotonic, of that */
    char unwell_why[256];
};

/** name, argv, given, events, ctx, is_json, grace_ms, probe.ask and probe_every_ms are the owner's
 * to set before. Errors: SB_EXHAUSTED. */
int sb_part_init(struct sb_part *part, struct event_base *base, struct sb_err *err);
void sb_part_done(struct sb_part *part);

void sb_part_start(struct sb_part *part);
/** SIGTERM; SIGKILL after grace_ms. stopped() follows, at once when nothing runs. Called again: the
 *  signal again, which our programs take as "in a hurry". */
void sb_part_stop(struct sb_part *part);
/** A process ended. False: it is another's. */
bool sb_part_reaped(struct sb_part *part, pid_t pid, int status);

const char *sb_part_state_name(enum sb_part_state state);
