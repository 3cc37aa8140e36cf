/* What a connection says to its client in the proxy's own name: a refusal, or that it cannot be
 * done, each in the protocol that the client spoke. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdio.h>
#include <string.h>

#include "service/egress/box.h"
#include "service/egress/conn.h"
#include "service/egress/control.h"
#include "service/egress/socks.h"

enum { PLACE_SIZE = SB_HOST_MAX + 16 };

static void
answer_http(struct sb_conn *conn, const char *status, const char *field, const char *text)
{
    struct evbuffer *out = bufferevent_get_output(conn->client);
    (void)evbuffer_add_printf(out,
                              "HTTP/1.1 %s\r\n%s\r\nContent-Type: text/plain; charset=utf-8\r\n"
                              "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                              status, field, strlen(text), text);
}

static void answer_socks(struct sb_conn *conn, enum sb_socks_reply reply)
{
    unsigned char bytes[SB_SOCKS_REPLY_SIZE];
    sb_socks_make_reply(reply, bytes);
    (void)bufferevent_write(conn->client, bytes, sizeof bytes);
}

/* "example.org:443", "[::1]:80" */
static const char *put_place(char out[PLACE_SIZE], const char *host, uint16_t port)
{
    bool is_v6 = strchr(host, ':') != NULL;
    (void)snprintf(out, PLACE_SIZE, "%s%s%s:%u", is_v6 ? "[" : "", host, is_v6 ? "]" : "", port);
    return out;
}

static void describe(const struct sb_refusal *refusal, char *out, size_t size)
{
    char where[PLACE_SIZE] = "this request";
    if (refusal->host[0] != '\0') {
        (void)put_place(where, refusal->host, refusal->port);
    }
    int n = snprintf(out, size, "aisbx: %s is refused: %s.\n", where, refusal->why);
    if (refusal->allow_with[0] != '\0' && n > 0 && (size_t)n < size) {
        bool is_secret = refusal->reason == SB_EGRESS_SECRET_HOST;
        (void)snprintf(out + n, size - (size_t)n, "\"%s\" in %s%s%s would permit it.\n",
                       refusal->allow_with, is_secret ? "secrets." : "network.allow",
                       is_secret ? refusal->rule : "", is_secret ? ".hosts" : "");
    }
}

static void answer_refusal(struct sb_conn *conn, const struct sb_refusal *refusal)
{
    static const unsigned char alert[] = {21, 3, 1, 0, 2, 2, 49}; /* TLS: fatal, access denied */
    char field[64];
    char text[1024];
    if (conn->is_let_through && conn->kind != SB_CONN_FORWARD) { /* the tunnel stands */
        if (refusal->reason == SB_EGRESS_SNI) {
            (void)bufferevent_write(conn->client, alert, sizeof alert);
        }
    } else if (conn->kind == SB_CONN_SOCKS5) {
        answer_socks(conn, SB_SOCKS_NOT_ALLOWED);
    } else if (conn->kind != SB_CONN_UNKNOWN && !conn->has_answer_head) {
        (void)snprintf(field, sizeof field, "X-Aisbx-Denied: %s", sb_refusal_name(refusal->reason));
        describe(refusal, text, sizeof text);
        answer_http(conn,
                    refusal->reason == SB_EGRESS_PROTOCOL ? "400 Bad Request" : "403 Forbidden",
                    field, text);
    }
}

void sb_conn_refuse(struct sb_conn *conn, const struct sb_refusal *refusal)
{
    sb_control_tell_denied(conn->box, refusal);
    answer_refusal(conn, refusal);
    conn->is_let_through = conn->is_let_through && conn->stage != SB_CONN_HELLO;
    if (conn->has_answer_head) { /* part of an answer was passed on: this is not its end */
        sb_conn_end(conn);
    } else {
        sb_conn_linger(conn);
    }
}

void sb_conn_fail(struct sb_conn *conn, const char *why)
{
    char text[512];
    char where[PLACE_SIZE];
    (void)snprintf(text, sizeof text, "aisbx: %s cannot be reached: %s.\n",
                   put_place(where, conn->host.name, conn->port), why);
    if (conn->kind == SB_CONN_SOCKS5) {
        answer_socks(conn, SB_SOCKS_UNREACHABLE);
    } else if (!conn->has_answer_head) {
        answer_http(conn, "502 Bad Gateway", "X-Aisbx-Failed: unreachable", text);
    }
    sb_conn_linger(conn);
}
