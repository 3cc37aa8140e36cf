/* A tunnel to a host that gets secrets within TLS: both ends of it are opened here. The program
 * speaks to us as if we were the host, we to the host as its client, and in between is one request
 * of HTTP, which goes on only when the host was found to be what it says it is. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "service/egress/box.h"
#include "service/egress/conn.h"
#include "service/egress/http_head.h"
#include "service/egress/tls.h"

bool sb_conn_opens_tls(const struct sb_conn *conn)
{
    return conn->box->authority != NULL &&
           sb_secrets_are_bound(&conn->box->secrets, &conn->host, conn->port, true);
}

static void refuse(struct sb_conn *conn, const char *why)
{
    struct sb_refusal refusal;
    (void)sb_refusal_set(&refusal, SB_EGRESS_PROTOCOL, &conn->host, conn->port, why);
    sb_conn_refuse(conn, &refusal);
}

static bool has_output(struct bufferevent *bev)
{
    return evbuffer_get_length(bufferevent_get_output(bev)) > 0;
}

/* Takes the socket out of a plain bufferevent, which goes, into one with TLS. @ssl  taken. */
static bool put_tls_on(struct sb_conn *conn,
                       struct bufferevent **bev,
                       SSL *ssl,
                       enum bufferevent_ssl_state state)
{
    int fd = bufferevent_getfd(*bev);
    struct bufferevent *made = bufferevent_openssl_socket_new(conn->box->proxy->base, fd, ssl,
                                                              state, BEV_OPT_CLOSE_ON_FREE);
    if (made == NULL) {
        SSL_free(ssl);
        return false;
    }
    bufferevent_setcb(*bev, NULL, NULL, NULL, NULL);
    (void)bufferevent_setfd(*bev, -1);
    bufferevent_free(*bev);
    *bev = made;
    return true;
}

/* Both at once: the program's request then waits for the host's certificate. */
static bool start(struct sb_conn *conn, struct sb_err *err)
{
    SSL *to_client = NULL;
    SSL *to_server = NULL;
    const struct sb_tls_trust *trust =
        sb_secrets_trust(&conn->box->secrets, &conn->host, conn->port);
    if (trust == NULL) {
        trust = sb_proxy_trust(conn->box->proxy, err);
    }
    if (trust == NULL || sb_tls_accept(conn->box->authority, &conn->host, &to_client, err) < 0) {
        return false;
    }
    if (sb_tls_connect(trust, &conn->host, &to_server, err) < 0) {
        SSL_free(to_client);
        return false;
    }
    bool is_done = put_tls_on(conn, &conn->client, to_client, BUFFEREVENT_SSL_ACCEPTING);
    conn->is_opened = is_done;
    if (!is_done) {
        SSL_free(to_server);
    } else {
        is_done = put_tls_on(conn, &conn->server, to_server, BUFFEREVENT_SSL_CONNECTING);
    }
    (void)sb_err_set(err, SB_EXHAUSTED, "memory is out");
    return is_done;
}

void sb_conn_open_tls(struct sb_conn *conn, const void *reply, size_t len)
{
    struct sb_err err;
    int fd = bufferevent_getfd(conn->client);
    (void)bufferevent_disable(conn->client, EV_READ | EV_WRITE);
    if (evbuffer_get_length(bufferevent_get_input(conn->client)) > 0) {
        refuse(conn, "bytes came before the tunnel was there");
        return;
    }
    /* It has to be in the kernel before the socket changes hands, and is the first in a long time:
     * there is room. */
    if (has_output(conn->client) || send(fd, reply, len, MSG_NOSIGNAL) != (ssize_t)len) {
        sb_conn_end(conn);
        return;
    }
    conn->kind = SB_CONN_FORWARD; /* from now on */
    if (!start(conn, &err)) {
        SB_LOG_WARN("TLS cannot be opened", "sandbox=%s why=%s", conn->box->id, err.text);
        sb_conn_end(conn);
        return;
    }
    sb_conn_set_up_both(conn);
    sb_conn_enter(conn, SB_CONN_OPENING, SB_EGRESS_HELLO_MS);
}

/* ---- the request ---- */

static void send_or_fail(struct sb_conn *conn)
{
    char why[160];
    if (conn->distrust != NULL) {
        (void)snprintf(why, sizeof why, "its certificate is not good: %s", conn->distrust);
        sb_conn_fail(conn, why);
    } else if (conn->has_request && conn->is_trusted) {
        sb_conn_send_request(conn);
    }
}

static void read_request(struct sb_conn *conn)
{
    struct sb_err err;
    struct sb_http_head head;
    struct sb_str bytes = sb_conn_peek(conn->client, SB_HTTP_MAX_HEAD);
    int len = conn->has_request ? 0 : sb_http_head_length(bytes, &err);
    if (len == 0) {
        return;
    }
    if (len < 0 || sb_http_head_read_inner(sb_str_head(bytes, (size_t)len), &conn->host, conn->port,
                                           &head, &err) < 0) {
        refuse(conn, err.text);
    } else if (sb_conn_take_request(conn, &head, true)) {
        (void)evbuffer_drain(bufferevent_get_input(conn->client), (size_t)len);
        conn->has_request = true;
        (void)bufferevent_disable(conn->client, EV_READ); /* until it is relayed */
        send_or_fail(conn);
    }
}

void sb_conn_read_opened(struct sb_conn *conn)
{
    if (conn->stage == SB_CONN_OPENING && conn->is_greeted) {
        read_request(conn);
    }
}

/* ---- handshakes ---- */

static void on_greeted(struct sb_conn *conn)
{
    struct sb_err err;
    struct sb_host asked;
    const char *name = sb_tls_asked_for(bufferevent_openssl_get_ssl(conn->client));
    if (name != NULL && (sb_host_parse(sb_str_from(name), false, &asked, &err) < 0 ||
                         !sb_host_eq(&asked, &conn->host))) {
        struct sb_refusal refusal;
        (void)sb_refusal_set(&refusal, SB_EGRESS_SNI, &conn->host, conn->port,
                             "TLS asks for another name than the request");
        sb_conn_refuse(conn, &refusal);
        return;
    }
    conn->is_greeted = true;
    sb_conn_enter(conn, SB_CONN_OPENING, conn->box->proxy->head_ms);
    read_request(conn);
}

void sb_conn_client_opened(struct sb_conn *conn, bool is_done)
{
    if (is_done) {
        on_greeted(conn);
    } else { /* it does not trust us, perhaps */
        sb_conn_end(conn);
    }
}

void sb_conn_server_opened(struct sb_conn *conn, bool is_done)
{
    if (is_done) {
        conn->is_trusted = true;
    } else if (!conn->is_trusted && conn->distrust == NULL) {
        const char *why = sb_tls_distrust(bufferevent_openssl_get_ssl(conn->server));
        conn->distrust = why != NULL ? why : "it does not speak TLS as it should";
    } else if (conn->is_trusted) {
        sb_conn_end(conn); /* it ended before it was asked */
        return;
    }
    if (conn->has_request) {
        send_or_fail(conn);
    }
}
