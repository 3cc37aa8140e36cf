#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <string.h>

#include "base/err.h"
#include "base/mutate.h"
#include "service/egress/box.h"
#include "service/egress/conn.h"
#include "service/egress/control.h"
#include "service/egress/hello.h"
#include "service/egress/http_head.h"
#include "service/egress/socks.h"

static void consume(struct sb_conn *conn, size_t n)
{
    (void)evbuffer_drain(bufferevent_get_input(conn->client), n);
}

/* Not a request that the proxy takes; host and port as far as they are known. */
static void refuse_protocol(struct sb_conn *conn, const char *why)
{
    struct sb_refusal refusal;
    (void)sb_refusal_set(&refusal, SB_EGRESS_PROTOCOL, &conn->host, conn->port, why);
    sb_conn_refuse(conn, &refusal);
}

/* ---- HTTP ---- */

/* False: it was refused. */
static bool put_secrets_in(struct sb_conn *conn, struct sb_http_head *head, bool is_tls)
{
    struct sb_refusal refusal;
    void *room = NULL;
    if (sb_secrets_put_in(&conn->box->secrets, is_tls, head, &conn->use, &refusal) < 0) {
        sb_conn_refuse(conn, &refusal);
        return false;
    }
    if (conn->use.scrub.n == 0) {
        return true;
    }
    conn->is_to_head = sb_str_eq(head->method, SB_STR("HEAD"));
    conn->looked = evbuffer_new();
    /* All at once, so that no copy is left behind when it grows. */
    if (conn->looked == NULL ||
        sb_buf_reserve(&conn->request, sb_buf_room(&conn->request), &room) < 0) {
        refuse_protocol(conn, "memory is out");
        return false;
    }
    return true;
}

bool sb_conn_take_request(struct sb_conn *conn, struct sb_http_head *head, bool is_tls)
{
    struct sb_err err;
    sb_http_body_start(&conn->body, head);
    if (conn->box->secrets.n > 0 && !put_secrets_in(conn, head, is_tls)) {
        return false;
    }
    if (sb_http_head_write_request(head, &conn->request, &err) < 0) {
        refuse_protocol(conn, err.text);
        return false;
    }
    return true;
}

static void read_http(struct sb_conn *conn)
{
    struct sb_http_head head;
    struct sb_err err;
    struct sb_str bytes = sb_conn_peek(conn->client, SB_HTTP_MAX_HEAD);
    int len = sb_http_head_length(bytes, &err);
    if (len == 0) {
        return;
    }
    if (len < 0) {
        refuse_protocol(conn, err.text);
        return;
    }
    int rc = sb_http_head_read_request(sb_str_head(bytes, (size_t)len), &head, &err);
    conn->host = head.host;
    conn->port = head.port;
    if (rc < 0) {
        refuse_protocol(conn, err.text);
        return;
    }
    conn->kind = head.is_connect ? SB_CONN_TUNNEL : SB_CONN_FORWARD;
    if (!head.is_connect) {
        if (head.port == SB_HELLO_TLS_PORT && !sb_mutated("egress.tls-port")) {
            refuse_protocol(conn, "port 443 takes TLS only");
            return;
        }
        if (!sb_conn_take_request(conn, &head, false)) {
            return;
        }
    }
    consume(conn, (size_t)len);
    sb_conn_go(conn);
}

/* ---- SOCKS5 ---- */

static void read_greeting(struct sb_conn *conn)
{
    static const unsigned char accept[] = {SB_SOCKS_VERSION, 0};
    static const unsigned char reject[] = {SB_SOCKS_VERSION, 0xff};
    struct sb_err err;
    int n = sb_socks_read_greeting(sb_conn_peek(conn->client, SB_SOCKS_MAX_BYTES), &err);
    if (n < 0) {
        (void)bufferevent_write(conn->client, reject, sizeof reject);
        conn->kind = SB_CONN_UNKNOWN;
        refuse_protocol(conn, err.text);
    } else if (n > 0) {
        consume(conn, (size_t)n);
        (void)bufferevent_write(conn->client, accept, sizeof accept);
        conn->stage = SB_CONN_SOCKS;
    }
}

static void read_socks(struct sb_conn *conn)
{
    struct sb_err err;
    struct sb_socks_request request;
    enum sb_socks_reply reply = SB_SOCKS_FAILED;
    int n = sb_socks_read_request(sb_conn_peek(conn->client, SB_SOCKS_MAX_BYTES), &request, &reply,
                                  &err);
    if (n < 0) {
        unsigned char bytes[SB_SOCKS_REPLY_SIZE];
        sb_socks_make_reply(reply, bytes);
        (void)bufferevent_write(conn->client, bytes, sizeof bytes);
        conn->kind = SB_CONN_UNKNOWN; /* it has its answer */
        refuse_protocol(conn, err.text);
    } else if (n > 0) {
        consume(conn, (size_t)n);
        conn->host = request.host;
        conn->port = request.port;
        sb_conn_go(conn);
    }
}

/* ---- either ---- */

static void read_first(struct sb_conn *conn)
{
    struct sb_str bytes = sb_conn_peek(conn->client, 1);
    if (bytes.len == 0) {
        return;
    }
    char c = bytes.ptr[0];
    if (c == SB_SOCKS_VERSION) {
        conn->kind = SB_CONN_SOCKS5;
        conn->stage = SB_CONN_GREETING;
    } else if (c >= 'A' && c <= 'Z') {
        conn->kind = SB_CONN_FORWARD; /* or a tunnel: HTTP, for what is answered until then */
        conn->stage = SB_CONN_HTTP;
    } else {
        refuse_protocol(conn, "neither HTTP nor SOCKS5");
    }
}

static void read_stage(struct sb_conn *conn)
{
    switch (conn->stage) {
    case SB_CONN_FIRST:
        read_first(conn);
        break;
    case SB_CONN_HTTP:
        read_http(conn);
        break;
    case SB_CONN_GREETING:
        read_greeting(conn);
        break;
    case SB_CONN_SOCKS:
        read_socks(conn);
        break;
    case SB_CONN_RESOLVING:
    case SB_CONN_DIALING:
    case SB_CONN_HELLO:
    case SB_CONN_OPENING:
    case SB_CONN_RELAY:
    case SB_CONN_LINGER:
    case SB_CONN_ENDED:
        break;
    }
}

void sb_conn_read_request(struct sb_conn *conn)
{
    enum sb_conn_stage before;
    do {
        before = conn->stage;
        read_stage(conn);
    } while (conn->stage != before);
}
