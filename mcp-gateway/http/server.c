#include "mcp-gateway/http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "mcp-gateway/http/conn.h"

enum {
    DEFAULT_CONNECTIONS = 4096,
    DEFAULT_TIMEOUT_MS = 30000,
    DEFAULT_IDLE_MS = 75000,
    BACKLOG = 1024,
    AGAIN_MS = 100,
    MAX_TICK_MS = 1000,
};

static void free_server(struct sb_http_server **server)
{
    sb_http_server_free(*server);
}

static void check_drained(struct sb_http_server *server)
{
    bool is_late = server->now_ms >= server->drain_until_ms;
    if (!server->is_draining || server->is_told || (server->n_conns > 0 && !is_late)) {
        return;
    }
    SB_FOREACH (node, &server->conns) {
        sb_conn_lost(SB_LIST_ENTRY(node, struct sb_conn, node));
    }
    server->is_told = true;
    server->on_drained(server->drained_ctx);
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
    struct sb_http_server *server = ctx;
    (void)fd;
    (void)what;
    server->now_ms = sb_clock_mono_ms();
    SB_FOREACH (node, &server->conns) {
        struct sb_conn *conn = SB_LIST_ENTRY(node, struct sb_conn, node);
        if (server->is_draining && sb_conn_is_idle(conn)) {
            sb_conn_lost(conn);
        } else {
            sb_conn_tick(conn);
        }
    }
    check_drained(server);
}

static void on_again(evutil_socket_t fd, short what, void *ctx)
{
    struct sb_http_server *server = ctx;
    (void)fd;
    (void)what;
    if (server->listener != NULL) {
        (void)evconnlistener_enable(server->listener);
    }
}

static void on_accept_error(struct evconnlistener *listener, void *ctx)
{
    struct sb_http_server *server = ctx;
    static const struct timeval wait = {0, AGAIN_MS * 1000L};
    SB_LOG_WARN("cannot accept", "error=%s", strerror(errno));
    (void)evconnlistener_disable(listener);
    (void)event_add(server->again, &wait);
}

static void format_peer(const struct sockaddr *address, char out[SB_CONN_PEER_SIZE])
{
    char text[INET6_ADDRSTRLEN] = "?";
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;
        (void)inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
        (void)snprintf(out, SB_CONN_PEER_SIZE, "%s:%u", text, ntohs(in->sin_port));
    } else {
        const struct sockaddr_in6 *in6 = (const void *)address;
        (void)inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof text);
        (void)snprintf(out, SB_CONN_PEER_SIZE, "[%s]:%u", text, ntohs(in6->sin6_port));
    }
}

/* Told in so few bytes that they always fit. */
static void turn_away(const struct sb_http_server *server, evutil_socket_t fd)
{
    static const char body[] =
        "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,"
        "\"code\":\"UNAVAILABLE\",\"detail\":\"too many connections; try again\"}\n";
    char answer[512];
    int len = snprintf(answer, sizeof answer,
                       "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
                       "Connection: close\r\nContent-Type: application/problem+json\r\n"
                       "Content-Length: %zu\r\n\r\n%s",
                       sizeof body - 1, body);
    if (server->tls == NULL) {
        (void)send(fd, answer, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    (void)shutdown(fd, SHUT_WR);
    (void)close(fd);
}

static struct sb_str host_of(const char *peer)
{
    const char *colon = strrchr(peer, ':');
    return sb_str_of(peer, colon == NULL ? strlen(peer) : (size_t)(colon - peer));
}

/* Once half of the connections are taken, an address that has half of them gets no more: nobody
 * shuts the others out alone. */
static bool has_its_share(const struct sb_http_server *server, const char *peer)
{
    unsigned share = server->options.max_connections / 2;
    unsigned n = 0;
    if (server->n_conns < share || share == 0) {
        return false;
    }
    SB_FOREACH (node, &server->conns) {
        const struct sb_conn *conn = SB_LIST_ENTRY(node, struct sb_conn, node);
        n += sb_str_eq(host_of(conn->peer), host_of(peer));
    }
    return n >= share;
}

static void on_accept(struct evconnlistener *listener,
                      evutil_socket_t fd,
                      struct sockaddr *address,
                      int len,
                      void *ctx)
{
    struct sb_http_server *server = ctx;
    char peer[SB_CONN_PEER_SIZE];
    const int on = 1;
    (void)listener;
    (void)len;
    server->now_ms = sb_clock_mono_ms();
    format_peer(address, peer);
    if (server->n_conns >= server->options.max_connections || has_its_share(server, peer)) {
        turn_away(server, fd);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)evutil_make_socket_nonblocking(fd);
    if (sb_conn_new(server, fd, peer) < 0) {
        (void)close(fd);
    }
}

static int parse_address(const struct sb_http_options *options,
                         struct sockaddr_storage *ret_address,
                         socklen_t *ret_len,
                         bool *ret_is_loopback,
                         struct sb_err *err)
{
    struct sockaddr_in *in = (void *)ret_address;
    struct sockaddr_in6 *in6 = (void *)ret_address;
    memset(ret_address, 0, sizeof *ret_address);
    if (inet_pton(AF_INET, options->address, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        in->sin_port = htons(options->port);
        *ret_len = sizeof *in;
        *ret_is_loopback = ntohl(in->sin_addr.s_addr) >> 24 == 127;
        return 0;
    }
    if (inet_pton(AF_INET6, options->address, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(options->port);
        *ret_len = sizeof *in6;
        *ret_is_loopback = IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
        return 0;
    }
    return sb_err_set(err, SB_INVALID, "%s is no IPv4 or IPv6 address", options->address);
}

static int start_listening(struct sb_http_server *server, int *ret_port, struct sb_err *err)
{
    struct sockaddr_storage address;
    socklen_t len = 0;
    if (parse_address(&server->options, &address, &len, &server->guard.is_loopback, err) < 0) {
        return -1;
    }
    server->listener =
        server->options.is_given
            ? evconnlistener_new(server->options.base, on_accept, server, LEV_OPT_CLOSE_ON_EXEC,
                                 0 /* it listens already */, server->options.given_fd)
            : evconnlistener_new_bind(server->options.base, on_accept, server,
                                      LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC |
                                          LEV_OPT_REUSEABLE,
                                      BACKLOG, (struct sockaddr *)&address, (int)len);
    if (server->listener == NULL) {
        int failed = errno;
        (void)sb_err_sys(err, failed, "listen on %s port %u", server->options.address,
                         server->options.port);
        err->code = failed == EADDRINUSE ? SB_EXISTS : err->code;
        return -1;
    }
    evconnlistener_set_error_cb(server->listener, on_accept_error);
    if (getsockname(evconnlistener_get_fd(server->listener), (struct sockaddr *)&address, &len) <
        0) {
        return sb_err_sys(err, errno, "getsockname");
    }
    if (ret_port != NULL) {
        *ret_port = ntohs(((struct sockaddr_in *)(void *)&address)->sin_port); /* as in sin6 */
    }
    return 0;
}

static int start_ticking(struct sb_http_server *server, struct sb_err *err)
{
    unsigned tick_ms = server->options.timeout_ms / 4;
    tick_ms = tick_ms < 10 ? 10 : tick_ms > MAX_TICK_MS ? MAX_TICK_MS : tick_ms;
    struct timeval every = {.tv_sec = tick_ms / 1000,
                            .tv_usec = (suseconds_t)(tick_ms % 1000) * 1000};
    server->tick = event_new(server->options.base, -1, EV_PERSIST, on_tick, server);
    server->again = event_new(server->options.base, -1, 0, on_again, server);
    if (server->tick == NULL || server->again == NULL || event_add(server->tick, &every) < 0) {
        return sb_err_oom(err);
    }
    return 0;
}

static void fill_defaults(struct sb_http_options *options)
{
    if (options->max_body_bytes == 0) {
        options->max_body_bytes = SB_HTTP_MAX_BODY_BYTES;
    }
    if (options->max_bodies_bytes == 0) {
        options->max_bodies_bytes = 64 * options->max_body_bytes;
    }
    if (options->max_connections == 0) {
        options->max_connections = DEFAULT_CONNECTIONS;
    }
    if (options->timeout_ms == 0) {
        options->timeout_ms = DEFAULT_TIMEOUT_MS;
    }
    if (options->idle_ms == 0) {
        options->idle_ms = DEFAULT_IDLE_MS;
    }
}

int sb_http_server_new(const struct sb_http_options *options,
                       struct sb_http_server **ret_server,
                       int *ret_port,
                       struct sb_err *err)
{
    SB_CLEANUP(free_server) struct sb_http_server *made = calloc(1, sizeof *made);
    unsigned char random[8];
    if (made == NULL) {
        return sb_err_oom(err);
    }
    sb_list_init(&made->conns);
    made->options = *options;
    fill_defaults(&made->options);
    made->guard = (struct sb_guard){options->origins, options->n_origins, options->hosts,
                                    options->n_hosts, false};
    made->now_ms = sb_clock_mono_ms();
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        return sb_err_sys(err, errno, "getrandom");
    }
    for (size_t i = 0; i < sizeof random; i++) {
        (void)snprintf(made->id_prefix + 2 * i, 3, "%02x", random[i]);
    }
    made->id_prefix[16] = '-';
    if ((options->tls_cert != NULL && sb_http_listen_tls(made, err) < 0) ||
        start_ticking(made, err) < 0 || start_listening(made, ret_port, err) < 0) {
        return -1;
    }
    *ret_server = SB_STEAL_PTR(made);
    return 0;
}

void sb_http_server_drain(struct sb_http_server *server,
                          unsigned grace_ms,
                          void (*on_done)(void *ctx),
                          void *ctx)
{
    server->now_ms = sb_clock_mono_ms();
    server->is_draining = true;
    server->drain_until_ms = server->now_ms + grace_ms;
    server->on_drained = on_done;
    server->drained_ctx = ctx;
    if (server->listener != NULL) {
        evconnlistener_free(server->listener);
        server->listener = NULL;
    }
    static const struct timeval often = {0, 10000};
    (void)event_add(server->tick, &often);
}

void sb_http_server_free(struct sb_http_server *server)
{
    if (server == NULL) {
        return;
    }
    if (server->listener != NULL) {
        evconnlistener_free(server->listener);
    }
    SB_FOREACH (node, &server->conns) {
        sb_conn_lost(SB_LIST_ENTRY(node, struct sb_conn, node));
    }
    if (server->tick != NULL) {
        event_free(server->tick);
    }
    if (server->again != NULL) {
        event_free(server->again);
    }
    SSL_CTX_free(server->tls);
    free(server);
}

unsigned sb_http_server_connections(const struct sb_http_server *server)
{
    return server->n_conns;
}
