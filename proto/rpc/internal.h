#pragma once
/** The seam between the call interface (rpc.h) and its transports. Nobody outside proto/rpc
 * includes this file.
 *
 *  Theory of operation, server. server.c owns the registry, admission, the list of live calls and
 * the drain. A transport embeds `struct sb_rpc_call` first in its own call struct, fills the fields
 * marked "transport", and then, on the loop thread only:
 *
 *    sb_rpc_call_init()      as soon as the request is known to be for a registered method
 *    sb_rpc_call_begin()     hands over the request (checked and unpacked); the call is admitted or
 *                            finished at once (draining, too many calls, method without handler)
 *    sb_rpc_call_message()   answers one read() with a message
 *    sb_rpc_call_half_close() answers one read() with the end of the client's messages
 *    sb_rpc_call_drained()   its queue fell to SB_RPC_LOW_BYTES after it had been over the high
 * mark sb_rpc_call_end()       exactly once, last: the final status was written out, or the call
 * was cancelled, or its deadline passed, or its connection is gone. Runs done() and drops the
 * transport's reference; the call may be freed.
 *
 *  The upper side calls `struct sb_rpc_call_ops`, on the loop thread only. None of them may call
 * back into the handler before it returns: what follows from them is delivered by a later turn of
 * the loop.
 *
 *  Theory of operation, client. `struct sb_rpc_channel` and `struct sb_rpc_stream` are bases in the
 * same way. channel.c checks arguments and picks the transport; the transport runs the callbacks
 * from inside process() and free(), never from inside start(), send() or cancel(). */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/list.h"
#include "proto/rpc/rpc.h"

enum {
    SB_RPC_MAX_TRAILERS = 8,
    SB_RPC_MAX_METADATA_BYTES = 8192, /* keys and values of one call */
};

/* ---- server ---- */

/** One registered method. Lives as long as the server; its address is stable. */
struct sb_rpc_registration {
    const struct sb_rpc_method *method;
    struct sb_rpc_handler handler;
    void *svc;
    void *transport_slot; /* free for the gRPC transport (its grpc_server_register_method handle) */
};

/** Owned by the call. value is NUL-terminated one past len. */
struct sb_rpc_trailer {
    char *key;
    char *value;
    size_t len;
};

struct sb_rpc_call_ops {
    /** One more client message is wanted. server.c guarantees that at most one is outstanding and
     * that the call is neither finished nor ended. */
    void (*read)(struct sb_rpc_call *call);
    /** Tells the client; once, of client streams with a single reply, never after finish or end. */
    void (*accept)(struct sb_rpc_call *call);
    /** Packs and queues. False over SB_RPC_HIGH_BYTES. Never called after finish or end. */
    bool (*send)(struct sb_rpc_call *call, const ProtobufCMessage *msg);
    /** Final status, after `reply` when it is not NULL; `status->code` SB_OK or an error.
     * call->trailers are complete. Called once at most, never after end. */
    void (*finish)(struct sb_rpc_call *call,
                   const ProtobufCMessage *reply,
                   const struct sb_err *status);
    /** Drops what is queued and ends the call with this status as soon as possible (end of the
     * drain's grace, server_free); sb_rpc_call_end(cancelled) follows. May come after finish. */
    void (*abort)(struct sb_rpc_call *call, const struct sb_err *status);
    /** Last reference dropped: frees the whole transport struct. Loop thread. */
    void (*free)(struct sb_rpc_call *call);
};

struct sb_rpc_call {
    /* transport: set before sb_rpc_call_init */
    const struct sb_rpc_call_ops *ops;
    struct sb_rpc_peer peer;                /* strings owned by the transport, until free */
    const struct sb_rpc_metadata *metadata; /* the same; values NUL-terminated one past len */
    size_t n_metadata;
    int peer_fd;             /* the unix connection, borrowed; -1 for TCP */
    uint64_t deadline_ms;    /* CLOCK_MONOTONIC; UINT64_MAX: none */
    int fds[SB_RPC_MAX_FDS]; /* -1: none or taken; what is left is closed by the base */
    unsigned n_fds;

    /* server.c's own; a transport may read them */
    struct sb_rpc_server *server;
    const struct sb_rpc_registration *reg;
    struct sb_list in_live; /* live calls of the server */
    void *user;
    unsigned refs;
    struct sb_rpc_trailer trailers[SB_RPC_MAX_TRAILERS];
    unsigned n_trailers;
    void *ticket;           /* the gate's */
    ProtobufCMessage *held; /* what waits at the gate: the request, or a message */
    bool is_held;
    bool is_entered;   /* leave() of the gate is owed */
    bool is_live;      /* counted: begin() admitted it */
    bool is_started;   /* handler.start ran: done() is owed */
    bool is_reading;   /* a read() is outstanding */
    bool is_accepted;  /* accept was called */
    bool is_looking;   /* a drain does not wait for it */
    bool is_finished;  /* finish was called */
    bool is_ended;     /* end was called */
    bool is_cancelled; /* ended by something else than finish */
    enum sb_code code; /* of finish */
    uint64_t begin_ns; /* monotonic */
};

/** Looks a method up by "/package.Service/Method"; NULL when there is none. Any thread after start.
 */
const struct sb_rpc_registration *sb_rpc_server_find(const struct sb_rpc_server *server,
                                                     const char *path);
/** The i-th registration, NULL behind the last: for transports that register per method. */
struct sb_rpc_registration *sb_rpc_server_registration(struct sb_rpc_server *server, size_t i);
/** Options with every default filled. */
const struct sb_rpc_server_options *sb_rpc_server_get_options(const struct sb_rpc_server *server);

/** Fills the base; one reference, the transport's, dropped by sb_rpc_call_end. */
void sb_rpc_call_init(struct sb_rpc_call *call,
                      struct sb_rpc_server *server,
                      const struct sb_rpc_registration *reg);
/** @req  NULL for client-stream methods. Taken over, as msg below: a gate may hold it. */
void sb_rpc_call_begin(struct sb_rpc_call *call, ProtobufCMessage *req);
void sb_rpc_call_message(struct sb_rpc_call *call, ProtobufCMessage *msg);
void sb_rpc_call_half_close(struct sb_rpc_call *call);
void sb_rpc_call_drained(struct sb_rpc_call *call);
void sb_rpc_call_end(struct sb_rpc_call *call, bool cancelled);
/** Ends with the status of a request that never reached begin (malformed message): finish without
 * handler. */
void sb_rpc_call_refuse(struct sb_rpc_call *call, const struct sb_err *err);

/** server.c to call.c: counts the call, or says why not (SB_UNAVAILABLE: draining; SB_EXHAUSTED).
 */
int sb_rpc_server_admit(struct sb_rpc_server *server, struct sb_rpc_call *call, struct sb_err *err);
void sb_rpc_server_retire(struct sb_rpc_server *server, struct sb_rpc_call *call);
/** NULL: there is none. */
const struct sb_rpc_gate *sb_rpc_server_gate(const struct sb_rpc_server *server, void **ret_ctx);

/** What the gRPC library gives to the server: `sb_rpc_grpc_server_transport()`. All on the loop
 * thread. */
struct sb_rpc_server_transport {
    unsigned abi; /* SB_RPC_SERVER_ABI: a module may be of another build */
    /** From sb_rpc_server_new, enable_grpc, or when a server that has started needs it. */
    int (*create)(struct sb_rpc_server *server, void **ret_state, struct sb_err *err);
    /** ipv4:, ipv6:, host:port. Before start. */
    int (*listen)(void *state,
                  const char *address,
                  const struct sb_rpc_tls *tls,
                  int *ret_port,
                  struct sb_err *err);
    /** After the last sb_rpc_server_add. */
    int (*start)(void *state, struct sb_err *err);
    /** An accepted, non-blocking unix connection whose first byte was 'P' (HTTP/2 preface; only
     * peeked at). Takes the fd in every case. */
    void (*adopt)(void *state, int fd, const struct ucred *cred);
    void (*describe)(void *state, const struct sb_rpc_descriptors *descriptors);
    void (*set_health)(void *state, const char *service, enum sb_rpc_health health);
    /** GOAWAY; requests that arrive from now on are refused. Calls
     * sb_rpc_server_transport_is_quiet() once the last connection is done with. */
    void (*drain)(void *state);
    /** Live calls were aborted before; delivers what is still owed (end), joins its threads, frees.
     */
    void (*free)(void *state);
};
enum { SB_RPC_SERVER_ABI = 1 };
#define SB_RPC_SERVER_MODULE_FILE   "aisbx-rpc-grpc-server.so"
#define SB_RPC_SERVER_MODULE_SYMBOL "sb_rpc_grpc_server_transport"
typedef const struct sb_rpc_server_transport *(*sb_rpc_server_module_entry)(void);
void sb_rpc_server_transport_is_quiet(struct sb_rpc_server *server);

/* ---- client ---- */

struct sb_rpc_start {
    const struct sb_rpc_method *method;
    const ProtobufCMessage *req;
    const struct sb_rpc_stream_options *options; /* never NULL */
    const struct sb_rpc_stream_callbacks *callbacks;
    void *user;
};

struct sb_rpc_channel_ops {
    /** Arguments are checked: req against flags, metadata, number of fds. Fills a stream whose base
     * fields method, callbacks, user and channel are set by the transport from the arguments. */
    int (*start)(struct sb_rpc_channel *channel,
                 const struct sb_rpc_start *start,
                 struct sb_rpc_stream **ret_stream,
                 struct sb_err *err);
    int (*prepare)(struct sb_rpc_channel *channel, struct pollfd *ret_pfd);
    void (*process)(struct sb_rpc_channel *channel);
    /** Whether wait() stands for prepare, poll and process now; NULL: never. */
    bool (*can_wait)(const struct sb_rpc_channel *channel);
    void (*wait)(struct sb_rpc_channel *channel);
    void (*free)(struct sb_rpc_channel *channel); /* runs done(SB_CANCELLED) of what lives */
};

struct sb_rpc_stream_ops {
    void (*read)(struct sb_rpc_stream *stream);
    bool (*send)(struct sb_rpc_stream *stream, const ProtobufCMessage *msg);
    void (*half_close)(struct sb_rpc_stream *stream);
    void (*cancel)(struct sb_rpc_stream *stream); /* done(SB_CANCELLED) from the next process() */
    const char *(*trailer)(const struct sb_rpc_stream *stream, const char *key, size_t *ret_len);
};

struct sb_rpc_channel {
    const struct sb_rpc_channel_ops *ops;
    void *module; /* dlopen handle, never closed: libgrpc does not survive it */
    bool is_processing;
};

struct sb_rpc_stream {
    const struct sb_rpc_stream_ops *ops;
    struct sb_rpc_channel *channel;
    const struct sb_rpc_method *method;
    struct sb_rpc_stream_callbacks callbacks; /* any may be NULL */
    void *user;
    /** Set by a message callback that keeps the message: the transport then does not free it. */
    bool is_message_taken;
};

/** A client transport. The module `aisbx-rpc-grpc.so` exports
 * `const struct sb_rpc_client_transport *sb_rpc_grpc_transport(void)`. */
struct sb_rpc_client_transport {
    unsigned abi; /* SB_RPC_CLIENT_ABI */
    int (*open)(const char *address,
                const struct sb_rpc_channel_options *options, /* never NULL, defaults filled */
                struct sb_rpc_channel **ret_channel,
                struct sb_err *err);
};
enum { SB_RPC_CLIENT_ABI = 3 };
#define SB_RPC_MODULE_FILE   "aisbx-rpc-grpc.so"
#define SB_RPC_MODULE_SYMBOL "sb_rpc_grpc_transport"
typedef const struct sb_rpc_client_transport *(*sb_rpc_module_entry)(void);
