/** Theory of operation. The registry is fixed once the server has started, which is why other
 * threads may look methods up without a lock. A drain is three states:
 *
 *    SERVING --drain--> LAME     health says NOT_SERVING; everything still works, so that balancers
 *                                can turn away before anything is refused
 *            --lame_ms--> REFUSING   new connections and calls are refused, live calls go on
 *            --grace_ms--> ABORTING  live calls are aborted
 *    and whenever REFUSING or ABORTING has no live call left: QUIET, on_done. */
#include "proto/rpc/local/server.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "base/log.h"
#include "base/str.h"
#include "proto/rpc/heap.h"
#include "proto/rpc/internal.h"
#include "proto/rpc/listener.h"

enum {
    DEFAULT_MAX_CALLS = 4096,
    DEFAULT_MAX_CONNECTIONS = 4096,
    DEFAULT_KEEPALIVE_MS = 30000,
    MAX_METHODS = 1024,
    MAX_LISTENERS = 8,
};

enum drain_state { SERVING, LAME, REFUSING, ABORTING, QUIET };

struct endpoint {
    struct sb_rpc_server *server;
    struct sb_listener *listener;
};

struct sb_rpc_server {
    struct sb_rpc_server_options options;
    struct sb_rpc_registration **regs; /* owned, sorted by path */
    size_t n_regs;
    struct endpoint endpoints[MAX_LISTENERS];
    size_t n_endpoints;
    struct sb_local_server *local;
    void *grpc;                     /* state of options.grpc; NULL: none */
    struct sb_rpc_grpc_offer offer; /* load NULL: none */
    bool is_started;
    struct sb_list live;
    unsigned n_live;
    bool was_looked_at;
    const struct sb_rpc_gate *gate; /* NULL: none */
    void *gate_ctx;

    enum drain_state drain;
    bool is_grpc_quiet;
    unsigned grace_ms;
    struct event drain_timer;
    void (*on_done)(void *ctx);
    void *on_done_ctx;
};

static void on_drain_timer(evutil_socket_t fd, short what, void *ctx);

/* ---- life ---- */

static void fill_defaults(struct sb_rpc_server_options *options)
{
    options->max_message_bytes =
        options->max_message_bytes == 0 ? SB_RPC_MAX_MESSAGE_BYTES : options->max_message_bytes;
    options->max_calls = options->max_calls == 0 ? DEFAULT_MAX_CALLS : options->max_calls;
    options->max_connections =
        options->max_connections == 0 ? DEFAULT_MAX_CONNECTIONS : options->max_connections;
    options->keepalive_ms =
        options->keepalive_ms == 0 ? DEFAULT_KEEPALIVE_MS : options->keepalive_ms;
    options->grpc_threads = options->grpc_threads == 0 ? 1 : options->grpc_threads;
}

struct sb_rpc_server *sb_rpc_server_new(const struct sb_rpc_server_options *options,
                                        struct sb_err *err)
{
    if (options->grpc == NULL && options->grpc_threads > 0) {
        (void)sb_err_set(err, SB_INVALID, "gRPC threads without a gRPC transport");
        return NULL;
    }
    struct sb_rpc_server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        (void)sb_err_oom(err);
        return NULL;
    }
    sb_heap_keep();
    server->options = *options;
    fill_defaults(&server->options);
    sb_list_init(&server->live);
    server->is_grpc_quiet = options->grpc == NULL;
    (void)evtimer_assign(&server->drain_timer, options->base, on_drain_timer, server);
    server->local = sb_local_server_new(server, options->base, err);
    if (server->local == NULL ||
        (options->grpc != NULL && options->grpc->create(server, &server->grpc, err) < 0)) {
        sb_rpc_server_free(server);
        return NULL;
    }
    return server;
}

int sb_rpc_server_enable_grpc(struct sb_rpc_server *server,
                              const struct sb_rpc_server_transport *grpc,
                              unsigned threads,
                              struct sb_err *err)
{
    if (server->grpc != NULL || server->is_started) {
        return sb_err_set(err, SB_PRECONDITION, "gRPC must be added once, before the start");
    }
    server->options.grpc = grpc;
    server->options.grpc_threads = threads == 0 ? 1 : threads;
    if (grpc->create(server, &server->grpc, err) < 0) {
        server->options.grpc = NULL;
        return -1;
    }
    server->is_grpc_quiet = false;
    return 0;
}

void sb_rpc_server_offer_grpc(struct sb_rpc_server *server,
                              const struct sb_rpc_grpc_offer *offer,
                              unsigned threads)
{
    server->offer = *offer;
    server->options.grpc_threads = threads == 0 ? 1 : threads;
}

/** Takes away what gRPC itself registered; nobody can have called it yet. */
static void withdraw_grpc(struct sb_rpc_server *server)
{
    size_t n = 0;
    for (size_t i = 0; i < server->n_regs; i++) {
        if (strncmp(server->regs[i]->method->service, "grpc.", 5) == 0) {
            free(server->regs[i]);
        } else {
            server->regs[n++] = server->regs[i];
        }
    }
    server->n_regs = n;
}

/** To a server that has started. */
static int add_grpc(struct sb_rpc_server *server,
                    const struct sb_rpc_server_transport *grpc,
                    struct sb_err *err)
{
    server->is_started = false;
    int rc = sb_rpc_server_enable_grpc(server, grpc, server->options.grpc_threads, err);
    server->is_started = true;
    if (rc == 0 && grpc->start(server->grpc, err) < 0) {
        grpc->free(server->grpc);
        server->grpc = NULL;
        rc = -1;
    }
    if (rc < 0) {
        withdraw_grpc(server);
        server->is_grpc_quiet = true;
    }
    return rc;
}

/** Whether gRPC takes connections, from now on if need be. */
static bool has_grpc(struct sb_rpc_server *server)
{
    struct sb_err err;
    if (server->grpc != NULL) {
        return true;
    }
    const struct sb_rpc_server_transport *grpc = server->offer.load(server->offer.ctx, &err);
    if (grpc == NULL || add_grpc(server, grpc, &err) < 0) {
        SB_LOG_ERROR("no gRPC", "why=%s", err.text);
        return false;
    }
    server->offer.ready(server->offer.ctx);
    return true;
}

static void abort_some(struct sb_rpc_server *server, bool only_looking, const char *why)
{
    struct sb_err status;
    (void)sb_err_set(&status, SB_UNAVAILABLE, "%s", why);
    SB_FOREACH (node, &server->live) {
        struct sb_rpc_call *call = SB_LIST_ENTRY(node, struct sb_rpc_call, in_live);
        if (call->is_looking || !only_looking) {
            call->ops->abort(call, &status);
        }
    }
}

static void abort_all(struct sb_rpc_server *server, const char *why)
{
    abort_some(server, false, why);
}

void sb_rpc_server_free(struct sb_rpc_server *server)
{
    if (server == NULL) {
        return;
    }
    server->drain = ABORTING;
    server->on_done = NULL;
    abort_all(server, "the server stopped");
    sb_local_server_free(server->local);
    if (server->grpc != NULL) {
        server->options.grpc->free(server->grpc);
    }
    for (size_t i = 0; i < server->n_endpoints; i++) {
        sb_listener_free(server->endpoints[i].listener);
    }
    (void)event_del(&server->drain_timer);
    for (size_t i = 0; i < server->n_regs; i++) {
        free(server->regs[i]);
    }
    free(server->regs);
    free(server);
}

const struct sb_rpc_server_options *sb_rpc_server_get_options(const struct sb_rpc_server *server)
{
    return &server->options;
}

/* ---- registry ---- */

/** Where path stands in the registry, or would. */
static size_t position(const struct sb_rpc_server *server, const char *path, bool *ret_found)
{
    size_t low = 0;
    size_t high = server->n_regs;
    *ret_found = false;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(server->regs[mid]->method->path, path);
        if (order == 0) {
            *ret_found = true;
            return mid;
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

int sb_rpc_server_add(struct sb_rpc_server *server,
                      const struct sb_rpc_method *method,
                      const struct sb_rpc_handler *handler,
                      void *svc,
                      struct sb_err *err)
{
    bool found = false;
    size_t at = position(server, method->path, &found);
    if (found) {
        return sb_err_set(err, SB_EXISTS, "%s is served already", method->path);
    }
    if (server->is_started) {
        return sb_err_set(err, SB_PRECONDITION, "%s: the server has started", method->path);
    }
    if (server->n_regs == MAX_METHODS) {
        return sb_err_set(err, SB_EXHAUSTED, "more than %d methods", (int)MAX_METHODS);
    }
    struct sb_rpc_registration **regs =
        reallocarray(server->regs, server->n_regs + 1, sizeof(void *));
    if (regs == NULL) {
        return sb_err_oom(err);
    }
    server->regs = regs;
    struct sb_rpc_registration *reg = calloc(1, sizeof *reg);
    if (reg == NULL) {
        return sb_err_oom(err);
    }
    *reg = (struct sb_rpc_registration){.method = method, .handler = *handler, .svc = svc};
    memmove(regs + at + 1, regs + at, (server->n_regs - at) * sizeof(void *));
    regs[at] = reg;
    server->n_regs++;
    return 0;
}

const struct sb_rpc_registration *sb_rpc_server_find(const struct sb_rpc_server *server,
                                                     const char *path)
{
    bool found = false;
    size_t at = position(server, path, &found);
    return found ? server->regs[at] : NULL;
}

struct sb_rpc_registration *sb_rpc_server_registration(struct sb_rpc_server *server, size_t i)
{
    return i < server->n_regs ? server->regs[i] : NULL;
}

void sb_rpc_server_set_gate(struct sb_rpc_server *server, const struct sb_rpc_gate *gate, void *ctx)
{
    server->gate = gate;
    server->gate_ctx = ctx;
}

const struct sb_rpc_gate *sb_rpc_server_gate(const struct sb_rpc_server *server, void **ret_ctx)
{
    *ret_ctx = server->gate_ctx;
    return server->gate;
}

const struct sb_rpc_method *sb_rpc_server_method(const struct sb_rpc_server *server, size_t i)
{
    return i < server->n_regs ? server->regs[i]->method : NULL;
}

void sb_rpc_server_describe(struct sb_rpc_server *server,
                            const struct sb_rpc_descriptors *descriptors)
{
    if (server->grpc != NULL) {
        server->options.grpc->describe(server->grpc, descriptors);
    }
}

void sb_rpc_server_set_health(struct sb_rpc_server *server,
                              const char *service,
                              enum sb_rpc_health health)
{
    if (server->grpc != NULL) {
        server->options.grpc->set_health(server->grpc, service, health);
    }
}

/* ---- listening ---- */

static void on_local_closed(void *ctx)
{
    struct endpoint *endpoint = ctx;
    sb_listener_release(endpoint->listener);
}

static void on_accepted(void *ctx, int fd, const struct ucred *cred, bool is_http2)
{
    struct endpoint *endpoint = ctx;
    struct sb_rpc_server *server = endpoint->server;
    if (is_http2 && (server->grpc != NULL || server->offer.load != NULL)) {
        /* gRPC does not say when it closes; its own limits apply from here on. */
        sb_listener_release(endpoint->listener);
        if (has_grpc(server)) {
            server->options.grpc->adopt(server->grpc, fd, cred);
        } else {
            (void)close(fd);
        }
        return;
    }
    sb_local_server_adopt(server->local, fd, cred, on_local_closed, endpoint);
}

/** @fd  owned; -1: the socket is ours to make. */
static int listen_unix(
    struct sb_rpc_server *server, const char *path, unsigned mode, int fd, struct sb_err *err)
{
    SB_CLEANUP(sb_closep) int given = fd;
    if (server->n_endpoints == MAX_LISTENERS) {
        return sb_err_set(err, SB_EXHAUSTED, "more than %d sockets", (int)MAX_LISTENERS);
    }
    struct endpoint *endpoint = &server->endpoints[server->n_endpoints];
    endpoint->server = server;
    struct sb_listener_options options = {
        .base = server->options.base,
        .path = path,
        .is_given = fd >= 0,
        .given_fd = SB_STEAL_FD(given),
        .mode = mode,
        .max_connections = server->options.max_connections,
        .accepted = on_accepted,
        .ctx = endpoint,
    };
    if (sb_listener_open(&options, &endpoint->listener, err) < 0) {
        return -1;
    }
    server->n_endpoints++;
    return 0;
}

int sb_rpc_server_listen_on(struct sb_rpc_server *server,
                            const char *path,
                            int fd,
                            struct sb_err *err)
{
    if (server->is_started) {
        (void)close(fd);
        return sb_err_set(err, SB_PRECONDITION, "%s: the server has started", path);
    }
    return listen_unix(server, path, 0, fd, err);
}

int sb_rpc_server_listen(struct sb_rpc_server *server,
                         const char *address,
                         unsigned mode,
                         const struct sb_rpc_tls *tls,
                         int *ret_port,
                         struct sb_err *err)
{
    static const struct sb_str scheme = {"unix:", 5};
    int port = 0;
    if (server->is_started) {
        return sb_err_set(err, SB_PRECONDITION, "%s: the server has started", address);
    }
    if (sb_str_starts_with(sb_str_from(address), scheme)) {
        if (tls != NULL) {
            return sb_err_set(err, SB_INVALID, "%s: TLS on a unix socket", address);
        }
        if (listen_unix(server, address + scheme.len, mode, -1, err) < 0) {
            return -1;
        }
    } else if (server->grpc == NULL) {
        return sb_err_set(err, SB_UNIMPLEMENTED, "%s: this server speaks no gRPC", address);
    } else if (server->options.grpc->listen(server->grpc, address, tls, &port, err) < 0) {
        return -1;
    }
    if (ret_port != NULL) {
        *ret_port = port;
    }
    return 0;
}

int sb_rpc_server_start(struct sb_rpc_server *server, struct sb_err *err)
{
    server->is_started = true;
    if (server->grpc != NULL && server->options.grpc->start(server->grpc, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < server->n_endpoints; i++) {
        if (sb_listener_start(server->endpoints[i].listener, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- admission ---- */

int sb_rpc_server_admit(struct sb_rpc_server *server, struct sb_rpc_call *call, struct sb_err *err)
{
    if (server->drain >= REFUSING) {
        return sb_err_set(err, SB_UNAVAILABLE, "the server is shutting down");
    }
    if (server->n_live >= server->options.max_calls) {
        return sb_err_set(err, SB_EXHAUSTED, "more than %u calls at a time",
                          server->options.max_calls);
    }
    server->n_live++;
    sb_list_append(&server->live, &call->in_live);
    return 0;
}

void sb_rpc_call_set_looking(struct sb_rpc_call *call)
{
    call->is_looking = true;
    call->server->was_looked_at = true;
}

bool sb_rpc_server_was_looked_at(const struct sb_rpc_server *server)
{
    return server->was_looked_at;
}

unsigned sb_rpc_server_live_calls(const struct sb_rpc_server *server)
{
    return server->n_live + sb_local_server_connections(server->local);
}

unsigned sb_rpc_server_calls(const struct sb_rpc_server *server)
{
    return server->n_live;
}

/* ---- drain ---- */

static void arm(struct sb_rpc_server *server, unsigned ms)
{
    const struct timeval delay = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000) * 1000};
    (void)event_add(&server->drain_timer, &delay);
}

/** on_done never runs inside a handler, hence the detour over the loop. */
static void check_quiet(struct sb_rpc_server *server)
{
    bool is_over = server->drain == REFUSING || server->drain == ABORTING;
    if (is_over && server->n_live == 0 && server->is_grpc_quiet) {
        server->drain = QUIET;
        arm(server, 0);
    }
}

void sb_rpc_server_retire(struct sb_rpc_server *server, struct sb_rpc_call *call)
{
    sb_list_remove(&call->in_live);
    server->n_live--;
    check_quiet(server);
}

void sb_rpc_server_transport_is_quiet(struct sb_rpc_server *server)
{
    server->is_grpc_quiet = true;
    check_quiet(server);
}

static void refuse_new(struct sb_rpc_server *server)
{
    server->drain = REFUSING;
    for (size_t i = 0; i < server->n_endpoints; i++) {
        sb_listener_stop(server->endpoints[i].listener);
    }
    if (server->grpc != NULL) {
        server->options.grpc->drain(server->grpc);
    }
    abort_some(server, true, "the server is shutting down");
    arm(server, server->grace_ms);
    check_quiet(server);
}

static void on_drain_timer(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_rpc_server *server = ctx;
    switch (server->drain) {
    case LAME:
        refuse_new(server);
        break;
    case REFUSING:
        server->drain = ABORTING;
        abort_all(server, "the server is shutting down");
        check_quiet(server);
        break;
    case QUIET:
        if (server->on_done != NULL) {
            server->on_done(server->on_done_ctx);
        }
        break;
    case SERVING:
    case ABORTING:
        break;
    }
}

static void tell_not_serving(struct sb_rpc_server *server)
{
    sb_rpc_server_set_health(server, "", SB_RPC_HEALTH_NOT_SERVING);
    const char *last = "";
    for (size_t i = 0; i < server->n_regs; i++) {
        const char *service = server->regs[i]->method->service;
        if (strcmp(service, last) != 0) {
            sb_rpc_server_set_health(server, service, SB_RPC_HEALTH_NOT_SERVING);
            last = service;
        }
    }
}

void sb_rpc_server_drain(struct sb_rpc_server *server,
                         unsigned lame_ms,
                         unsigned grace_ms,
                         void (*on_done)(void *ctx),
                         void *ctx)
{
    server->grace_ms = grace_ms;
    server->on_done = on_done;
    server->on_done_ctx = ctx;
    if (server->drain == SERVING) {
        server->drain = LAME;
        tell_not_serving(server);
        arm(server, lame_ms);
    } else if (server->drain == LAME) {
        arm(server, lame_ms);
    } else if (server->drain == REFUSING) {
        arm(server, grace_ms); /* asked again: perhaps in more of a hurry */
    }
}
