#include "service/worker/port/tunnel.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "service/worker/limits.h"
#include "service/worker/port/port.h"
#include "service/worker/sandbox.h"
#include "service/worker/worker.h"

enum { PIECES_A_TURN = 4 /* of the loop, for one tunnel */ };

/* ---- the end ---- */

static void leave_port(struct sb_tunnel *tunnel)
{
    if (tunnel->port != NULL) {
        sb_list_remove(&tunnel->link);
        tunnel->port->n_tunnels--;
        tunnel->port = NULL;
        sb_sandbox_tunnel_left(tunnel->sandbox);
    }
}

/* @is_clean  both sides have ended; else the server is to see that they have not. */
static void stop(struct sb_tunnel *tunnel, bool is_clean)
{
    sb_dial_stop(&tunnel->dial);
    if (tunnel->fd >= 0) {
        const struct linger reset = {.l_onoff = 1, .l_linger = 0};
        (void)event_del(&tunnel->readable);
        (void)event_del(&tunnel->writable);
        if (!is_clean) {
            (void)setsockopt(tunnel->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        }
        (void)close(tunnel->fd);
        tunnel->fd = -1;
    }
    free(tunnel->piece);
    tunnel->piece = NULL;
    tunnel->piece_len = 0;
    leave_port(tunnel);
}

static void finish(struct sb_tunnel *tunnel, const struct sb_err *err)
{
    if (!tunnel->is_over) {
        tunnel->is_over = true;
        stop(tunnel, err->code == SB_OK);
        tunnel->events->done(tunnel->ctx, err);
    }
}

static void finish_if_both_ended(struct sb_tunnel *tunnel)
{
    if (tunnel->has_ended && tunnel->has_finished) {
        const struct sb_err good = {.code = SB_OK};
        finish(tunnel, &good);
    }
}

void sb_tunnel_cut(struct sb_tunnel *tunnel, const struct sb_err *why)
{
    leave_port(tunnel); /* whatever done() does */
    finish(tunnel, why);
}

static void fail(struct sb_tunnel *tunnel, int error)
{
    struct sb_err err;
    const struct sb_sandbox *sandbox = tunnel->sandbox;
    if (sandbox->state != SB_STATE_RUNNING) {
        (void)sb_err_set(&err, SB_ABORTED, "sandbox %s is %s%s%s", sandbox->id,
                         sb_state_name(sandbox->state),
                         sandbox->destroy_message[0] == '\0' ? "" : ": ", sandbox->destroy_message);
    } else if (error == ECONNRESET || error == EPIPE) {
        (void)sb_err_set(&err, SB_ABORTED,
                         "the server on port %u in sandbox %s reset the connection",
                         (unsigned)tunnel->dial.port, sandbox->id);
    } else {
        (void)sb_err_sys(&err, error, "port %u in sandbox %s", (unsigned)tunnel->dial.port,
                         sandbox->id);
    }
    finish(tunnel, &err);
}

/* ---- from the server ---- */

static void end_of_server(struct sb_tunnel *tunnel)
{
    bool is_freed = false;
    bool *outer = tunnel->ret_freed;
    tunnel->has_ended = true;
    (void)event_del(&tunnel->readable);
    tunnel->ret_freed = &is_freed;
    tunnel->events->ended(tunnel->ctx);
    if (is_freed) {
        if (outer != NULL) {
            *outer = true;
        }
        return;
    }
    tunnel->ret_freed = outer;
    finish_if_both_ended(tunnel);
}

/* Returns whether there may be more. */
static bool read_piece(struct sb_tunnel *tunnel)
{
    unsigned char *chunk = tunnel->sandbox->worker->chunk;
    ssize_t n = 0;
    do {
        n = recv(tunnel->fd, chunk, SB_MAX_CHUNK_BYTES, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        if (errno != EAGAIN) {
            fail(tunnel, errno);
        }
        return false;
    }
    if (n == 0 && tunnel->is_deaf) {
        fail(tunnel, ECONNRESET);
        return false;
    }
    if (n == 0) {
        end_of_server(tunnel);
        return false;
    }
    if (!tunnel->events->data(tunnel->ctx, chunk, (size_t)n)) {
        tunnel->is_paused = true;
    }
    return n == SB_MAX_CHUNK_BYTES;
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_tunnel *tunnel = ctx;
    bool is_freed = false;
    tunnel->ret_freed = &is_freed;
    for (int i = 0; i < PIECES_A_TURN && !tunnel->is_paused && !tunnel->is_over; i++) {
        bool has_more = read_piece(tunnel);
        if (is_freed) {
            return;
        }
        if (!has_more) {
            break;
        }
    }
    tunnel->ret_freed = NULL;
    if (tunnel->is_paused && !tunnel->is_over) {
        (void)event_del(&tunnel->readable);
    }
}

void sb_tunnel_resume(struct sb_tunnel *tunnel)
{
    if (tunnel->is_paused && tunnel->fd >= 0 && !tunnel->has_ended) {
        (void)event_add(&tunnel->readable, NULL);
    }
    tunnel->is_paused = false;
}

/* ---- to the server ---- */

static void tell_end(struct sb_tunnel *tunnel)
{
    if (tunnel->is_finishing && !tunnel->has_finished && tunnel->fd >= 0 &&
        tunnel->piece_len == 0) {
        tunnel->has_finished = true;
        (void)shutdown(tunnel->fd, SHUT_WR);
        finish_if_both_ended(tunnel);
    }
}

/* Returns how many bytes the server takes now, or -1: the tunnel is over. A server that answers
 * before it has read all, and closes, takes no more; what it has said is still there to be read,
 * and the connection fails behind it. */
static ssize_t push(struct sb_tunnel *tunnel, const void *data, size_t len)
{
    ssize_t n = -1;
    if (tunnel->is_deaf) {
        return (ssize_t)len;
    }
    do {
        n = send(tunnel->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n >= 0 || errno == EAGAIN) {
        return n < 0 ? 0 : n;
    }
    if ((errno == EPIPE || errno == ECONNRESET) && !tunnel->has_ended) {
        tunnel->is_deaf = true;
        return (ssize_t)len;
    }
    fail(tunnel, errno);
    return -1;
}

static void on_writable(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_tunnel *tunnel = ctx;
    size_t left = tunnel->piece_len - tunnel->piece_at;
    ssize_t n = push(tunnel, tunnel->piece + tunnel->piece_at, left);
    if (n < 0) {
        return;
    }
    tunnel->piece_at += (size_t)n;
    if ((size_t)n < left) {
        (void)event_add(&tunnel->writable, NULL);
        return;
    }
    free(tunnel->piece);
    tunnel->piece = NULL;
    tunnel->piece_len = 0;
    if (tunnel->is_finishing) {
        tell_end(tunnel);
    } else {
        tunnel->events->ready(tunnel->ctx);
    }
}

void sb_tunnel_send(struct sb_tunnel *tunnel, const void *data, size_t len)
{
    if (tunnel->is_over) {
        return;
    }
    ssize_t n = len == 0 ? 0 : push(tunnel, data, len);
    if (n < 0) {
        return;
    }
    size_t left = len - (size_t)n;
    if (left == 0) {
        tunnel->events->ready(tunnel->ctx);
        return;
    }
    tunnel->piece = malloc(left);
    if (tunnel->piece == NULL) {
        struct sb_err err;
        (void)sb_err_oom(&err);
        finish(tunnel, &err);
        return;
    }
    memcpy(tunnel->piece, (const unsigned char *)data + n, left);
    tunnel->piece_len = left;
    tunnel->piece_at = 0;
    (void)event_add(&tunnel->writable, NULL);
}

void sb_tunnel_finish(struct sb_tunnel *tunnel)
{
    tunnel->is_finishing = true;
    tell_end(tunnel);
}

/* ---- the beginning ---- */

static void on_dialled(void *ctx, int fd, const struct sb_err *err)
{
    struct sb_tunnel *tunnel = ctx;
    if (fd < 0) {
        finish(tunnel, err);
        return;
    }
    bool is_freed = false;
    struct event_base *base = tunnel->sandbox->worker->base;
    tunnel->fd = fd;
    (void)event_assign(&tunnel->readable, base, fd, EV_READ | EV_PERSIST, on_readable, tunnel);
    (void)event_assign(&tunnel->writable, base, fd, EV_WRITE, on_writable, tunnel);
    (void)event_add(&tunnel->readable, NULL);
    tunnel->ret_freed = &is_freed;
    tunnel->events->opened(tunnel->ctx);
    if (!is_freed && tunnel->is_finishing) {
        tell_end(tunnel);
    } else if (!is_freed) {
        tunnel->events->ready(tunnel->ctx);
    }
    if (!is_freed) {
        tunnel->ret_freed = NULL;
    }
}

int sb_tunnel_new(struct sb_port *port,
                  const struct sb_tunnel_events *events,
                  void *ctx,
                  struct sb_tunnel **ret_tunnel,
                  struct sb_err *err)
{
    struct sb_sandbox *sandbox = port->sandbox;
    if (sb_ports_check(sandbox, err) < 0) {
        return -1;
    }
    if (sandbox->n_tunnels >= SB_MAX_PORT_CALLS) {
        return sb_err_set(err, SB_EXHAUSTED,
                          "sandbox %s: %d connections to its ports are open already", sandbox->id,
                          SB_MAX_PORT_CALLS);
    }
    struct sb_tunnel *tunnel = calloc(1, sizeof *tunnel);
    if (tunnel == NULL) {
        return sb_err_oom(err);
    }
    tunnel->fd = -1;
    tunnel->events = events;
    tunnel->ctx = ctx;
    tunnel->dial = (struct sb_dial){
        .sandbox = sandbox, .port = port->number, .sock = -1, .done = on_dialled, .ctx = tunnel};
    if (sb_dial_start(&tunnel->dial, err) < 0) {
        free(tunnel);
        return -1;
    }
    tunnel->sandbox = sandbox;
    sandbox->refs++;
    tunnel->port = port;
    port->n_tunnels++;
    port->total++;
    sb_list_append(&port->tunnels, &tunnel->link);
    sb_sandbox_tunnel_joined(sandbox);
    *ret_tunnel = tunnel;
    return 0;
}

void sb_tunnel_free(struct sb_tunnel *tunnel)
{
    if (tunnel == NULL) {
        return;
    }
    if (tunnel->ret_freed != NULL) {
        *tunnel->ret_freed = true;
    }
    stop(tunnel, false);
    sb_sandbox_unref(tunnel->sandbox);
    free(tunnel);
}
