#pragma once
/** Many workers behind one gateway, as one.
 *
 *  Theory of operation. Every id that a worker makes begins with the same six characters as its own
 *  (base/id.h), so that any gateway that knows which workers there are routes any id: nothing is
 *  stored, shared or rewritten, and a gateway that was started again knows as much as before.
 *
 *    members.h  where workers are: a list, names that are looked up again and again
 *    member.h   one of them: connection, state, load, the calls that are there
 *    way.h      which of them a call is for: a row for each method
 *    place.h    where something new is made
 *    call.c     one call: waits for members, goes to one, or to the next when that one has no room
 *    claim.c    before a call with a request_id: was it begun elsewhere?
 *    rates.h    before any call: what all gateways together may do, where there is a shared store
 *    merge.h    one call to all of them
 *
 *  What a worker that is lost had is lost with it, and so is told ("worker_lost"). Whether a call
 *  that was under way there was done nobody knows; it is never begun again elsewhere, unless the
 *  worker itself has said that nothing was done (the trailer "x-aisbx-elsewhere").
 *  One thread. Callbacks run from the loop, never from inside the functions below. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/rpc/rpc.h"

struct event_base;
struct sb_err;
struct sb_fleet;
struct sb_fleet_call;
struct sb_shared;

struct sb_fleet_options {
    struct event_base *base;  /* borrowed, as all here */
    const char *workers;      /* see members.h */
    const char *key;          /* the gateway's own; NULL: $AISBX_API_KEY */
    struct sb_shared *shared; /* what all gateways know (shared/shared.h); NULL: nothing */
};

/** Errors: SB_INVALID: workers; SB_EXHAUSTED; those of threads. */
int sb_fleet_new(const struct sb_fleet_options *options,
                 struct sb_fleet **ret_fleet,
                 struct sb_err *err);
/** Calls that live get done() with SB_CANCELLED. NULL is fine. */
void sb_fleet_free(struct sb_fleet *fleet);

/** Of each worker: how it is. */
struct sb_fleet_worker {
    const char *address;
    const char *id;    /* "": not known */
    const char *state; /* "connecting", "serving", "draining", "lost" */
    unsigned calls;    /* under way there */
};
void sb_fleet_each(const struct sb_fleet *fleet,
                   void (*tell)(const struct sb_fleet_worker *worker, void *ctx),
                   void *ctx);

/** As sb_backend_callbacks. */
struct sb_fleet_callbacks {
    void (*message)(struct sb_fleet_call *call, const ProtobufCMessage *message, void *user);
    void (*drained)(struct sb_fleet_call *call, void *user);
    void (*accepted)(struct sb_fleet_call *call, void *user);
    void (*done)(struct sb_fleet_call *call, const struct sb_err *err, void *user);
};

struct sb_fleet_request {
    const struct sb_rpc_method *method;
    const ProtobufCMessage
        *message;        /* NULL: client streams; the first one sent says where it goes */
    uint64_t timeout_ms; /* 0: none */
    const struct sb_rpc_metadata *metadata;
    size_t n_metadata;
};

/** Borrows nothing behind its return. Errors: SB_EXHAUSTED; whatever else comes to done(). */
int sb_fleet_start(struct sb_fleet *fleet,
                   const struct sb_fleet_request *request,
                   const struct sb_fleet_callbacks *callbacks,
                   void *user,
                   struct sb_fleet_call **ret_call,
                   struct sb_err *err);
void sb_fleet_read(struct sb_fleet_call *call);
bool sb_fleet_send(struct sb_fleet_call *call, const ProtobufCMessage *message);
void sb_fleet_half_close(struct sb_fleet_call *call);
void sb_fleet_cancel(struct sb_fleet_call *call);
/** Within done() only. */
const char *sb_fleet_trailer(const struct sb_fleet_call *call, const char *key);
