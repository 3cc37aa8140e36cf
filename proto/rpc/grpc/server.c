/** Theory of operation. One grpc_server with one completion queue; its threads carry all I/O and
 * the checking of messages, and post to the inbox, whose eventfd wakes the loop. TCP and TLS
 * listeners are core's; unix connections are accepted elsewhere (who calls must be known by
 * SO_PEERCRED, which core does not ask) and adopted here.
 *
 *  Shutting down is core's business: grpc_server_shutdown_and_notify sends GOAWAY, fails every
 * armed slot, and completes when the last connection is gone. */
#include "proto/rpc/grpc/server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "proto/rpc/grpc/args.h"
#include "proto/rpc/grpc/call.h"
#include "proto/rpc/grpc/corelog.h"
#include "proto/rpc/grpc/creds.h"
#include "proto/rpc/grpc/health.h"
#include "proto/rpc/grpc/reflect.h"
#include "proto/rpc/internal.h"

enum {
    KEEPALIVE_TIMEOUT_MS = 10000,
    MIN_PING_INTERVAL_MS =
        250, /* more often is too_many_pings; clients here ping every 500 ms up */
    MAX_STREAMS_PER_CONNECTION = 1024,
    MAX_CORE_BYTES = 512 << 20, /* what core may hold for all connections; it reads less near it */
    HANDSHAKE_TIMEOUT_MS = 10000,
    NOTICE_MS = 200,   /* between the first refusal and GOAWAY */
    PATIENCE_MS = 500, /* between GOAWAY and closing what is idle */
    FREE_POLL_MS = 10,
};

static void on_wake(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_grpc_server *server = ctx;
    (void)sb_grpc_inbox_run(&server->inbox);
}

static void on_down_loop(struct sb_grpc_note *note)
{
    struct sb_grpc_server *server = SB_LIST_ENTRY(note, struct sb_grpc_server, down_op.note);
    server->is_down = true;
    (void)event_del(server->patience);
    if (!server->is_freeing) {
        sb_rpc_server_transport_is_quiet(server->upper);
    }
}

static void on_down(struct sb_grpc_op *op, bool is_ok)
{
    (void)is_ok;
    struct sb_grpc_server *server = SB_LIST_ENTRY(op, struct sb_grpc_server, down_op);
    op->note.run = on_down_loop;
    sb_grpc_inbox_post(&server->inbox, &op->note);
}

static void begin_shutdown(struct sb_grpc_server *server)
{
    if (!server->is_shutting_down) {
        server->is_shutting_down = true;
        server->down_op.on_cq = on_down;
        SB_GRPC_HAND_OVER(&server->down_op);
        grpc_server_shutdown_and_notify(server->server, server->cq.queue, &server->down_op);
    }
}

static void be_patient(struct sb_grpc_server *server, int delay_ms)
{
    const struct timeval delay = {.tv_usec = (suseconds_t)delay_ms * 1000};
    (void)event_add(server->patience, &delay);
}

/** The steps of a drain after its first, see transport_drain. */
static void on_patience(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_grpc_server *server = ctx;
    bool has_calls = server->n_calls > 0 || atomic_load(&server->n_backlog) > 0;
    if (!server->is_shutting_down) {
        begin_shutdown(server);
    } else if (!has_calls) {
        /* Whoever still holds a connection open, or is too dead to close it, does not hold us up.
         */
        grpc_server_cancel_all_calls(server->server);
        return;
    }
    be_patient(server, PATIENCE_MS);
}

static grpc_server *create_core(const struct sb_rpc_server_options *options)
{
    struct sb_grpc_args args = {0};
    int keepalive_ms = (int)options->keepalive_ms;
    sb_grpc_args_common(&args, options->max_message_bytes);
    sb_grpc_args_int(&args, GRPC_ARG_ALLOW_REUSEPORT, 0);
    sb_grpc_args_int(&args, GRPC_ARG_MAX_CONCURRENT_STREAMS, MAX_STREAMS_PER_CONNECTION);
    sb_grpc_args_int(&args, GRPC_ARG_KEEPALIVE_TIME_MS, keepalive_ms);
    sb_grpc_args_int(&args, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, KEEPALIVE_TIMEOUT_MS);
    sb_grpc_args_int(&args, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    sb_grpc_args_int(&args, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    sb_grpc_args_int(&args, GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                     MIN_PING_INTERVAL_MS);
    sb_grpc_args_int(&args, GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, HANDSHAKE_TIMEOUT_MS);
    grpc_resource_quota *quota = grpc_resource_quota_create("aisbx");
    grpc_resource_quota_resize(quota, MAX_CORE_BYTES);
    sb_grpc_args_pointer(&args, GRPC_ARG_RESOURCE_QUOTA, quota, grpc_resource_quota_arg_vtable());
    grpc_server *server = grpc_server_create(sb_grpc_args_get(&args), NULL);
    grpc_resource_quota_unref(quota);
    return server;
}

static void state_free(struct sb_grpc_server *server)
{
    if (server->server != NULL) {
        grpc_server_destroy(server->server);
    }
    if (server->insecure != NULL) {
        grpc_server_credentials_release(server->insecure);
    }
    for (unsigned i = 0; i < server->n_identities; i++) {
        sb_grpc_creds_identity_free(server->identities[i]);
    }
    sb_grpc_health_free(server->health);
    sb_grpc_reflect_free(server->reflect);
    sb_grpc_conns_done(&server->conns);
    if (server->wake != NULL) {
        event_free(server->wake);
    }
    if (server->patience != NULL) {
        event_free(server->patience);
    }
    sb_grpc_inbox_done(&server->inbox);
    grpc_shutdown();
    free(server);
}

static int create_parts(struct sb_grpc_server *server, struct sb_err *err)
{
    const struct sb_rpc_server_options *options = sb_rpc_server_get_options(server->upper);
    if (sb_grpc_inbox_init(&server->inbox, err) < 0) {
        return -1;
    }
    server->wake =
        event_new(options->base, server->inbox.fd, EV_READ | EV_PERSIST, on_wake, server);
    server->patience = evtimer_new(options->base, on_patience, server);
    if (server->wake == NULL || server->patience == NULL || event_add(server->wake, NULL) < 0) {
        return sb_err_set(err, SB_INTERNAL, "event for the gRPC inbox");
    }
    server->max_message_bytes = options->max_message_bytes;
    server->max_calls = options->max_calls;
    server->max_connections = options->max_connections;
    server->server = create_core(options);
    server->insecure = grpc_insecure_server_credentials_create();
    if (sb_grpc_cq_start(&server->cq, options->grpc_threads, err) < 0) {
        return -1;
    }
    grpc_server_register_completion_queue(server->server, server->cq.queue, NULL);
    /* Last: what they register stays registered. */
    if (sb_grpc_health_new(server->upper, &server->health, err) < 0 ||
        sb_grpc_reflect_new(server->upper, &server->reflect, err) < 0) {
        return -1;
    }
    return 0;
}

static int transport_create(struct sb_rpc_server *upper, void **ret_state, struct sb_err *err)
{
    struct sb_grpc_server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        return sb_err_oom(err);
    }
    server->upper = upper;
    server->inbox.fd = -1;
    sb_grpc_cq_library_init(SB_LOG_LEVEL_WARN);
    if (create_parts(server, err) < 0) {
        sb_grpc_cq_stop(&server->cq);
        state_free(server);
        return sb_err_wrap(err, "gRPC server");
    }
    *ret_state = server;
    return 0;
}

/* ---- listeners ---- */

/** A server of core, other than a channel, knows no "ipv4:" and "ipv6:". */
static const char *without_scheme(const char *address)
{
    bool has_scheme = strncmp(address, "ipv4:", 5) == 0 || strncmp(address, "ipv6:", 5) == 0;
    return has_scheme ? address + 5 : address;
}

/** Core would take port 443 where there is none, and of a number that is too large what is left of
 *  it in 16 bits. */
static bool has_port(const char *address)
{
    const char *colon = strrchr(without_scheme(address), ':');
    size_t digits = colon == NULL ? 0 : strspn(colon + 1, "0123456789");
    return digits > 0 && colon[1 + digits] == '\0' && digits <= strlen("65535") &&
           strtoul(colon + 1, NULL, 10) <= UINT16_MAX;
}

/** Core only says that it failed. Tries the same bind to learn why. */
static int explain_bind(const char *address, struct sb_err *err)
{
    const char *text = without_scheme(address);
    const char *colon = strrchr(text, ':');
    assert(colon != NULL);
    bool has_brackets = text[0] == '[' && colon > text && colon[-1] == ']';
    char host[256];
    int len = (int)(colon - text) - (has_brackets ? 2 : 0);
    (void)snprintf(host, sizeof host, "%.*s", len, text + (has_brackets ? 1 : 0));
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *list = NULL;
    int failed = getaddrinfo(host[0] != '\0' ? host : NULL, colon + 1, &hints, &list);
    if (failed != 0) {
        return sb_err_set(err, SB_INVALID, "listen on %s: %s", address, gai_strerror(failed));
    }
    int saved = 0;
    for (struct addrinfo *info = list; info != NULL && saved == 0; info = info->ai_next) {
        SB_CLEANUP(sb_closep) int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const int one = 1;
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (fd < 0 || bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, 1) < 0) {
            saved = errno;
        }
    }
    freeaddrinfo(list);
    if (saved == EADDRINUSE) {
        (void)sb_err_sys(err, saved, "listen on %s", address);
        err->code = SB_EXISTS;
        return -1;
    }
    if (saved != 0) {
        return sb_err_sys(err, saved, "listen on %s", address);
    }
    return sb_err_set(err, SB_INVALID, "listen on %s: refused by gRPC (certificate and key?)",
                      address);
}

static int add_tls(struct sb_grpc_server *server,
                   const struct sb_rpc_tls *tls,
                   grpc_server_credentials **ret_creds,
                   struct sb_err *err)
{
    if (server->n_identities == SB_GRPC_MAX_TLS_LISTENERS) {
        return sb_err_set(err, SB_EXHAUSTED, "more than %d TLS listeners",
                          SB_GRPC_MAX_TLS_LISTENERS);
    }
    struct sb_grpc_identity *identity = sb_grpc_creds_identity_new(tls, err);
    if (identity == NULL) {
        return -1;
    }
    if (sb_grpc_creds_server(identity, ret_creds, err) < 0) {
        sb_grpc_creds_identity_free(identity);
        return -1;
    }
    server->identities[server->n_identities++] = identity;
    return 0;
}

static int transport_listen(void *state,
                            const char *address,
                            const struct sb_rpc_tls *tls,
                            int *ret_port,
                            struct sb_err *err)
{
    struct sb_grpc_server *server = state;
    grpc_server_credentials *creds = server->insecure;
    if (!has_port(address)) {
        return sb_err_set(err, SB_INVALID, "listen on %s: HOST:PORT is wanted, PORT in 0..65535",
                          address);
    }
    if (tls != NULL && add_tls(server, tls, &creds, err) < 0) {
        return -1;
    }
    sb_grpc_corelog_route(SB_LOG_LEVEL_DEBUG); /* the error says it all, and better */
    int port = grpc_server_add_http2_port(server->server, without_scheme(address), creds);
    sb_grpc_corelog_route(SB_LOG_LEVEL_WARN);
    if (creds != server->insecure) {
        grpc_server_credentials_release(creds);
    }
    if (port == 0) {
        return explain_bind(address, err);
    }
    if (ret_port != NULL) {
        *ret_port = port;
    }
    return 0;
}

static void transport_adopt(void *state, int fd, const struct ucred *cred)
{
    struct sb_grpc_server *server = state;
    struct sb_err err;
    if (server->is_shutting_down) {
        (void)close(fd);
    } else if (sb_grpc_conns_put(&server->conns, fd, cred, server->max_connections, &err) < 0) {
        SB_LOG_WARN("connection dropped", "why=%s", err.text);
        (void)close(fd);
    } else {
        grpc_server_add_channel_from_fd(server->server, fd, server->insecure);
    }
}

/* ---- life ---- */

static int
register_method(struct sb_grpc_server *server, struct sb_rpc_registration *reg, struct sb_err *err)
{
    bool has_request = (reg->method->flags & SB_RPC_CLIENT_STREAM) == 0;
    reg->transport_slot = grpc_server_register_method(
        server->server, reg->method->path, NULL,
        has_request ? GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER : GRPC_SRM_PAYLOAD_NONE, 0);
    if (reg->transport_slot == NULL) {
        return sb_err_set(err, SB_EXISTS, "method %s is registered twice", reg->method->path);
    }
    return 0;
}

static int transport_start(void *state, struct sb_err *err)
{
    struct sb_grpc_server *server = state;
    struct sb_rpc_registration *reg = NULL;
    for (size_t i = 0; (reg = sb_rpc_server_registration(server->upper, i)) != NULL; i++) {
        if (register_method(server, reg, err) < 0) {
            return -1;
        }
    }
    grpc_server_start(server->server);
    if (sb_grpc_call_arm(server, NULL, err) < 0) {
        return -1;
    }
    for (size_t i = 0; (reg = sb_rpc_server_registration(server->upper, i)) != NULL; i++) {
        for (int slot = 0; slot < SB_GRPC_ARMED_PER_METHOD; slot++) {
            if (sb_grpc_call_arm(server, reg, err) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

static void transport_describe(void *state, const struct sb_rpc_descriptors *descriptors)
{
    struct sb_grpc_server *server = state;
    sb_grpc_reflect_add(server->reflect, descriptors);
}

static void transport_set_health(void *state, const char *service, enum sb_rpc_health health)
{
    struct sb_grpc_server *server = state;
    sb_grpc_health_set(server->health, service, health);
}

/** New calls are refused by the upper side from now on. That is UNAVAILABLE and tells a client to
 * go elsewhere, whereas core fails what crosses its GOAWAY with CANCELLED: hence the pause, unless
 *  nobody ever called. */
static void transport_drain(void *state)
{
    struct sb_grpc_server *server = state;
    be_patient(server, server->is_used ? NOTICE_MS : 0);
}

static void transport_free(void *state)
{
    struct sb_grpc_server *server = state;
    server->is_freeing = true;
    begin_shutdown(server);
    grpc_server_cancel_all_calls(server->server);
    /* Nobody may start a batch once the queue is shut down: wait for every slot and every call. */
    while (!server->is_down || atomic_load(&server->n_armed) != 0 || server->n_calls != 0) {
        struct pollfd pfd = {.fd = server->inbox.fd, .events = POLLIN};
        (void)poll(&pfd, 1, FREE_POLL_MS);
        (void)sb_grpc_inbox_run(&server->inbox);
    }
    sb_grpc_cq_stop(&server->cq);
    while (sb_grpc_inbox_run(&server->inbox) != 0) {
    }
    state_free(server);
}

const struct sb_rpc_server_transport *sb_rpc_grpc_server_transport(void)
{
    static const struct sb_rpc_server_transport transport = {
        .abi = SB_RPC_SERVER_ABI,
        .create = transport_create,
        .listen = transport_listen,
        .start = transport_start,
        .adopt = transport_adopt,
        .describe = transport_describe,
        .set_health = transport_set_health,
        .drain = transport_drain,
        .free = transport_free,
    };
    return &transport;
}
