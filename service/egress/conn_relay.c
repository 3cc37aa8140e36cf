#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mutate.h"
#include "service/egress/box.h"
#include "service/egress/conn.h"
#include "service/egress/control.h"
#include "service/egress/hello.h"
#include "service/egress/sni.h"
#include "service/egress/socks.h"

/* ---- counting ---- */

static void refuse_limit(struct sb_conn *conn)
{
    struct sb_refusal refusal;
    (void)sb_refusal_set_limit(&refusal, &conn->host, conn->port, "max_bytes",
                               "the sandbox has used up its bytes");
    sb_control_tell_denied(conn->box, &refusal);
    sb_conn_end(conn);
}

bool sb_conn_count(struct sb_conn *conn, size_t out_bytes, size_t in_bytes)
{
    conn->out_bytes += out_bytes;
    conn->in_bytes += in_bytes;
    if (!sb_box_count(conn->box, out_bytes, in_bytes)) {
        refuse_limit(conn);
        return false;
    }
    return true;
}

static void touch(struct sb_conn *conn)
{
    bool is_half = conn->client_ended || conn->server_ended;
    uint64_t ms = is_half ? sb_conn_half_idle_ms(conn) : conn->box->proxy->idle_ms;
    uint64_t deadline_ms = sb_clock_mono_ms() + ms;
    if (deadline_ms < conn->deadline_ms) { /* the timer stands too late */
        sb_conn_enter(conn, conn->stage, ms);
    } else {
        conn->deadline_ms = deadline_ms;
    }
}

/* ---- the first bytes of a tunnel ---- */

static void check_hello(struct sb_conn *conn)
{
    struct sb_refusal refusal;
    struct sb_str bytes = sb_conn_peek(conn->client, SB_SNI_MAX_BYTES);
    if (bytes.len == 0) {
        return;
    }
    int rc =
        sb_hello_check(&conn->box->rules, &conn->host, conn->port, bytes, &conn->sni, &refusal);
    if (rc < 0) {
        sb_conn_refuse(conn, &refusal);
    } else if (rc > 0) {
        sb_conn_enter(conn, SB_CONN_RELAY, conn->box->proxy->idle_ms);
    }
}

/* ---- one direction each ---- */

/* Moves up to @max bytes. */
static size_t move(struct bufferevent *from, struct bufferevent *to, size_t max)
{
    int n = evbuffer_remove_buffer(bufferevent_get_input(from), bufferevent_get_output(to), max);
    return n > 0 ? (size_t)n : 0;
}

static size_t room_in(struct bufferevent *to)
{
    size_t held = evbuffer_get_length(bufferevent_get_output(to));
    return held < SB_EGRESS_BUFFER ? SB_EGRESS_BUFFER - held : 0;
}

/* Also what the sandbox may still pass. */
size_t sb_conn_room(const struct sb_conn *conn, struct bufferevent *to)
{
    size_t room = room_in(to);
    uint64_t left = sb_box_left(conn->box);
    return left < room ? (size_t)left : room;
}

static size_t waiting_in(struct bufferevent *from)
{
    return evbuffer_get_length(bufferevent_get_input(from));
}

/* The body of a forwarded request, to its end and no further. */
static void move_body(struct sb_conn *conn)
{
    struct sb_err err;
    struct sb_refusal refusal;
    while (conn->body.state != SB_HTTP_BODY_DONE && room_in(conn->server) > 0) {
        struct sb_str bytes = sb_conn_peek(conn->client, sb_conn_room(conn, conn->server));
        ptrdiff_t n = bytes.len == 0 ? 0 : sb_http_body_take(&conn->body, bytes, &err);
        if (n < 0) {
            (void)sb_refusal_set(&refusal, SB_EGRESS_PROTOCOL, &conn->host, conn->port, err.text);
            sb_conn_refuse(conn, &refusal);
            return;
        }
        if (n == 0) { /* more is needed */
            break;
        }
        if (!sb_conn_count(conn, move(conn->client, conn->server, (size_t)n), 0)) {
            return;
        }
    }
    if (conn->body.state != SB_HTTP_BODY_DONE) {
        if (conn->client_ended && waiting_in(conn->client) == 0) {
            sb_conn_end(conn); /* half a request */
        }
        return;
    }
    if (waiting_in(conn->client) > 0 && !conn->has_told_second) {
        conn->has_told_second = true;
        (void)sb_refusal_set(&refusal, SB_EGRESS_PROTOCOL, &conn->host, conn->port,
                             "a second request on one connection");
        sb_control_tell_denied(conn->box, &refusal);
    }
    (void)evbuffer_drain(bufferevent_get_input(conn->client), waiting_in(conn->client));
}

static void move_out(struct sb_conn *conn)
{
    bool is_forward = conn->kind == SB_CONN_FORWARD;
    if (conn->server_shut || (is_forward && conn->server_ended)) { /* nobody takes it */
        (void)evbuffer_drain(bufferevent_get_input(conn->client), waiting_in(conn->client));
        return;
    }
    if (is_forward && !sb_mutated("egress.one-request")) {
        move_body(conn);
        return;
    }
    size_t room = sb_conn_room(conn, conn->server);
    if (room > 0 && !sb_conn_count(conn, move(conn->client, conn->server, room), 0)) {
        return;
    }
    if (conn->client_ended && !conn->server_shut && waiting_in(conn->client) == 0 &&
        evbuffer_get_length(bufferevent_get_output(conn->server)) == 0) {
        conn->server_shut = true;
        (void)shutdown(bufferevent_getfd(conn->server), SHUT_WR);
    }
}

/* The head of the answer is written anew, so that the client knows that the connection ends.
 * Returns 1: it has passed, 0: more is needed, -1: it is over. */
static int move_answer_head(struct sb_conn *conn)
{
    struct sb_err err;
    struct sb_http_head head;
    while (!conn->has_answer_head) {
        struct sb_str bytes = sb_conn_peek(conn->server, SB_HTTP_MAX_HEAD);
        SB_CLEANUP(sb_buf_done) struct sb_buf out = SB_BUF_INIT(SB_HTTP_MAX_HEAD + 1024);
        int n = sb_http_head_length(bytes, &err);
        if (n == 0 && !conn->server_ended) {
            return 0;
        }
        if (n <= 0 || sb_http_head_read_response(sb_str_head(bytes, (size_t)n), &head, &err) < 0 ||
            sb_http_head_write_response(&head, &out, &err) < 0) {
            sb_conn_fail(conn, n == 0 ? "its answer ends in the head" : err.text);
            return -1;
        }
        conn->has_answer_head = head.status >= 200 || head.status == 101;
        (void)bufferevent_write(conn->client, sb_buf_cstr(&out), out.len);
        (void)evbuffer_drain(bufferevent_get_input(conn->server), (size_t)n);
        if (!sb_conn_count(conn, 0, (size_t)n)) {
            return -1;
        }
    }
    return 1;
}

static void move_in(struct sb_conn *conn)
{
    if (conn->looked != NULL) {
        sb_conn_scrub_in(conn);
        return;
    }
    if (conn->kind == SB_CONN_FORWARD && move_answer_head(conn) <= 0) {
        return;
    }
    size_t room = sb_conn_room(conn, conn->client);
    if (room > 0 && !sb_conn_count(conn, 0, move(conn->server, conn->client, room))) {
        return;
    }
    if (!conn->server_ended || waiting_in(conn->server) > 0) {
        return;
    }
    if (evbuffer_get_length(bufferevent_get_output(conn->client)) > 0) {
        bufferevent_setwatermark(conn->client, EV_WRITE, SB_EGRESS_BUFFER, 0); /* any progress */
    } else if (conn->kind == SB_CONN_FORWARD) {
        sb_conn_linger(conn);
    } else if (!conn->client_shut) {
        conn->client_shut = true;
        sb_conn_shut_client(conn);
    }
}

/* Reads on while the other side takes what was read. */
static void throttle(struct bufferevent *from, struct bufferevent *to, bool has_ended)
{
    if (has_ended) {
        return;
    }
    if (room_in(to) == 0) {
        (void)bufferevent_disable(from, EV_READ);
    } else {
        (void)bufferevent_enable(from, EV_READ);
    }
}

void sb_conn_relay(struct sb_conn *conn)
{
    if (conn->stage == SB_CONN_HELLO) {
        check_hello(conn);
        if (conn->stage == SB_CONN_HELLO && conn->client_ended) { /* no more will come */
            if (waiting_in(conn->client) > 0 || conn->port == SB_HELLO_TLS_PORT) {
                sb_conn_end(conn);
                return;
            }
            conn->stage = SB_CONN_RELAY;
        }
    }
    if (conn->stage == SB_CONN_RELAY) {
        move_out(conn);
    }
    if (conn->stage == SB_CONN_RELAY || conn->stage == SB_CONN_HELLO) {
        move_in(conn);
    }
    if (conn->stage != SB_CONN_RELAY && conn->stage != SB_CONN_HELLO) {
        return;
    }
    if (conn->client_shut && conn->server_shut) {
        if (conn->client_ended) {
            sb_conn_end(conn);
        } else { /* nobody takes what it still sends */
            sb_conn_linger(conn);
        }
        return;
    }
    throttle(conn->client, conn->server, conn->client_ended);
    throttle(conn->server, conn->client, conn->server_ended);
    if (conn->stage == SB_CONN_RELAY || conn->port != SB_HELLO_TLS_PORT) {
        touch(conn);
    }
}

void sb_conn_send_request(struct sb_conn *conn)
{
    size_t len = conn->request.len;
    sb_conn_enter(conn, SB_CONN_RELAY, conn->box->proxy->idle_ms);
    (void)bufferevent_write(conn->server, sb_buf_cstr(&conn->request), len);
    sb_conn_forget_request(conn);
    if (sb_conn_count(conn, len, 0)) {
        sb_conn_relay(conn);
    }
}

void sb_conn_connected(struct sb_conn *conn)
{
    static const char established[] = "HTTP/1.1 200 Connection established\r\n\r\n";
    const int yes = 1;
    unsigned char reply[SB_SOCKS_REPLY_SIZE];
    conn->is_let_through = true;
    (void)setsockopt(bufferevent_getfd(conn->server), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    (void)bufferevent_enable(conn->server, EV_READ | EV_WRITE);
    if (conn->kind == SB_CONN_FORWARD) {
        sb_conn_send_request(conn);
        return;
    }
    bool is_tls = conn->port == SB_HELLO_TLS_PORT;
    sb_conn_enter(conn, SB_CONN_HELLO, is_tls ? SB_EGRESS_HELLO_MS : conn->box->proxy->idle_ms);
    const void *text = established;
    size_t len = sizeof established - 1;
    if (conn->kind == SB_CONN_SOCKS5) {
        sb_socks_make_reply(SB_SOCKS_OK, reply);
        text = reply;
        len = sizeof reply;
    }
    if (sb_conn_opens_tls(conn)) {
        sb_conn_open_tls(conn, text, len);
        return;
    }
    (void)bufferevent_write(conn->client, text, len);
    sb_conn_relay(conn);
}
