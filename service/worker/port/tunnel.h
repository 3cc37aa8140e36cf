#pragma once
/** One connection from outside to a server in a sandbox.
 *
 *  Theory of operation. Bytes go both ways by hand: at most one piece waits for the server, and
 *  none is read from it while the other side has enough. So what one tunnel holds is bounded, and
 *  whoever does not read stops only who sends to it. The socket is never trusted to be
 *  non-blocking: every call on it says so itself. Loop thread. */
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"
#include "service/worker/port/dial.h"

struct sb_err;
struct sb_port;

/** What it tells. Never called from within sb_tunnel_new. A callback may free the tunnel. */
struct sb_tunnel_events {
    /** The connection stands. */
    void (*opened)(void *ctx);
    /** Bytes of the server, borrowed. False: enough for now, until sb_tunnel_resume. */
    bool (*data)(void *ctx, const void *data, size_t len);
    /** The server sends no more. */
    void (*ended)(void *ctx);
    /** sb_tunnel_send takes the next piece; first after opened(). */
    void (*ready)(void *ctx);
    /** Exactly once, last. err->code SB_OK: both sides have ended. */
    void (*done)(void *ctx, const struct sb_err *err);
};

struct sb_tunnel {
    struct sb_list link;        /* of its port; unlinked: cut */
    struct sb_port *port;       /* NULL: cut */
    struct sb_sandbox *sandbox; /* a reference */
    const struct sb_tunnel_events *events;
    void *ctx;
    struct sb_dial dial;
    int fd; /* -1: not yet, or no more */
    struct event readable;
    struct event writable;
    unsigned char *piece; /* owned: what the server did not take at once */
    size_t piece_len;
    size_t piece_at;
    bool is_paused;
    bool has_ended;    /* the server sends no more */
    bool is_deaf;      /* the server takes no more, and may have said something before */
    bool is_finishing; /* the caller sends no more */
    bool has_finished; /* and the server was told */
    bool is_over;      /* done() was called */
    bool *ret_freed;   /* set to true by free while a callback runs */
};

/** @events  static.   Errors: of sb_ports_check and sb_dial_start; SB_EXHAUSTED: too many. */
int sb_tunnel_new(struct sb_port *port,
                  const struct sb_tunnel_events *events,
                  void *ctx,
                  struct sb_tunnel **ret_tunnel,
                  struct sb_err *err);
/** Resets the connection unless it is over. NULL is fine. */
void sb_tunnel_free(struct sb_tunnel *tunnel);

/** Sends a piece; after ready(). Copied where it must wait. ready() follows, perhaps from within.
 *  When memory is out, done() follows instead. */
void sb_tunnel_send(struct sb_tunnel *tunnel, const void *data, size_t len);
/** The caller sends no more. */
void sb_tunnel_finish(struct sb_tunnel *tunnel);
/** Reads on. */
void sb_tunnel_resume(struct sb_tunnel *tunnel);
/** Ends it from our side: done() with why. */
void sb_tunnel_cut(struct sb_tunnel *tunnel, const struct sb_err *why);
