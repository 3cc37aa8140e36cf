#pragma once
/** The worker, or many of them as if they were one (fleet/fleet.h), as the gateway's one event loop
 *  sees it.
 *
 *  Theory of operation. The channel is opened by the first call, and again after it broke; nothing
 *  happens before, for desktop programs start a second copy of us only to look. Every call carries
 *  the credential of who made it, so that the worker decides and not we. One thread. Callbacks run
 *  from the loop, never from inside the functions below.
 *
 *  What a client of ours on the network must be told apart by, goes as metadata: "x-api-key",
 *  "x-aisbx-via", "x-aisbx-identity", "x-aisbx-peer", "x-aisbx-protocol"; and "traceparent",
 *  "tracestate". */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/trace.h"
#include "proto/rpc/rpc.h"

struct event_base;
struct sb_backend;
struct sb_backend_call;
struct sb_err;
struct sb_fleet;
struct sb_shared;
struct sb_shared_options;

/** Who asks. All borrowed until the call is started; NULL where there is none. */
struct sb_backend_caller {
    const char *key;        /* API key, from X-API-Key or Authorization: Bearer */
    const char *identity;   /* subject of the client's certificate */
    const char *peer;       /* "127.0.0.1:4711" */
    const char *protocol;   /* "mcp", "rest" */
    struct sb_trace trace;  /* that the call is part of; zero: none */
    const char *tracestate; /* checked; that comes with it */
    bool is_remote;         /* somebody on the network: without key and identity nobody */
};

struct sb_backend_options {
    struct event_base *base;                /* borrowed */
    const char *address;                    /* NULL: $AISBX_ADDRESS, else the worker of one's own */
    const char *workers;                    /* instead: many of them (fleet/members.h); NULL: one */
    const struct sb_shared_options *shared; /* with workers: a store of all gateways; NULL: none */
    const char *key;    /* for callers without one that are not remote; NULL: $AISBX_API_KEY */
    bool serves_others; /* who calls comes over a network: nothing is bound with our rights */
};

/** Connects to no worker yet. Strings are borrowed. Errors: SB_EXHAUSTED; SB_INVALID: workers, the
 *  shared store. */
int sb_backend_new(const struct sb_backend_options *options,
                   struct sb_backend **ret_backend,
                   struct sb_err *err);
/** Calls that live get done() with SB_CANCELLED. */
void sb_backend_free(struct sb_backend *backend);
/** Calls that live. */
unsigned sb_backend_live(const struct sb_backend *backend);

/** What happens to a call. Messages are borrowed for the callback. */
struct sb_backend_callbacks {
    /** Unary calls: the reply, before done. Streams: one for each sb_backend_read. */
    void (*message)(struct sb_backend_call *call, const ProtobufCMessage *message, void *user);
    /** The queue of sb_backend_send is low again; may be NULL. */
    void (*drained)(struct sb_backend_call *call, void *user);
    /** The worker takes the content of a client stream: see sb_rpc_call_accept; may be NULL. */
    void (*accepted)(struct sb_backend_call *call, void *user);
    /** Exactly once, last; the call is gone when it returns. Trailers are readable. */
    void (*done)(struct sb_backend_call *call, const struct sb_err *err, void *user);
};

struct sb_backend_request {
    const struct sb_backend_caller *caller;
    const struct sb_rpc_method *method;
    const ProtobufCMessage *message; /* NULL: client streams */
    uint64_t timeout_ms;             /* 0: none */
};

/** Starts a call of any kind. May block while a worker of one's own is started.
 *  @callbacks  static lifetime.
 *  Errors: SB_UNAVAILABLE: no worker, text with the next step; SB_INVALID: a credential that cannot
 *  travel; and those of the connection. Then nothing is called. */
int sb_backend_start(struct sb_backend *backend,
                     const struct sb_backend_request *request,
                     const struct sb_backend_callbacks *callbacks,
                     void *user,
                     struct sb_backend_call **ret_call,
                     struct sb_err *err);
/** Asks for the next message of a server stream. */
void sb_backend_read(struct sb_backend_call *call);
/** False: enough is queued, wait for drained(); the message is queued all the same. */
bool sb_backend_send(struct sb_backend_call *call, const ProtobufCMessage *message);
void sb_backend_half_close(struct sb_backend_call *call);
/** done() follows with SB_CANCELLED, or with what was already on its way. */
void sb_backend_cancel(struct sb_backend_call *call);
/** A trailer; within done() only. NULL when absent. */
const char *sb_backend_trailer(const struct sb_backend_call *call, const char *key);
/** Whether the worker is on another machine, or at least not known to be on this one. */
bool sb_backend_is_remote(const struct sb_backend *backend);
/** The many; NULL: there is one. Borrowed. */
const struct sb_fleet *sb_backend_fleet(const struct sb_backend *backend);
/** The store of all gateways; NULL: there is none. Borrowed. */
const struct sb_shared *sb_backend_shared(const struct sb_backend *backend);
