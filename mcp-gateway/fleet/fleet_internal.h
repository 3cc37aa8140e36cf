#pragma once
/** What the files of a fleet share. */
#include <event2/event.h>

#include "base/err.h"
#include "base/list.h"
#include "mcp-gateway/fleet/fleet.h"
#include "mcp-gateway/fleet/member.h"
#include "mcp-gateway/fleet/place.h"
#include "mcp-gateway/fleet/way.h"

struct sb_claim;
struct sb_members;
struct sb_merge;
struct sb_rates;
struct sb_rates_ask;

enum {
    SB_FLEET_WAIT_MS = 3000, /* for workers that are being connected */
    SB_FLEET_TRIES = 4,      /* workers that are asked to make one thing */
    SB_FLEET_PENDING = 16,   /* messages of a client stream that wait for a worker */
};

struct sb_fleet {
    struct sb_fleet_options options;
    struct sb_members *names;
    struct sb_rates *rates; /* NULL: there is no shared store */
    struct sb_list members; /* struct sb_member */
    unsigned n_members;
    struct sb_list calls;
    struct event *news; /* members have changed */
    bool has_looked;    /* names were looked up once */
    bool is_closing;
    uint64_t random;
};

/** A member's state has changed: calls that wait look again, soon. */
void sb_fleet_changed(struct sb_fleet *fleet);
/** Frees it. */
void sb_fleet_forget(struct sb_fleet *fleet, struct sb_member *member);
/** The one whose id has that tag; NULL: none. */
struct sb_member *sb_fleet_by_tag(const struct sb_fleet *fleet, struct sb_str tag);
bool sb_fleet_is_up(const struct sb_member *member);
/** Nobody is being connected for the first time. */
bool sb_fleet_is_settled(const struct sb_fleet *fleet);
uint64_t sb_fleet_random(struct sb_fleet *fleet);

/** A message of a client stream that waits. */
struct sb_pending {
    struct sb_list node;
    ProtobufCMessage *message;
};

struct sb_fleet_call {
    struct sb_list node; /* fleet->calls */
    struct sb_fleet *fleet;
    const struct sb_fleet_callbacks *callbacks;
    void *user;
    const struct sb_way *way;
    const struct sb_rpc_method *method;
    ProtobufCMessage *message;        /* a copy: it may be sent again; NULL: client streams */
    struct sb_rpc_metadata *metadata; /* a copy, with its texts behind */
    size_t n_metadata;
    uint64_t deadline_ms; /* monotonic; 0: none */
    struct event *timer;  /* of a call that waits, or fails soon */
    bool is_waiting;
    bool is_failing; /* failure comes to done() */
    bool has_sent;   /* of a client stream: the first message */
    bool has_leg;
    bool has_begun; /* the caller was told something of its worker's */
    bool is_cancelled;
    bool is_half_closed;
    bool wants_read;
    bool owes_drained;
    struct sb_leg leg;
    const struct sb_leg *ended; /* whose trailers are the call's, within done() */
    const char *reason;         /* of a failure of ours: a trailer */
    const char *retry_ms;
    struct sb_rates_ask *rate; /* NULL: it was not asked for */
    struct sb_err failure;
    struct sb_list pending;
    unsigned n_pending;
    struct sb_member *tried[SB_FLEET_TRIES]; /* only compared */
    unsigned n_tried;
    struct sb_claim *claim;
    struct sb_merge *merge;
};

/* ---- call.c ---- */

/** Goes where it belongs, or waits, or fails later. */
void sb_fleet_route(struct sb_fleet_call *call);
/** done() follows, from the loop. */
void sb_fleet_fail(struct sb_fleet_call *call, const struct sb_err *err);
/** The same for what is lost. @code, fmt  as sb_err_set. */
void sb_fleet_fail_lost(struct sb_fleet_call *call, enum sb_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/** done(), and the call is gone. From the loop only. */
void sb_fleet_finish(struct sb_fleet_call *call, const struct sb_err *err);
/** Fails with UNAVAILABLE, for now. */
void sb_fleet_fail_unavailable(struct sb_fleet_call *call, const char *text);
/** Who calls: the credential that a worker would judge it by; "": none. */
const char *sb_fleet_caller(const struct sb_fleet_call *call);
/** For a stream of the call. */
struct sb_rpc_stream_options sb_fleet_stream_options(const struct sb_fleet_call *call);
/** Waits for members; routed again when they have changed. */
void sb_fleet_wait(struct sb_fleet_call *call);
/** Somebody has been asked, with a deadline of its own. */
void sb_fleet_stop_waiting(struct sb_fleet_call *call);
void sb_fleet_begin(struct sb_fleet_call *call, struct sb_member *member);
/** What a leg's end means, where its worker did not say it: it is lost. */
bool sb_fleet_is_loss(const struct sb_leg *leg, const struct sb_err *err);

/* ---- claim.c ---- */

/** Asks @witness, and the shared store if there is one, whether the call with this request_id has
 *  been begun, and where; then begins it there, or at @first. @witness may be @first. */
void sb_claim_ask(struct sb_fleet_call *call, struct sb_member *witness, struct sb_member *first);
/** The worker that had it has said that nothing was done: the witness forgets it, then the call is
 *  routed again. False: there is nothing to forget. */
bool sb_claim_release(struct sb_fleet_call *call);
void sb_claim_cancel(struct sb_fleet_call *call);
void sb_claim_free(struct sb_claim *claim);
