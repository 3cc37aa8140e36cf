#pragma once
/** One call interface, two transports.
 *
 *  Theory of operation. Generated code (`*.rpc.h`) describes every method by a `struct
 * sb_rpc_method` and calls the functions below; it never knows which transport carries a call.
 *
 *    server   every handler runs on one thread, the one that runs the event_base given to
 * sb_rpc_server_new. gRPC completion-queue threads check and unpack a message and post it there;
 * the local transport (ttrpc framing over a unix socket) lives on that thread altogether. Service
 * code therefore needs no lock. client   a channel is a pollable object owned by one thread:
 * prepare() says what to poll for, process() runs the callbacks. sb_rpc_call_unary and
 * sb_rpc_channel_wait are that loop for callers with nothing else to do.
 *
 *  Both sides pull: a message is delivered only after a read() asked for it, and send() returns
 * false once more than SB_RPC_HIGH_BYTES wait in the queue; drained() follows under
 * SB_RPC_LOW_BYTES. Memory per call is thereby bounded.
 *
 *  Every message is checked on the wire before it is unpacked (proto/rpc/wire.h): size, nesting
 * depth, number of elements, UTF-8 and NUL in strings. What fails is INVALID_ARGUMENT with the
 * field's name. */

#include <poll.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct event_base;
struct sb_rpc_server_transport;

enum {
    SB_RPC_MAX_MESSAGE_BYTES = 4 << 20,   /* one message on the wire; larger is SB_EXHAUSTED */
    SB_RPC_MAX_UNPACKED_BYTES = 32 << 20, /* heap one unpacked message may take */
    SB_RPC_MAX_DEPTH = 16,                /* nesting of one message */
    SB_RPC_HIGH_BYTES = 256 << 10,
    SB_RPC_LOW_BYTES = 64 << 10,
    SB_RPC_MAX_FDS = 4,       /* fds that may travel with the first message of a local call */
    SB_RPC_MAX_METADATA = 16, /* caller-set entries per call */
};

/* ---- what the plugin emits ---- */

enum sb_rpc_flags { SB_RPC_CLIENT_STREAM = 1, SB_RPC_SERVER_STREAM = 2 };

struct sb_rpc_method {
    const char *service; /* "aisbx.v1.SandboxService" */
    const char *name;    /* "CreateSandbox" */
    const char *path;    /* "/aisbx.v1.SandboxService/CreateSandbox" */
    const ProtobufCMessageDescriptor *in;
    const ProtobufCMessageDescriptor *out;
    unsigned flags; /* enum sb_rpc_flags */
};

/** Descriptors for server reflection: files in dependency order, symbols sorted by name. */
struct sb_rpc_file {
    const char *name;
    const uint8_t *data; /* serialized FileDescriptorProto, without source info */
    size_t len;
    const uint16_t *deps; /* indexes into files */
    size_t n_deps;
};
struct sb_rpc_symbol {
    const char *name;
    uint16_t file;
};
struct sb_rpc_descriptors {
    const struct sb_rpc_file *files;
    size_t n_files;
    const struct sb_rpc_symbol *symbols;
    size_t n_symbols;
    const char *const *services;
    size_t n_services;
};

/* ---- server ---- */

struct sb_rpc_server;
struct sb_rpc_call;

/** The gRPC transport, for sb_rpc_server_options.grpc. In library sb_rpc_grpc_server, so that only
 * who names it links libgrpc, and in the module of that name, for who loads it when it is needed.
 */
const struct sb_rpc_server_transport *sb_rpc_grpc_server_transport(void);

/** Opens aisbx-rpc-grpc-server.so, which lies beside the program, so that it can be loaded later,
 *  without the rights to get there. SB_NOT_FOUND: it is not there. */
int sb_rpc_grpc_server_find(int *ret_fd, struct sb_err *err);
/** Loads it, for ever. The program links sb_rpc_grpc_host. Returns NULL with *err.
 *  @fd  borrowed. */
const struct sb_rpc_server_transport *sb_rpc_grpc_server_load(int fd, struct sb_err *err);

/** Who calls. Valid as long as the call. */
struct sb_rpc_peer {
    const char *transport; /* "local", "unix", "tcp", "tls" */
    pid_t pid;             /* local, unix: SO_PEERCRED; else -1 */
    uid_t uid;             /* local, unix; else (uid_t)-1 */
    gid_t gid;
    const char
        *identity; /* mTLS: subject alternative name (URI, else DNS, else common name); else NULL */
    const char *address; /* "unix:" or "ipv4:127.0.0.1:4711"; never NULL */
};

/** Handlers of one method; all on the loop thread. `req` and `msg` are borrowed for the duration of
 * the callback. */
struct sb_rpc_handler {
    const void *impl; /* the generated table of typed callbacks, for the trampolines */
    void (*start)(struct sb_rpc_call *call,
                  const ProtobufCMessage *req,
                  void *svc); /* req NULL: client streams */
    void (*message)(struct sb_rpc_call *call,
                    const ProtobufCMessage *msg,
                    void *svc);                              /* client-stream, bidi: after read() */
    void (*half_close)(struct sb_rpc_call *call, void *svc); /* the client sends no more */
    void (*drained)(struct sb_rpc_call *call, void *svc);    /* queue fell under the low mark */
    void (*done)(struct sb_rpc_call *call,
                 bool cancelled,
                 void *svc); /* exactly once, last; also after deadline */
};

struct sb_rpc_server_options {
    struct event_base *base; /* borrowed; its thread runs every handler */
    /* sb_rpc_grpc_server_transport() of library sb_rpc_grpc_server; NULL: local transport only */
    const struct sb_rpc_server_transport *grpc;
    unsigned grpc_threads;    /* completion-queue threads; needs grpc; 0 = 1 */
    size_t max_message_bytes; /* 0 = SB_RPC_MAX_MESSAGE_BYTES */
    unsigned max_calls; /* live calls over all connections; 0 = 4096; beyond: RESOURCE_EXHAUSTED */
    unsigned max_connections; /* accepted unix connections; 0 = 4096 */
    unsigned keepalive_ms;    /* ping an idle peer after this long; 0 = 30000 */
    /** Each call to a known method when it is over, refused ones included; for metrics. NULL:
     * nobody wants to know. @code  what the peer was told; SB_CANCELLED when it ended before. */
    void (*ended)(const struct sb_rpc_call *call, enum sb_code code, uint64_t us, void *ctx);
    void *ended_ctx;
};

/** Returns NULL with *err. Not started yet. Loop thread, as everything below unless it says
 * otherwise. */
struct sb_rpc_server *sb_rpc_server_new(const struct sb_rpc_server_options *options,
                                        struct sb_err *err);
/** Adds gRPC to a server made without it, for a process that must do something (bind unix sockets,
 *  drop privilege) before gRPC starts its threads. Before start, describe, set_health, TCP listen.
 *  @threads  completion-queue threads; 0 = 1. */
int sb_rpc_server_enable_grpc(struct sb_rpc_server *server,
                              const struct sb_rpc_server_transport *grpc,
                              unsigned threads,
                              struct sb_err *err);

/** How gRPC comes to a server that is started without it. */
struct sb_rpc_grpc_offer {
    /** The transport; NULL with *err: whoever asked for it is turned away, and the next one asks
     * again. */
    const struct sb_rpc_server_transport *(*load)(void *ctx, struct sb_err *err);
    /** It is there: describe, set_health. */
    void (*ready)(void *ctx);
    void *ctx; /* borrowed */
};
/** Adds gRPC once somebody speaks HTTP/2 on a unix socket, since its start takes longer than all
 *  else; the loop stands still for it. Instead of sb_rpc_server_enable_grpc; before start.
 *  @offer  copied.   @threads  completion-queue threads; 0 = 1. */
void sb_rpc_server_offer_grpc(struct sb_rpc_server *server,
                              const struct sb_rpc_grpc_offer *offer,
                              unsigned threads);
/** Frees everything; calls still live get done(cancelled). */
void sb_rpc_server_free(struct sb_rpc_server *server);

/** Registers one method; the generated `..._serve()` calls this per method. A NULL start answers
 * UNIMPLEMENTED. */
int sb_rpc_server_add(struct sb_rpc_server *server,
                      const struct sb_rpc_method *method,
                      const struct sb_rpc_handler *handler,
                      void *svc,
                      struct sb_err *err);
/** Stands before every handler of a server, on the loop thread. */
struct sb_rpc_gate {
    /** Before start (msg NULL: client streams), and before each message of a client stream. True:
     * on to the handler. False: it has failed the call, or holds it, with msg, until
     * sb_rpc_call_pass or sb_rpc_call_fail; it keeps a reference until then. */
    bool (*enter)(struct sb_rpc_call *call, const ProtobufCMessage *msg, void *ctx);
    /** Once for each call that entered, before the final status goes out. @status  NULL: the call
     * ended without one (cancelled, deadline, connection gone). */
    void (*leave)(struct sb_rpc_call *call, const struct sb_err *status, void *ctx);
};
/** Before start. @gate  static; its ctx is borrowed. */
void sb_rpc_server_set_gate(struct sb_rpc_server *server,
                            const struct sb_rpc_gate *gate,
                            void *ctx);
/** The i-th registered method in the order of paths; NULL behind the last. */
const struct sb_rpc_method *sb_rpc_server_method(const struct sb_rpc_server *server, size_t i);

/** Makes files visible to reflection (v1, v1alpha). */
void sb_rpc_server_describe(struct sb_rpc_server *server,
                            const struct sb_rpc_descriptors *descriptors);

/** Files of one TLS identity (PEM). ca_file set: clients must present a certificate it signed
 * (mTLS). Files are read again when their mtime changes; a bad new set is refused and the old one
 * kept. */
struct sb_rpc_tls {
    const char *cert_file;
    const char *key_file;
    const char *ca_file;
    /* Contents to use where a file may not be read (any more); NULL: none. Copied. */
    const char *cert_pem;
    const char *key_pem;
    const char *ca_pem;
};

/** Listens: `unix:/abs/path` (both transports; path guarded by flock on path + ".lock"; mode bits
 * of `mode`), `ipv4:127.0.0.1:7443`, `ipv6:[::1]:7443`, `host:port` (gRPC; tls NULL = plaintext).
 * Port 0 picks one.
 *  @ret_port  bound port, 0 for unix; may be NULL.
 *  SB_EXISTS: somebody else serves this path or port. */
int sb_rpc_server_listen(struct sb_rpc_server *server,
                         const char *address,
                         unsigned mode,
                         const struct sb_rpc_tls *tls,
                         int *ret_port,
                         struct sb_err *err);
/** Serves a unix socket that listens already, in both transports, as one that somebody else made
 * and keeps: it stays when the server ends, and what connects meanwhile waits in it.
 *  @path  where it is bound, absolute; guarded by flock as above.   @fd  O_CLOEXEC, does not block;
 * taken, also on failure. */
int sb_rpc_server_listen_on(struct sb_rpc_server *server,
                            const char *path,
                            int fd,
                            struct sb_err *err);
int sb_rpc_server_start(struct sb_rpc_server *server, struct sb_err *err);

enum sb_rpc_health { SB_RPC_HEALTH_UNKNOWN, SB_RPC_HEALTH_SERVING, SB_RPC_HEALTH_NOT_SERVING };
/** grpc.health.v1 for "" (the whole server) or one service; watchers are told at once. */
void sb_rpc_server_set_health(struct sb_rpc_server *server,
                              const char *service,
                              enum sb_rpc_health health);

/** Drain that loses no call: NOT_SERVING at once, keeps accepting for lame_ms, then GOAWAY and
 * refuses new calls; live calls end by themselves or are cancelled after grace_ms. on_done runs on
 * the loop when all is quiet. */
void sb_rpc_server_drain(struct sb_rpc_server *server,
                         unsigned lame_ms,
                         unsigned grace_ms,
                         void (*on_done)(void *ctx),
                         void *ctx);
/** Whether a call ever came that only looks: without one nobody learns in the lame time that he
 * should turn away. */
bool sb_rpc_server_was_looked_at(const struct sb_rpc_server *server);
/** Live calls of both transports plus open local connections: 0 means idle. */
unsigned sb_rpc_server_live_calls(const struct sb_rpc_server *server);
/** Live calls of both transports alone. */
unsigned sb_rpc_server_calls(const struct sb_rpc_server *server);

/* ---- server side of one call ----
 * A call lives until its done() returned; keep it longer with ref/unref. Sending on an ended call
 * is a no-op. */

void sb_rpc_call_ref(struct sb_rpc_call *call);
void sb_rpc_call_unref(struct sb_rpc_call *call);
void *sb_rpc_call_user(const struct sb_rpc_call *call);
void sb_rpc_call_set_user(struct sb_rpc_call *call, void *user);
/** What the gate keeps of a call, until its leave. */
void *sb_rpc_call_ticket(const struct sb_rpc_call *call);
void sb_rpc_call_set_ticket(struct sb_rpc_call *call, void *ticket);
/** Lets a call that its gate holds go on; nothing happens when it has ended. */
void sb_rpc_call_pass(struct sb_rpc_call *call);
/** handler.impl of the call's method. */
const void *sb_rpc_call_impl(const struct sb_rpc_call *call);
const struct sb_rpc_method *sb_rpc_call_method(const struct sb_rpc_call *call);
const struct sb_rpc_peer *sb_rpc_call_peer(const struct sb_rpc_call *call);
/** Request metadata, key in lower case; NULL when absent. NUL-terminated, borrowed. */
const char *sb_rpc_call_metadata(const struct sb_rpc_call *call, const char *key, size_t *ret_len);
/** Milliseconds left, UINT64_MAX without a deadline. */
uint64_t sb_rpc_call_time_left_ms(const struct sb_rpc_call *call);
bool sb_rpc_call_is_cancelled(const struct sb_rpc_call *call);
/** Takes the i-th fd that came with the call (local transport only); -1 when there is none. Caller
 * owns it. */
int sb_rpc_call_take_fd(struct sb_rpc_call *call, unsigned i);
/** The unix connection the call came over, for SO_PEERCRED by somebody else; borrowed, may be
 * closed when the call ends. -1 for TCP. */
int sb_rpc_call_peer_fd(const struct sb_rpc_call *call);

/** Of a client stream with a single reply: what can be refused without its content has been looked
 * at, the content is welcome. The client's accepted() hears of it; once, later ones are no-ops. */
void sb_rpc_call_accept(struct sb_rpc_call *call);
/** It only looks at the server: a drain does not wait for it, and ends it when it begins to refuse
 * others. Calls that ask for health do so. */
void sb_rpc_call_set_looking(struct sb_rpc_call *call);
/** Asks for the next client message; at most one outstanding. */
void sb_rpc_call_read(struct sb_rpc_call *call);
/** Queues one message. False: over the high mark (the message is queued all the same), wait for
 * drained(). */
bool sb_rpc_call_send(struct sb_rpc_call *call, const ProtobufCMessage *msg);
/** Trailer of the final status; at most 8, ignored beyond. Binary values need a key ending in
 * "-bin". */
void sb_rpc_call_trailer(struct sb_rpc_call *call, const char *key, const void *value, size_t len);
/** Ends the call with OK after msg (NULL: after what is queued). */
void sb_rpc_call_reply(struct sb_rpc_call *call, const ProtobufCMessage *msg);
/** Ends the call with err's code and text. */
void sb_rpc_call_fail(struct sb_rpc_call *call, const struct sb_err *err);

/* ---- client ---- */

struct sb_rpc_channel;
struct sb_rpc_stream;

struct sb_rpc_channel_options {
    const struct sb_rpc_tls *tls; /* gRPC only; cert/key optional, ca_file NULL = system roots */
    const char *tls_name;         /* expected server name when it differs from the address */
    unsigned connect_timeout_ms;  /* 0 = 5000 */
    bool lends_nothing;           /* local transport only: our end gets a name, so that nobody binds
                                     directories with our rights (service/spawner/peer.c) */
    unsigned keepalive_ms;        /* gRPC only: ping this often while a call lives; 0 = 20000 */
    const char *service_config;   /* gRPC service config JSON; NULL = none */
    const char *module_dir; /* where aisbx-rpc-grpc.so lies; NULL = beside the program, or lib/aisbx
                               of the prefix whose bin or libexec/aisbx it is in */
};

/** `unix:/path` opens the local transport and connects at once (SB_UNAVAILABLE: nobody listens
 * there). `grpc+unix:/path`, `dns:///h:p`, `ipv4:...`, `ipv6:...`, `h:p` open gRPC lazily, by the
 * module. */
int sb_rpc_channel_open(const char *address,
                        const struct sb_rpc_channel_options *options,
                        struct sb_rpc_channel **ret_channel,
                        struct sb_err *err);
/** Cancels what lives (done() with SB_CANCELLED) and frees. */
void sb_rpc_channel_free(struct sb_rpc_channel *channel);

/** Fills one pollfd; returns how long poll may sleep in ms (-1: for ever). */
int sb_rpc_channel_prepare(struct sb_rpc_channel *channel, struct pollfd *ret_pfd);
/** Does what is due without blocking; callbacks run inside. */
void sb_rpc_channel_process(struct sb_rpc_channel *channel);
/** prepare, poll, process, once: `while (!done) sb_rpc_channel_wait(channel);`. May return
 * early, on a signal within 200 ms. Not in a callback. */
void sb_rpc_channel_wait(struct sb_rpc_channel *channel);

struct sb_rpc_metadata {
    const char *key; /* lower case */
    const char *value;
    size_t len;
};

struct sb_rpc_stream_callbacks {
    const void *impl; /* the generated table of typed callbacks, for the trampolines */
    void (*message)(struct sb_rpc_stream *stream,
                    const ProtobufCMessage *msg,
                    void *user); /* after read() */
    void (*drained)(struct sb_rpc_stream *stream, void *user);
    /** The server said sb_rpc_call_accept; at most once, and never of a server that says nothing.
     */
    void (*accepted)(struct sb_rpc_stream *stream, void *user);
    /** Exactly once, last; the stream is gone when it returns. err->code SB_OK on success. Trailers
     * are readable. */
    void (*done)(struct sb_rpc_stream *stream, const struct sb_err *err, void *user);
};

struct sb_rpc_stream_options {
    uint64_t timeout_ms; /* 0: none */
    const struct sb_rpc_metadata *metadata;
    size_t n_metadata;
    const int *fds; /* borrowed until start returns; local only: else SB_UNIMPLEMENTED */
    size_t n_fds;
};

/** Starts any kind of call. req: the single request, NULL for client streams. For unary and
 * client-stream calls the one reply is read automatically; for server streams every message needs
 * sb_rpc_stream_read. */
int sb_rpc_stream_start(struct sb_rpc_channel *channel,
                        const struct sb_rpc_method *method,
                        const ProtobufCMessage *req,
                        const struct sb_rpc_stream_options *options,
                        const struct sb_rpc_stream_callbacks *callbacks,
                        void *user,
                        struct sb_rpc_stream **ret_stream,
                        struct sb_err *err);
/** callbacks.impl of the stream. */
const void *sb_rpc_stream_impl(const struct sb_rpc_stream *stream);
void sb_rpc_stream_read(struct sb_rpc_stream *stream);
bool sb_rpc_stream_send(struct sb_rpc_stream *stream, const ProtobufCMessage *msg);
void sb_rpc_stream_half_close(struct sb_rpc_stream *stream);
void sb_rpc_stream_cancel(struct sb_rpc_stream *stream);
const char *
sb_rpc_stream_trailer(const struct sb_rpc_stream *stream, const char *key, size_t *ret_len);

/** Blocking unary. *ret_reply is freed with protobuf_c_message_free_unpacked(reply, NULL);
 * untouched on failure. Signals: EINTR is retried. */
int sb_rpc_call_unary(struct sb_rpc_channel *channel,
                      const struct sb_rpc_method *method,
                      const ProtobufCMessage *req,
                      const struct sb_rpc_stream_options *options,
                      ProtobufCMessage **ret_reply,
                      struct sb_err *err);
