#include "cli/forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aisbx/v1/port_service.rpc.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/num.h"
#include "base/say.h"
#include "base/str.h"
#include "proto/client/connect.h"

enum { PIECE = 64 << 10, CONNS_MAX = 1024, BACKLOG = 128 };

/** One connection. */
struct conn {
    struct sb_list link;
    struct sb_forward *forward;
    const struct sb_forward_port *port;
    struct sb_rpc_stream *stream; /* NULL: over */
    int fd;                       /* -1: closed */
    unsigned char *piece;         /* owned: what our side did not take at once */
    size_t piece_len;
    size_t piece_at;
    bool is_open;  /* the server took it */
    bool is_full;  /* the call takes no more until drained */
    bool is_eof;   /* our side sends no more */
    bool is_ended; /* the server sends no more */
    bool is_clean; /* and the call ended well */
};

/* ---- the end of one ---- */

static void close_conn(struct conn *conn)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    if (conn->fd >= 0) {
        if (!conn->is_clean || conn->piece_len > 0) {
            (void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        }
        (void)close(conn->fd);
        conn->fd = -1;
    }
    free(conn->piece);
    conn->piece = NULL;
    conn->piece_len = 0;
}

/* Frees it when nothing is left to do; else it goes on. */
static void settle(struct conn *conn)
{
    if (conn->stream == NULL && (conn->piece_len == 0 || conn->fd < 0)) {
        close_conn(conn);
        sb_list_remove(&conn->link);
        conn->forward->n_conns--;
        free(conn);
    }
}

/* Our side is gone. */
static void give_up(struct conn *conn)
{
    close_conn(conn);
    if (conn->stream != NULL) {
        sb_rpc_stream_cancel(conn->stream); /* done() follows */
    } else {
        settle(conn);
    }
}

/* ---- to our side ---- */

static void end_of_server(struct conn *conn)
{
    if (conn->is_ended && conn->piece_len == 0 && conn->fd >= 0) {
        (void)shutdown(conn->fd, SHUT_WR);
    }
}

/* Returns how many bytes our side takes now, -1: it is gone. */
static ssize_t push(const struct conn *conn, const void *data, size_t len)
{
    ssize_t n = 0;
    do {
        n = send(conn->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n < 0 && errno == EAGAIN ? 0 : n;
}

static void on_writable(struct conn *conn)
{
    ssize_t n = push(conn, conn->piece + conn->piece_at, conn->piece_len - conn->piece_at);
    if (n < 0) {
        give_up(conn);
        return;
    }
    conn->piece_at += (size_t)n;
    if (conn->piece_at < conn->piece_len) {
        return;
    }
    free(conn->piece);
    conn->piece = NULL;
    conn->piece_len = 0;
    end_of_server(conn);
    if (conn->stream != NULL) {
        sb_rpc_stream_read(conn->stream);
    } else {
        settle(conn);
    }
}

static void take(struct conn *conn, const ProtobufCBinaryData *data)
{
    ssize_t n = conn->fd < 0 ? -1 : push(conn, data->data, data->len);
    if (n >= 0 && (size_t)n < data->len) {
        conn->piece_len = data->len - (size_t)n;
        conn->piece_at = 0;
        conn->piece = malloc(conn->piece_len);
        if (conn->piece == NULL) {
            conn->piece_len = 0;
            n = -1;
        } else {
            memcpy(conn->piece, data->data + n, conn->piece_len);
        }
    }
    if (n < 0) {
        give_up(conn);
    }
}

static void
on_message(struct sb_rpc_stream *stream, const Aisbx__V1__ForwardPortResponse *msg, void *user)
{
    struct conn *conn = user;
    conn->is_open = true;
    if (msg->data.len > 0) {
        take(conn, &msg->data);
    }
    if (msg->end_of_stream) {
        conn->is_ended = true;
        end_of_server(conn);
    }
    if (conn->stream != NULL && conn->fd >= 0 && conn->piece_len == 0) {
        sb_rpc_stream_read(stream);
    }
}

static void on_drained(struct sb_rpc_stream *stream, void *user)
{
    struct conn *conn = user;
    (void)stream;
    conn->is_full = false;
}

static void on_done(struct sb_rpc_stream *stream, const struct sb_err *err, void *user)
{
    struct conn *conn = user;
    struct sb_forward *forward = conn->forward;
    (void)stream;
    conn->stream = NULL;
    conn->is_clean = err->code == SB_OK;
    if (!conn->is_clean && conn->fd >= 0 && !forward->is_closing) {
        sb_say_note("port %u: %s", conn->port->remote, err->text);
        if ((err->code == SB_PRECONDITION || err->code == SB_NOT_FOUND) && !forward->is_ended) {
            forward->is_ended = true;
            *forward->ended = *err;
        }
    }
    if (!conn->is_clean) {
        close_conn(conn);
    }
    settle(conn);
}

static const struct aisbx__v1__port_service__forward_port__callbacks callbacks = {
    .message = on_message, .drained = on_drained, .done = on_done};

/* ---- from our side ---- */

static void on_readable(struct conn *conn)
{
    static unsigned char piece[PIECE];
    Aisbx__V1__ForwardPortRequest msg = AISBX__V1__FORWARD_PORT_REQUEST__INIT;
    ssize_t n = recv(conn->fd, piece, sizeof piece, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n < 0) {
        give_up(conn);
        return;
    }
    if (n == 0) {
        conn->is_eof = true;
        sb_rpc_stream_half_close(conn->stream);
        return;
    }
    msg.message_case = AISBX__V1__FORWARD_PORT_REQUEST__MESSAGE_DATA;
    msg.data = (ProtobufCBinaryData){(size_t)n, piece};
    conn->is_full = !aisbx__v1__port_service__forward_port__write(conn->stream, &msg);
}

static int begin(struct conn *conn, struct sb_err *err)
{
    struct sb_forward *forward = conn->forward;
    struct sb_connect *connect = forward->connect;
    char id[128];
    Aisbx__V1__ForwardPortOpen open = AISBX__V1__FORWARD_PORT_OPEN__INIT;
    Aisbx__V1__ForwardPortRequest msg = AISBX__V1__FORWARD_PORT_REQUEST__INIT;
    (void)snprintf(id, sizeof id, "%s", forward->sandbox_id);
    open.sandbox_id = id;
    open.port = conn->port->remote;
    msg.message_case = AISBX__V1__FORWARD_PORT_REQUEST__MESSAGE_OPEN;
    msg.open = &open;
    if (aisbx__v1__port_service__forward_port__start(connect->channel, &connect->options,
                                                     &callbacks, conn, &conn->stream, err) < 0) {
        return -1;
    }
    (void)aisbx__v1__port_service__forward_port__write(conn->stream, &msg);
    sb_rpc_stream_read(conn->stream);
    return 0;
}

static void on_accept(struct sb_forward *forward, const struct sb_forward_port *port)
{
    const int on = 1;
    struct sb_err err;
    int fd = accept4(port->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        return;
    }
    struct conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL) {
        (void)close(fd);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    conn->forward = forward;
    conn->port = port;
    conn->fd = fd;
    sb_list_append(&forward->conns, &conn->link);
    forward->n_conns++;
    if (begin(conn, &err) < 0) {
        sb_say_note("port %u: %s", port->remote, err.text);
        settle(conn);
    } else if (forward->is_verbose) {
        sb_say_note("port %u: a connection", port->remote);
    }
}

/* ---- all of them ---- */

static short events_of(const struct conn *conn)
{
    bool reads = conn->is_open && !conn->is_eof && !conn->is_full && conn->stream != NULL;
    return (short)((reads ? POLLIN : 0) | (conn->piece_len > 0 ? POLLOUT : 0));
}

static void act(struct conn *conn, short got, short asked)
{
    if ((got & POLLOUT) != 0) {
        on_writable(conn); /* may free it: the rest next time */
    } else if ((got & POLLIN) != 0) {
        on_readable(conn);
    } else if ((got & (POLLERR | POLLHUP | POLLNVAL)) != 0) {
        if ((asked & POLLIN) != 0) {
            on_readable(conn);
        } else {
            give_up(conn);
        }
    }
}

/* One round; sets *ret_stops. */
static int round_of(struct sb_forward *forward,
                    struct pollfd *fds,
                    struct conn **conns,
                    int stop_fd,
                    bool *ret_stops)
{
    nfds_t n = 2;
    bool has_room = forward->n_conns < CONNS_MAX;
    fds[0] = (struct pollfd){.fd = stop_fd, .events = POLLIN};
    int timeout = sb_rpc_channel_prepare(forward->connect->channel, &fds[1]);
    for (size_t i = 0; i < forward->n_ports; i++) {
        fds[n++] = (struct pollfd){.fd = has_room ? forward->ports[i].fd : -1, .events = POLLIN};
    }
    nfds_t first = n;
    SB_FOREACH (node, &forward->conns) {
        struct conn *conn = SB_LIST_ENTRY(node, struct conn, link);
        conns[n - first] = conn;
        fds[n++] = (struct pollfd){.fd = conn->fd, .events = events_of(conn)};
    }
    if (poll(fds, n, timeout) < 0 && errno != EINTR) {
        return -1;
    }
    if (fds[0].revents != 0) {
        *ret_stops = true;
        return 0;
    }
    for (nfds_t i = first; i < n; i++) {
        act(conns[i - first], fds[i].revents, fds[i].events);
    }
    for (size_t i = 0; i < forward->n_ports; i++) {
        if (fds[2 + i].revents != 0) {
            on_accept(forward, &forward->ports[i]);
        }
    }
    sb_rpc_channel_process(forward->connect->channel);
    return 0;
}

int sb_forward_serve(struct sb_forward *forward, int stop_fd, struct sb_err *err)
{
    bool stops = false;
    struct conn **conns = calloc(CONNS_MAX, sizeof(*conns));
    struct pollfd *fds = calloc(2 + SB_FORWARD_MAX + CONNS_MAX, sizeof *fds);
    int rc = conns == NULL || fds == NULL ? sb_err_oom(err) : 0;
    forward->ended = err;
    while (rc == 0 && !stops && !forward->is_ended) {
        if (round_of(forward, fds, conns, stop_fd, &stops) < 0) {
            rc = sb_err_sys(err, errno, "poll");
        }
    }
    free(conns);
    free(fds);
    return rc < 0 || forward->is_ended ? -1 : 0;
}

void sb_forward_done(struct sb_forward *forward)
{
    forward->is_closing = true;
    for (size_t i = 0; i < forward->n_ports; i++) {
        if (forward->ports[i].fd >= 0) {
            (void)close(forward->ports[i].fd);
            forward->ports[i].fd = -1;
        }
    }
    SB_FOREACH (node, &forward->conns) {
        give_up(SB_LIST_ENTRY(node, struct conn, link));
    }
    while (forward->n_conns > 0) {
        sb_rpc_channel_wait(forward->connect->channel);
    }
}

/* ---- the beginning ---- */

static int read_port(struct sb_str text, uint64_t min, uint16_t *ret_port)
{
    struct sb_err ignored;
    uint64_t value = 0;
    if (sb_num_u64(text, min, UINT16_MAX, &value, &ignored) < 0) {
        return -1;
    }
    *ret_port = (uint16_t)value;
    return 0;
}

int sb_forward_parse(const char *text, struct sb_forward_port *ret_port, struct sb_err *err)
{
    struct sb_str local = sb_str_from(text);
    struct sb_str remote = local;
    struct sb_forward_port port = {.fd = -1};
    bool is_pair = sb_str_split(sb_str_from(text), ':', &local, &remote);
    if (read_port(remote, 1, &port.remote) < 0 ||
        read_port(local, is_pair ? 0 : 1, &port.local) < 0) {
        return sb_err_set(err, SB_INVALID, "%s: must be PORT or LOCAL:PORT, each 1..65535", text);
    }
    *ret_port = port;
    return 0;
}

static int listen_on(struct sb_forward_port *port,
                     struct sockaddr_storage *address,
                     socklen_t len,
                     const char *shown,
                     struct sb_err *err)
{
    const int on = 1;
    struct sockaddr_in *in = (void *)address; /* the port lies there for IPv6, too */
    in->sin_port = htons(port->local);
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return sb_err_sys(err, errno, "socket");
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (void *)address, len) < 0 || listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (void *)address, &len) < 0) {
        int failed = errno;
        (void)close(fd);
        (void)sb_err_sys(err, failed, "listen on %s port %u", shown, port->local);
        err->code = failed == EADDRINUSE ? SB_EXISTS : err->code;
        return -1;
    }
    port->local = ntohs(in->sin_port);
    port->fd = fd;
    return 0;
}

int sb_forward_listen(struct sb_forward *forward, const char *address, struct sb_err *err)
{
    struct sockaddr_storage where = {0};
    struct sockaddr_in *in = (void *)&where;
    struct sockaddr_in6 *in6 = (void *)&where;
    socklen_t len = sizeof *in;
    if (inet_pton(AF_INET, address, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
    } else if (inet_pton(AF_INET6, address, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        len = sizeof *in6;
    } else {
        return sb_err_set(err, SB_INVALID, "--bind %s: is no IPv4 or IPv6 address", address);
    }
    for (size_t i = 0; i < forward->n_ports; i++) {
        if (listen_on(&forward->ports[i], &where, len, address, err) < 0) {
            return -1;
        }
    }
    return 0;
}
