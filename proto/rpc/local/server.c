/** Theory of operation. Everything happens in a turn of one connection: read and run the frames
 * that are there, send what is queued, end the calls whose last byte the kernel has taken. Handlers
 * run inside a turn or from other parts of the program, and what they ask for is only noted (struct
 * sb_rpc_call_ops forbids more): the call or the connection is put on a list of the local server,
 * and a timer of zero length, not an active event, runs the list, so that a busy stream lets the
 * loop look at other descriptors in between. */
#include "proto/rpc/local/server.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "proto/rpc/local/server_impl.h"

enum { MAX_REFUSED = 64 }; /* calls per connection whose refusal the peer has not read */

/* ---- kicks ---- */

static void arm_kick(struct sb_local_server *local)
{
    static const struct timeval now = {0, 0};
    if (!event_pending(&local->kick, EV_TIMEOUT, NULL)) {
        (void)event_add(&local->kick, &now);
    }
}

void sb_local_server_kick_conn(struct sb_local_conn *conn)
{
    if (!conn->is_in_turn && !sb_list_is_linked(&conn->in_kicked)) {
        sb_list_append(&conn->local->kicked_conns, &conn->in_kicked);
        arm_kick(conn->local);
    }
}

void sb_local_server_kick_call(struct sb_local_call *call)
{
    if (call->conn != NULL && !sb_list_is_linked(&call->in_kicked)) {
        sb_list_append(&call->conn->local->kicked_calls, &call->in_kicked);
        arm_kick(call->conn->local);
    }
}

void sb_local_server_update_pause(struct sb_local_conn *conn)
{
    bool was_paused = conn->link.is_paused;
    conn->link.is_paused = conn->n_clogging > 0 || conn->n_refused > MAX_REFUSED;
    if (was_paused && !conn->link.is_paused) {
        sb_local_server_kick_conn(conn);
    }
}

/* ---- connections ---- */

static void conn_free(struct sb_local_conn *conn)
{
    struct sb_local_server *local = conn->local;
    conn->is_in_turn = true; /* nothing below may kick it */
    struct sb_list orphans;
    sb_list_init(&orphans);
    for (struct sb_list *node; (node = sb_list_pop(&conn->calls)) != NULL;) {
        struct sb_local_call *call = SB_LIST_ENTRY(node, struct sb_local_call, in_conn);
        sb_local_call_detach(call);
        sb_list_append(&orphans, &call->in_conn);
    }
    (void)event_del(&conn->readable);
    (void)event_del(&conn->writable);
    (void)event_del(&conn->hangup);
    sb_link_done(&conn->link);
    sb_list_remove(&conn->in_conns);
    sb_list_remove(&conn->in_kicked);
    local->n_conns--;
    for (struct sb_list *node; (node = sb_list_pop(&orphans)) != NULL;) {
        sb_rpc_call_end(&SB_LIST_ENTRY(node, struct sb_local_call, in_conn)->base, true);
    }
    if (conn->closed != NULL) {
        conn->closed(conn->closed_ctx);
    }
    free(conn);
}

static void end_sent(struct sb_local_conn *conn)
{
    for (struct sb_list *node; (node = sb_list_pop(&conn->sent)) != NULL;) {
        struct sb_local_call *call = SB_LIST_ENTRY(node, struct sb_local_call, in_sent);
        sb_local_call_detach(call);
        sb_rpc_call_end(&call->base, false);
    }
}

static void watch(struct sb_local_conn *conn)
{
    if (conn->link.is_paused || sb_link_is_clogged(&conn->link)) {
        (void)event_del(&conn->readable);
        (void)event_add(&conn->hangup, NULL);
    } else {
        (void)event_add(&conn->readable, NULL);
        (void)event_del(&conn->hangup);
    }
    if (conn->link.wants_write) {
        (void)event_add(&conn->writable, NULL);
    } else {
        (void)event_del(&conn->writable);
    }
}

static void conn_turn(struct sb_local_conn *conn)
{
    struct sb_err err;
    conn->is_in_turn = true;
    int r = sb_link_receive(&conn->link, &err);
    bool was_clogged = sb_link_is_clogged(&conn->link);
    /* Also after a failed read: a peer that closed its sending half may still read. */
    if (sb_link_flush(&conn->link, &err) < 0) {
        r = -1;
    }
    end_sent(conn);
    conn->is_in_turn = false;
    if (r < 0) {
        conn_free(conn);
        return;
    }
    watch(conn);
    bool is_unclogged = was_clogged && !sb_link_is_clogged(&conn->link);
    bool has_more = !conn->link.wants_write && !sb_list_is_empty(&conn->link.ready);
    if (is_unclogged || has_more) {
        sb_local_server_kick_conn(conn);
    }
}

static void on_socket(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    conn_turn(ctx);
}

static void on_hangup(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    conn_free(ctx);
}

static void on_kick(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct sb_local_server *local = ctx;
    struct sb_list calls;
    sb_list_init(&calls);
    /* Only those listed now: who is kicked meanwhile waits for the next turn of the loop. */
    for (struct sb_list *node; (node = sb_list_pop(&local->kicked_calls)) != NULL;) {
        sb_list_append(&calls, node);
    }
    for (struct sb_list *node; (node = sb_list_pop(&calls)) != NULL;) {
        sb_local_call_turn(SB_LIST_ENTRY(node, struct sb_local_call, in_kicked));
    }
    struct sb_list conns;
    sb_list_init(&conns);
    for (struct sb_list *node; (node = sb_list_pop(&local->kicked_conns)) != NULL;) {
        sb_list_append(&conns, node);
    }
    for (struct sb_list *node; (node = sb_list_pop(&conns)) != NULL;) {
        conn_turn(SB_LIST_ENTRY(node, struct sb_local_conn, in_kicked));
    }
}

/* ---- life ---- */

struct sb_local_server *
sb_local_server_new(struct sb_rpc_server *server, struct event_base *base, struct sb_err *err)
{
    struct sb_local_server *local = calloc(1, sizeof *local);
    if (local == NULL) {
        (void)sb_err_oom(err);
        return NULL;
    }
    local->server = server;
    local->base = base;
    sb_list_init(&local->conns);
    sb_list_init(&local->kicked_calls);
    sb_list_init(&local->kicked_conns);
    (void)evtimer_assign(&local->kick, base, on_kick, local);
    return local;
}

void sb_local_server_free(struct sb_local_server *local)
{
    if (local == NULL) {
        return;
    }
    for (struct sb_list *node; (node = sb_list_pop(&local->conns)) != NULL;) {
        struct sb_local_conn *conn = SB_LIST_ENTRY(node, struct sb_local_conn, in_conns);
        struct sb_err ignored;
        conn->is_in_turn = true;
        (void)sb_link_flush(&conn->link, &ignored); /* the last word to who was cut short */
        conn_free(conn);
    }
    (void)event_del(&local->kick);
    free(local);
}

void sb_local_server_adopt(struct sb_local_server *local,
                           int fd,
                           const struct ucred *cred,
                           void (*closed)(void *ctx),
                           void *ctx)
{
    struct sb_local_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL) {
        sb_closep(&fd);
        closed(ctx);
        return;
    }
    conn->local = local;
    conn->cred = *cred;
    conn->closed = closed;
    conn->closed_ctx = ctx;
    sb_list_init(&conn->calls);
    sb_list_init(&conn->sent);
    sb_list_append(&local->conns, &conn->in_conns);
    local->n_conns++;
    sb_link_init(&conn->link, fd, &sb_local_frames_ops, conn);
    (void)event_assign(&conn->readable, local->base, fd, EV_READ | EV_PERSIST, on_socket, conn);
    (void)event_assign(&conn->writable, local->base, fd, EV_WRITE | EV_PERSIST, on_socket, conn);
    (void)event_assign(&conn->hangup, local->base, fd, EV_CLOSED, on_hangup, conn);
    conn_turn(conn);
}

unsigned sb_local_server_connections(const struct sb_local_server *local)
{
    return local->n_conns;
}
