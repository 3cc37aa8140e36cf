/* The answer of a host that was given a secret, on its way back: read by the book, looked through,
 * and written anew. A piece at the end that may be the beginning of a secret waits for the rest. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/egress/box.h"
#include "service/egress/conn.h"
#include "service/egress/http_head.h"

static int fail(struct sb_conn *conn, const char *why)
{
    sb_conn_fail(conn, why);
    return -1;
}

static int start_body(struct sb_conn *conn, struct sb_http_head *head, struct sb_err *err)
{
    if (sb_http_head_read_framing(head, conn->is_to_head, err) < 0) {
        return -1;
    }
    if (sb_http_head_is_encoded(head)) {
        return sb_err_set(err, SB_INVALID,
                          "its answer is compressed, unasked: a secret could hide in it");
    }
    sb_http_body_start(&conn->answer, head);
    conn->is_to_end = head->body == SB_HTTP_TO_END;
    return 0;
}

/* The head that came, looked through. Returns as sb_http_head_length. */
static int
read_head(struct sb_conn *conn, struct sb_http_head *head, struct sb_buf *out, struct sb_err *err)
{
    struct evbuffer *in = bufferevent_get_input(conn->server);
    size_t len = evbuffer_get_length(in);
    len = len < SB_HTTP_MAX_HEAD ? len : SB_HTTP_MAX_HEAD;
    char *bytes = len == 0 ? NULL : (char *)evbuffer_pullup(in, (ev_ssize_t)len);
    struct sb_str text = {bytes, bytes == NULL ? 0 : len};
    int n = sb_http_head_length(text, err);
    if (n <= 0) {
        return n;
    }
    (void)sb_scrub_pass(&conn->use.scrub, bytes, (size_t)n, true);
    return sb_http_head_read_response(sb_str_head(text, (size_t)n), head, err) < 0 ||
                   (head->status >= 200 && start_body(conn, head, err) < 0) ||
                   sb_http_head_write_response(head, out, err) < 0
               ? -1
               : n;
}

/* Returns 1: the head of the answer has passed, 0: more is needed, -1: it is over. */
static int pass_head(struct sb_conn *conn)
{
    struct sb_err err = {0};
    struct sb_http_head head;
    while (!conn->has_answer_head) {
        SB_CLEANUP(sb_buf_done) struct sb_buf out = SB_BUF_INIT(SB_HTTP_MAX_HEAD + 1024);
        int n = read_head(conn, &head, &out, &err);
        if (n == 0) {
            return conn->server_ended ? fail(conn, "its answer ends in the head") : 0;
        }
        if (n < 0) {
            return fail(conn, err.text);
        }
        if (head.status == 101) {
            return fail(conn, "it changes the protocol, unasked");
        }
        conn->has_answer_head = head.status >= 200;
        (void)bufferevent_write(conn->client, sb_buf_cstr(&out), out.len);
        (void)evbuffer_drain(bufferevent_get_input(conn->server), (size_t)n);
        if (!sb_conn_count(conn, 0, (size_t)n)) {
            return -1;
        }
    }
    return 1;
}

/* What belongs to the body goes to conn->looked; how it was cut into chunks does not matter. */
static int take_body(struct sb_conn *conn, size_t room)
{
    struct evbuffer *in = bufferevent_get_input(conn->server);
    while (conn->is_to_end || conn->answer.state != SB_HTTP_BODY_DONE) {
        struct sb_err err;
        bool is_data = conn->is_to_end || conn->answer.state == SB_HTTP_BODY_DATA;
        size_t held = evbuffer_get_length(conn->looked);
        struct sb_str bytes = sb_conn_peek(conn->server, SB_EGRESS_BUFFER);
        if (is_data && held >= room) {
            break;
        }
        bytes = is_data ? sb_str_head(bytes, room - held) : bytes;
        ptrdiff_t n = bytes.len == 0    ? 0
                      : conn->is_to_end ? (ptrdiff_t)bytes.len
                                        : sb_http_body_take(&conn->answer, bytes, &err);
        if (n <= 0) {
            return (int)n;
        }
        if (is_data) {
            (void)evbuffer_remove_buffer(in, conn->looked, (size_t)n);
        } else {
            (void)evbuffer_drain(in, (size_t)n);
        }
    }
    return 0;
}

static void put_out(struct sb_conn *conn, size_t n)
{
    struct evbuffer *out = bufferevent_get_output(conn->client);
    if (conn->answer.is_chunked) {
        (void)evbuffer_add_printf(out, "%zx\r\n", n);
    }
    (void)evbuffer_remove_buffer(conn->looked, out, n);
    if (conn->answer.is_chunked) {
        (void)evbuffer_add_printf(out, "\r\n");
    }
}

/* Hands on what is clean, up to @room. True: something was, so that more may be taken. */
static bool pass_body(struct sb_conn *conn, size_t room, bool is_all)
{
    size_t len = evbuffer_get_length(conn->looked);
    char *bytes = len == 0 ? NULL : (char *)evbuffer_pullup(conn->looked, (ev_ssize_t)len);
    size_t n = bytes == NULL ? 0 : sb_scrub_pass(&conn->use.scrub, bytes, len, is_all);
    n = n < room ? n : room;
    if (n == 0) {
        return false;
    }
    put_out(conn, n);
    return sb_conn_count(conn, 0, n);
}

/* All of the body has been read. */
static bool has_all(const struct sb_conn *conn)
{
    return conn->is_to_end
               ? conn->server_ended && evbuffer_get_length(bufferevent_get_input(conn->server)) == 0
               : conn->answer.state == SB_HTTP_BODY_DONE;
}

static void finish(struct sb_conn *conn)
{
    if (conn->answer.is_chunked && !conn->has_last_chunk) {
        conn->has_last_chunk = true;
        (void)bufferevent_write(conn->client, "0\r\n\r\n", 5);
    }
    if (evbuffer_get_length(bufferevent_get_output(conn->client)) > 0) {
        bufferevent_setwatermark(conn->client, EV_WRITE, SB_EGRESS_BUFFER, 0); /* any progress */
    } else {
        sb_conn_linger(conn);
    }
}

void sb_conn_scrub_in(struct sb_conn *conn)
{
    size_t room = 0;
    if (pass_head(conn) <= 0) {
        return;
    }
    do {
        room = sb_conn_room(conn, conn->client);
        if (room == 0) {
            return;
        }
        /* More than is passed on, as what may be the beginning of a secret is held back: no text
         * that is looked for is longer than a head. */
        if (take_body(conn, room + SB_HTTP_MAX_HEAD) < 0) { /* no chunks */
            sb_conn_end(conn);
            return;
        }
    } while (pass_body(conn, room, has_all(conn)));
    if (conn->stage == SB_CONN_ENDED) {
        return;
    }
    if (!has_all(conn)) {
        if (conn->server_ended) { /* half an answer */
            sb_conn_end(conn);
        }
        return;
    }
    conn->server_ended = true; /* however it goes */
    if (evbuffer_get_length(conn->looked) == 0) {
        finish(conn);
    }
}
