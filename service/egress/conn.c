#include "service/egress/conn.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mutate.h"
#include "service/egress/box.h"
#include "service/egress/control.h"
#include "service/egress/hello.h"
#include "service/egress/resolve.h"

/* ---- its life ---- */

static void set_timer(struct sb_conn *conn, uint64_t now)
{
    uint64_t ms = conn->deadline_ms > now ? conn->deadline_ms - now : 0;
    const struct timeval tv = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
    (void)event_add(&conn->timer, &tv);
}

void sb_conn_enter(struct sb_conn *conn, enum sb_conn_stage stage, uint64_t ms)
{
    uint64_t now = sb_clock_mono_ms();
    conn->stage = stage;
    conn->deadline_ms = now + ms;
    set_timer(conn, now);
}

uint64_t sb_conn_half_idle_ms(const struct sb_conn *conn)
{
    uint64_t ms = conn->box->proxy->idle_ms;
    return ms < SB_EGRESS_HALF_IDLE_MS ? ms : SB_EGRESS_HALF_IDLE_MS;
}

static void drop_server(struct sb_conn *conn)
{
    if (conn->server != NULL) {
        bufferevent_setcb(conn->server, NULL, NULL, NULL, NULL);
        bufferevent_free(conn->server);
        conn->server = NULL;
    }
}

static void stop_lookup(struct sb_conn *conn)
{
    sb_resolve_cancel(conn->lookup);
    conn->lookup = NULL;
    if (conn->is_looked_up) {
        conn->is_looked_up = false;
        conn->box->n_lookups--;
        event_active(&conn->box->may_look_up, EV_TIMEOUT, 0);
    }
}

/* Its close(2) is a reset: what was cut off must not look as if it were whole. */
static void cut(struct bufferevent *bev)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(bufferevent_getfd(bev), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

/* The ends that were not handed on by then are no ends of the other side's. */
static void cut_what_is_not_whole(struct sb_conn *conn)
{
    bool is_relayed = conn->stage == SB_CONN_HELLO || conn->stage == SB_CONN_RELAY;
    if ((is_relayed && !conn->client_shut) ||
        evbuffer_get_length(bufferevent_get_output(conn->client)) > 0) {
        cut(conn->client);
    }
    if (conn->stage == SB_CONN_RELAY && conn->kind != SB_CONN_FORWARD && !conn->server_shut) {
        cut(conn->server);
    }
}

void sb_conn_end(struct sb_conn *conn)
{
    struct sb_box *box = conn->box;
    if (conn->stage == SB_CONN_ENDED) {
        return;
    }
    cut_what_is_not_whole(conn);
    conn->stage = SB_CONN_ENDED;
    if (conn->is_let_through) {
        char shown[SB_ADDR_TEXT_SIZE];
        sb_control_tell_decision(box, conn->host.name,
                                 sb_addr_format(shown, conn->addresses[conn->n_tried - 1]),
                                 conn->port, conn->out_bytes, conn->in_bytes);
    }
    stop_lookup(conn);
    (void)event_del(&conn->timer);
    bufferevent_setcb(conn->client, NULL, NULL, NULL, NULL);
    (void)bufferevent_disable(conn->client, EV_READ | EV_WRITE);
    drop_server(conn);
    sb_list_remove(&conn->link);
    sb_list_append(&box->proxy->graveyard, &conn->link);
    event_active(&box->proxy->bury, EV_TIMEOUT, 0);
    box->n_conns--;
    box->proxy->n_conns--;
    sb_box_released(box);
}

void sb_conn_shut_client(struct sb_conn *conn)
{
    if (conn->is_opened) { /* a small record; the kernel has room, as it has all before */
        (void)SSL_shutdown(bufferevent_openssl_get_ssl(conn->client));
    }
    (void)shutdown(bufferevent_getfd(conn->client), SHUT_WR);
}

void sb_conn_forget_request(struct sb_conn *conn)
{
    if (conn->request.mem != NULL) {
        explicit_bzero(conn->request.mem, conn->request.cap);
    }
    sb_buf_done(&conn->request);
}

void sb_conn_bury(struct sb_list *graveyard)
{
    for (struct sb_list *node = NULL; (node = sb_list_pop(graveyard)) != NULL;) {
        struct sb_conn *conn = SB_LIST_ENTRY(node, struct sb_conn, link);
        bufferevent_free(conn->client);
        sb_conn_forget_request(conn);
        sb_secret_use_done(&conn->use);
        if (conn->looked != NULL) {
            evbuffer_free(conn->looked);
        }
        free(conn);
    }
}

struct sb_str sb_conn_peek(struct bufferevent *from, size_t max)
{
    struct evbuffer *in = bufferevent_get_input(from);
    size_t len = evbuffer_get_length(in);
    len = len < max ? len : max;
    const void *bytes = len == 0 ? NULL : evbuffer_pullup(in, (ev_ssize_t)len);
    return bytes == NULL ? (struct sb_str){NULL, 0} : sb_str_of(bytes, len);
}

void sb_conn_linger(struct sb_conn *conn)
{
    drop_server(conn);
    stop_lookup(conn);
    sb_conn_enter(conn, SB_CONN_LINGER, SB_EGRESS_LINGER_MS);
    conn->linger_end_ms = sb_clock_mono_ms() + sb_conn_half_idle_ms(conn);
    bufferevent_setwatermark(conn->client, EV_WRITE, 0, 0);
    (void)bufferevent_enable(conn->client, EV_READ);
    struct evbuffer *in = bufferevent_get_input(conn->client);
    (void)evbuffer_drain(in, evbuffer_get_length(in));
    if (evbuffer_get_length(bufferevent_get_output(conn->client)) == 0) {
        sb_conn_shut_client(conn);
    }
    if (conn->client_ended && evbuffer_get_length(bufferevent_get_output(conn->client)) == 0) {
        sb_conn_end(conn);
    }
}

/* ---- to the server ---- */

static void dial(struct sb_conn *conn);

static void on_read(struct bufferevent *bev, void *ctx)
{
    struct sb_conn *conn = ctx;
    struct evbuffer *in = bufferevent_get_input(bev);
    switch (conn->stage) {
    case SB_CONN_FIRST:
    case SB_CONN_HTTP:
    case SB_CONN_GREETING:
    case SB_CONN_SOCKS:
        sb_conn_read_request(conn);
        break;
    case SB_CONN_OPENING:
        if (bev == conn->client) {
            sb_conn_read_opened(conn);
        }
        break;
    case SB_CONN_HELLO:
    case SB_CONN_RELAY:
        sb_conn_relay(conn);
        break;
    case SB_CONN_LINGER:
        (void)evbuffer_drain(in, evbuffer_get_length(in));
        break;
    case SB_CONN_RESOLVING: /* it waits, up to the watermark */
    case SB_CONN_DIALING:
    case SB_CONN_ENDED:
        break;
    }
}

static void on_written(struct bufferevent *bev, void *ctx)
{
    struct sb_conn *conn = ctx;
    if (conn->stage == SB_CONN_HELLO || conn->stage == SB_CONN_RELAY) {
        sb_conn_relay(conn);
    } else if (conn->stage == SB_CONN_LINGER &&
               evbuffer_get_length(bufferevent_get_output(bev)) == 0) {
        sb_conn_shut_client(conn);
        if (conn->client_ended) {
            sb_conn_end(conn);
        }
    }
}

static void on_client_event(struct bufferevent *bev, short what, void *ctx)
{
    struct sb_conn *conn = ctx;
    bool is_end = (what & BEV_EVENT_EOF) != 0;
    bool is_relayed = conn->stage == SB_CONN_HELLO || conn->stage == SB_CONN_RELAY;
    bool is_flushed = evbuffer_get_length(bufferevent_get_output(bev)) == 0;
    if (conn->stage == SB_CONN_OPENING) {
        sb_conn_client_opened(conn, (what & BEV_EVENT_CONNECTED) != 0);
        return;
    }
    conn->client_ended = conn->client_ended || is_end;
    if (!is_end || conn->stage < SB_CONN_RESOLVING ||
        (conn->stage == SB_CONN_LINGER && is_flushed)) {
        sb_conn_end(conn);
    } else if (is_relayed) {
        sb_conn_relay(conn);
    } /* else a client that has said all it will; it waits for the answer */
}

static void on_server_event(struct bufferevent *bev, short what, void *ctx)
{
    struct sb_conn *conn = ctx;
    (void)bev;
    if (conn->stage == SB_CONN_DIALING) {
        if ((what & BEV_EVENT_CONNECTED) != 0) {
            sb_conn_connected(conn);
        } else {
            dial(conn);
        }
    } else if (conn->stage == SB_CONN_OPENING) {
        sb_conn_server_opened(conn, (what & BEV_EVENT_CONNECTED) != 0);
    } else if ((what & BEV_EVENT_EOF) != 0) {
        conn->server_ended = true;
        sb_conn_relay(conn);
    } else if (conn->server_ended) { /* it takes no more; what it said is still to be passed on */
        conn->server_shut = true;
        sb_conn_relay(conn);
    } else {
        sb_conn_end(conn);
    }
}

static void set_up(struct sb_conn *conn, struct bufferevent *bev, bufferevent_event_cb on_event)
{
    bufferevent_setcb(bev, on_read, on_written, on_event, conn);
    bufferevent_setwatermark(bev, EV_READ, 0, SB_EGRESS_BUFFER);
    bufferevent_setwatermark(bev, EV_WRITE, SB_EGRESS_BUFFER_LOW, 0);
}

void sb_conn_set_up_both(struct sb_conn *conn)
{
    set_up(conn, conn->client, on_client_event);
    set_up(conn, conn->server, on_server_event);
    (void)bufferevent_enable(conn->client, EV_READ | EV_WRITE);
    (void)bufferevent_enable(conn->server, EV_READ | EV_WRITE);
}

static bool start_dial(struct sb_conn *conn, const unsigned char address[SB_ADDR_SIZE])
{
    struct sockaddr_storage to;
    unsigned len = sb_addr_to_socket(address, conn->port, &to);
    drop_server(conn);
    conn->server = bufferevent_socket_new(conn->box->proxy->base, -1, BEV_OPT_CLOSE_ON_FREE);
    if (conn->server == NULL) {
        return false;
    }
    if (bufferevent_socket_connect(conn->server, (struct sockaddr *)&to, (int)len) < 0) {
        return false;
    }
    set_up(conn, conn->server, on_server_event); /* only now: a failure at once calls back, too */
    return true;
}

/* Tries the next of the addresses, each of which was checked. */
static void dial(struct sb_conn *conn)
{
    while (conn->n_tried < conn->n_addresses) {
        sb_conn_enter(conn, SB_CONN_DIALING, SB_EGRESS_DIAL_MS);
        conn->n_tried++;
        if (start_dial(conn, conn->addresses[conn->n_tried - 1])) {
            return;
        }
    }
    sb_conn_fail(conn, "no address of it takes a connection");
}

static void
on_resolved(void *ctx, const unsigned char (*addresses)[SB_ADDR_SIZE], size_t n, const char *why)
{
    struct sb_conn *conn = ctx;
    struct sb_refusal refusal;
    bool is_refused = false;
    conn->lookup = NULL; /* it is done */
    stop_lookup(conn);
    /* The rules may be others than when it was asked for. */
    if (!sb_mutated("egress.after-dns") &&
        sb_rules_check_host(&conn->box->rules, &conn->host, conn->port, &refusal) < 0) {
        sb_conn_refuse(conn, &refusal);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct sb_refusal other;
        if (sb_mutated("egress.resolved") ||
            sb_rules_check_address(&conn->box->rules, &conn->host, addresses[i], conn->port,
                                   &other) == 0) {
            memcpy(conn->addresses[conn->n_addresses++], addresses[i], SB_ADDR_SIZE);
        } else if (!is_refused) {
            refusal = other;
            is_refused = true;
        }
    }
    if (conn->n_addresses > 0) {
        dial(conn);
    } else if (is_refused) {
        sb_conn_refuse(conn, &refusal);
    } else {
        sb_conn_fail(conn, why);
    }
}

void sb_conn_go(struct sb_conn *conn)
{
    struct sb_refusal refusal;
    if (sb_box_left(conn->box) == 0) {
        (void)sb_refusal_set_limit(&refusal, &conn->host, conn->port, "max_bytes",
                                   "the sandbox has used up its bytes");
        sb_conn_refuse(conn, &refusal);
        return;
    }
    bool is_judged = conn->host.is_address || !sb_mutated("egress.before-dns");
    if (is_judged &&
        sb_rules_check_host(&conn->box->rules, &conn->host, conn->port, &refusal) < 0) {
        sb_conn_refuse(conn, &refusal);
        return;
    }
    if (conn->host.is_address) {
        /* What unwraps is connected to where it leads. */
        if (!sb_addr_unwrap(conn->host.address, conn->addresses[0])) {
            memcpy(conn->addresses[0], conn->host.address, SB_ADDR_SIZE);
        }
        conn->n_addresses = 1;
        dial(conn);
        return;
    }
    sb_conn_enter(conn, SB_CONN_RESOLVING, SB_EGRESS_RESOLVE_MS);
    if (conn->box->n_lookups < SB_EGRESS_BOX_LOOKUPS) {
        sb_conn_look_up(conn);
    }
}

void sb_conn_look_up(struct sb_conn *conn)
{
    struct sb_err err;
    struct sb_lookup *lookup = NULL;
    conn->is_looked_up = true;
    conn->box->n_lookups++;
    if (sb_resolve(conn->box->proxy->resolver, conn->host.name, on_resolved, conn, &lookup, &err) <
        0) {
        sb_conn_fail(conn, err.text);
    } else if (lookup != NULL) {
        conn->lookup = lookup;
    }
}

/* ---- from outside ---- */

/* The kernel holds bytes that have not reached the client. It would drop them when more came from
 * there for a closed socket. */
static bool has_unsent(const struct sb_conn *conn)
{
    int n = 0;
    return ioctl(bufferevent_getfd(conn->client), SIOCOUTQ, &n) == 0 && n > 0;
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct sb_conn *conn = ctx;
    struct sb_refusal refusal;
    uint64_t now = sb_clock_mono_ms();
    (void)fd;
    (void)what;
    if (now < conn->deadline_ms) {
        set_timer(conn, now);
        return;
    }
    switch (conn->stage) {
    case SB_CONN_HTTP:
    case SB_CONN_GREETING:
    case SB_CONN_SOCKS:
        (void)sb_refusal_set(&refusal, SB_EGRESS_PROTOCOL, NULL, 0, "the request came too slowly");
        sb_conn_refuse(conn, &refusal);
        break;
    case SB_CONN_HELLO:
        if (conn->port != SB_HELLO_TLS_PORT) { /* idle, as in RELAY */
            sb_conn_end(conn);
            break;
        }
        (void)sb_refusal_set(&refusal, SB_EGRESS_SNI, &conn->host, conn->port,
                             "no ClientHello of TLS came");
        sb_conn_refuse(conn, &refusal);
        break;
    case SB_CONN_RESOLVING:
        sb_conn_fail(conn, "the name servers do not answer");
        break;
    case SB_CONN_DIALING:
        dial(conn);
        break;
    case SB_CONN_LINGER:
        if (now < conn->linger_end_ms && has_unsent(conn)) {
            sb_conn_enter(conn, SB_CONN_LINGER, SB_EGRESS_LINGER_MS);
            break;
        }
        sb_conn_end(conn);
        break;
    case SB_CONN_OPENING:
        if (conn->is_greeted && !conn->has_request) {
            (void)sb_refusal_set(&refusal, SB_EGRESS_PROTOCOL, &conn->host, conn->port,
                                 "the request came too slowly");
            sb_conn_refuse(conn, &refusal);
        } else if (conn->is_greeted) {
            sb_conn_fail(conn, "it does not speak TLS in time");
        } else {
            sb_conn_end(conn);
        }
        break;
    case SB_CONN_FIRST:
    case SB_CONN_RELAY:
    case SB_CONN_ENDED:
        sb_conn_end(conn);
        break;
    }
}

int sb_conn_start(struct sb_box *box, int client, struct sb_err *err)
{
    const int yes = 1;
    struct sb_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL) {
        return sb_err_oom(err);
    }
    conn->box = box;
    sb_buf_init(&conn->request, SB_HTTP_MAX_HEAD + 1024);
    conn->client = bufferevent_socket_new(box->proxy->base, client, BEV_OPT_CLOSE_ON_FREE);
    if (conn->client == NULL) {
        free(conn);
        return sb_err_oom(err);
    }
    (void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes); /* or not TCP */
    (void)event_assign(&conn->timer, box->proxy->base, -1, 0, on_timer, conn);
    set_up(conn, conn->client, on_client_event);
    sb_list_append(&box->conns, &conn->link);
    box->n_conns++;
    box->n_connections++;
    box->proxy->n_conns++;
    sb_conn_enter(conn, SB_CONN_FIRST, box->proxy->head_ms);
    (void)bufferevent_enable(conn->client, EV_READ | EV_WRITE);
    return 0;
}

static bool is_permitted(const struct sb_conn *conn)
{
    struct sb_refusal refusal;
    const struct sb_rules *rules = &conn->box->rules;
    if (sb_rules_check_host(rules, &conn->host, conn->port, &refusal) < 0) {
        return false;
    }
    if (conn->n_tried > 0 &&
        sb_rules_check_address(rules, &conn->host, conn->addresses[conn->n_tried - 1], conn->port,
                               &refusal) < 0) {
        return false;
    }
    return conn->sni.name[0] == '\0' ||
           sb_hello_check_name(rules, &conn->host, conn->port, &conn->sni, &refusal) > 0;
}

void sb_conn_recheck(struct sb_conn *conn)
{
    struct sb_refusal refusal;
    const struct sb_rules *rules = &conn->box->rules;
    if (conn->stage < SB_CONN_RESOLVING || conn->stage > SB_CONN_RELAY) {
        return;
    }
    if (!is_permitted(conn) || sb_box_left(conn->box) == 0) {
        sb_conn_end(conn);
        return;
    }
    if (conn->stage == SB_CONN_DIALING) { /* of those not tried yet, keep what is still allowed */
        size_t n = conn->n_tried;
        for (size_t i = conn->n_tried; i < conn->n_addresses; i++) {
            if (sb_rules_check_address(rules, &conn->host, conn->addresses[i], conn->port,
                                       &refusal) == 0) {
                memmove(conn->addresses[n++], conn->addresses[i], SB_ADDR_SIZE);
            }
        }
        conn->n_addresses = n;
    }
}
