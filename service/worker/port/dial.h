#pragma once
/** A connection to a server inside, which init makes (SB_INIT_CONNECT). Loop thread. */
#include <event2/event_struct.h>
#include <stdint.h>

struct sb_err;
struct sb_sandbox;

/** Zeroed, with sock -1, before the first use. */
struct sb_dial {
    const struct sb_sandbox *sandbox; /* borrowed */
    uint16_t port;
    int sock; /* -1: nothing is asked */
    struct event readable;
    struct event timer;
    /** Once; never from within sb_dial_start. @fd  connected, non-blocking, the callee's; -1: err.
     */
    void (*done)(void *ctx, int fd, const struct sb_err *err);
    void *ctx;
};

/** Asks; done() follows unless it is stopped. @dial  sandbox, port, done and ctx are set.
 *  Errors: SB_UNAVAILABLE: init does not take requests now. What done() tells: SB_UNAVAILABLE:
 *  nothing listens; SB_DEADLINE: nobody accepted; SB_ABORTED; SB_EXHAUSTED: no process or socket
 *  more may be made inside. */
int sb_dial_start(struct sb_dial *dial, struct sb_err *err);
void sb_dial_stop(struct sb_dial *dial);
