#pragma once
/** The connection to the store: opened, kept and opened again, with TLS where the URL says so.
 *
 *    LOOKING --has an address--> CONNECTING --connected--> GREETING --it knows us--> UP
 *       ^                            |                        |                      |
 *       |                            +------> DOWN <----------+----------------------+
 *       +--- the name has none ---------------+  after a while: CONNECTING
 *
 *  Names are looked up as those of workers are (fleet/members.h), as libc's resolver blocks and
 *  hiredis' own connections call it. Questions are asked one behind the other and answered in that
 *  order; one that is not answered in time ends the connection, as what comes then belongs to
 *  nobody. One thread. Callbacks run from the loop, never from inside the functions below. */
#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "mcp-gateway/shared/resp.h"
#include "mcp-gateway/shared/url.h"

struct sb_wire;

enum {
    SB_WIRE_ANSWER_MS = 1000,  /* to wait for a connection, and for an answer */
    SB_WIRE_CONNECT_MS = 3000, /* to connect and greet */
    SB_WIRE_IDLE_MS = 2000,    /* then it is asked whether it is still there */
    SB_WIRE_AGAIN_MS = 100,    /* after the first loss; doubled for each that follows */
    SB_WIRE_AGAIN_MAX_MS = 5000,
    SB_WIRE_ASKS_MAX = 1024, /* at once */
};

enum sb_wire_state {
    SB_WIRE_LOOKING,
    SB_WIRE_CONNECTING,
    SB_WIRE_GREETING,
    SB_WIRE_UP,
    SB_WIRE_DOWN,
    SB_WIRE_STATES_,
};

/** Files are PEM; NULL: none. All borrowed, for as long as the wire lives. */
struct sb_wire_options {
    struct event_base *base;
    const struct sb_url *url;
    const char *password; /* instead of the URL's */
    const char *ca;       /* NULL: the system's authorities */
    const char *cert;
    const char *key;
};

/** Begins to connect. Errors: SB_INVALID: files of TLS; SB_EXHAUSTED. */
int sb_wire_new(const struct sb_wire_options *options,
                struct sb_wire **ret_wire,
                struct sb_err *err);
/** Questions that live are answered with SB_CANCELLED. NULL is fine. */
void sb_wire_free(struct sb_wire *wire);

/** @err  SB_OK: *answer is there, which is never an error of the store's.   Else SB_UNAVAILABLE, or
 *  SB_PRECONDITION with the store's own words. Borrowed for the call. */
typedef void
sb_wire_answered(void *ctx, const struct sb_resp_answer *answer, const struct sb_err *err);

/** Asks. Errors: SB_UNAVAILABLE: there is no connection, or too many wait; then nothing is called.
 *  SB_EXHAUSTED. */
int sb_wire_ask(struct sb_wire *wire,
                const struct sb_str *words,
                size_t n,
                sb_wire_answered *answered,
                void *ctx,
                struct sb_err *err);

enum sb_wire_state sb_wire_state_of(const struct sb_wire *wire);
/** Why there is no connection: what may be said to anybody. "" when there is one. */
const char *sb_wire_trouble(const struct sb_wire *wire);
