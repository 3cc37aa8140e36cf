#pragma once
/** One connection of a program in a sandbox, from its first byte to its last.
 *
 *      FIRST ─▶ HTTP ───────────────┐
 *        └────▶ GREETING ─▶ SOCKS ─▶ RESOLVING ─▶ DIALING ─▶ HELLO ─▶ RELAY ─▶ LINGER ─▶ ENDED
 *                                                    └────▶ OPENING ────┘
 *
 *  Every stage may also go to LINGER (a refusal was written) or ENDED. HELLO is passed through at
 *  once by requests that are not tunnels; in OPENING the TLS of both sides is, for a secret, and
 * then a request within it is read. What is in ENDED is freed when the loop has gone round.
 */
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/str.h"
#include "service/egress/http_body.h"
#include "service/egress/limits.h"
#include "service/egress/rules.h"
#include "service/egress/secret.h"

struct bufferevent;
struct evbuffer;
struct sb_box;
struct sb_err;
struct sb_http_head;
struct sb_lookup;

enum sb_conn_stage {
    SB_CONN_FIRST,
    SB_CONN_HTTP,
    SB_CONN_GREETING,
    SB_CONN_SOCKS,
    SB_CONN_RESOLVING,
    SB_CONN_DIALING,
    SB_CONN_HELLO,
    SB_CONN_OPENING,
    SB_CONN_RELAY,
    SB_CONN_LINGER,
    SB_CONN_ENDED,
};

/** What the client spoke. */
enum sb_conn_kind {
    SB_CONN_UNKNOWN,
    SB_CONN_FORWARD, /* one HTTP request */
    SB_CONN_TUNNEL,  /* CONNECT */
    SB_CONN_SOCKS5,
};

struct sb_conn {
    struct sb_list link; /* in the box, then in the graveyard */
    struct sb_box *box;
    enum sb_conn_stage stage;
    enum sb_conn_kind kind;
    struct bufferevent *client; /* owned */
    struct bufferevent *server; /* owned; NULL: not dialled */
    struct event timer;
    uint64_t deadline_ms;   /* monotonic */
    uint64_t linger_end_ms; /* the last one in LINGER */
    /* Where to. */
    struct sb_host host; /* name "": not known */
    uint16_t port;
    struct sb_lookup *lookup;
    bool is_looked_up; /* in RESOLVING; else others of its box come first */
    unsigned char addresses[SB_EGRESS_ADDRESSES][SB_ADDR_SIZE]; /* checked */
    size_t n_addresses;
    size_t n_tried; /* the last one tried is the one that is connected to */
    bool is_let_through;
    struct sb_host sni; /* what TLS asked for in a tunnel; name "": nothing, or it is no TLS */
    /* A forwarded request. */
    struct sb_buf request; /* its head, for the server */
    struct sb_http_body_reader body;
    bool has_answer_head;
    /* Of one to a host that secrets are bound to: its answer is looked through. */
    struct sb_secret_use use;
    bool is_to_head;     /* the method is HEAD */
    bool is_to_end;      /* the body of the answer ends with the connection */
    bool has_last_chunk; /* of the answer, written */
    /* Of one whose TLS is opened. */
    bool is_opened;   /* both sides have TLS, or will */
    bool is_greeted;  /* the client's handshake is done */
    bool is_trusted;  /* the server's is, so its certificate is good */
    bool has_request; /* it was read, and waits for that */
    const char
        *distrust; /* why the server is not trusted; static; NULL: it is not known yet, or is */
    struct evbuffer *looked; /* owned; of the body of the answer what has not been passed on; NULL:
                                nothing has to be looked through */
    struct sb_http_body_reader answer;
    bool has_told_second; /* a second request came, and was refused */
    /* What was read to the end, and what was shut. */
    bool client_ended;
    bool server_ended;
    bool client_shut;
    bool server_shut;
    uint64_t out_bytes;
    uint64_t in_bytes;
};

/** @client  taken when 0 is returned. Errors: SB_EXHAUSTED. */
int sb_conn_start(struct sb_box *box, int client, struct sb_err *err);
/** The rules of its box are others: ends it when they forbid it. */
void sb_conn_recheck(struct sb_conn *conn);
/** In RESOLVING, when it is its turn. */
void sb_conn_look_up(struct sb_conn *conn);
/** Resets what would look whole and is not. */
void sb_conn_end(struct sb_conn *conn);
/** Frees what has ended. */
void sb_conn_bury(struct sb_list *graveyard);

/* For the other conn_*.c. */

/** Moves on, with a deadline @ms from now. */
void sb_conn_enter(struct sb_conn *conn, enum sb_conn_stage stage, uint64_t ms);
/** The client asked for conn->host: judges, resolves and dials. */
void sb_conn_go(struct sb_conn *conn);
/** Tells the worker, then the client in its own protocol, and lingers. (conn_answer.c) */
void sb_conn_refuse(struct sb_conn *conn, const struct sb_refusal *refusal);
/** Not refused, but it cannot be done. (conn_answer.c) */
void sb_conn_fail(struct sb_conn *conn, const char *why);
/** How long nothing may come when one direction has ended. */
uint64_t sb_conn_half_idle_ms(const struct sb_conn *conn);
/** Shuts our side when what is written has gone, and waits for the client's end: shortly when all
 *  has reached it, else as long as a half-ended connection may be idle. */
void sb_conn_linger(struct sb_conn *conn);

/** Up to @max bytes that wait to be read, in one piece; borrowed until more is read or drained.
 *  Empty when there are none, or no memory to join them. */
struct sb_str sb_conn_peek(struct bufferevent *from, size_t max);
/** In FIRST to SOCKS: more bytes came. (conn_request.c) */
void sb_conn_read_request(struct sb_conn *conn);
/** The server is connected: says so, and starts to relay. (conn_relay.c) */
void sb_conn_connected(struct sb_conn *conn);
/** Its head was sent, or never will be: there may be secrets in it. */
void sb_conn_forget_request(struct sb_conn *conn);
/** Reads the head that came as a request to forward. False: it was refused.
 *  @is_tls  it came within TLS. (conn_request.c) */
bool sb_conn_take_request(struct sb_conn *conn, struct sb_http_head *head, bool is_tls);
/** The server is there: sends the request and relays. (conn_relay.c) */
void sb_conn_send_request(struct sb_conn *conn);
/** Shuts our side towards the client; with TLS says so within it first. */
void sb_conn_shut_client(struct sb_conn *conn);
/** Both bufferevents are new. */
void sb_conn_set_up_both(struct sb_conn *conn);

/* TLS that is opened, in OPENING. (conn_tls.c) */

/** The tunnel leads to a host that gets a secret within TLS. */
bool sb_conn_opens_tls(const struct sb_conn *conn);
/** The tunnel is there. @reply  tells the client so. */
void sb_conn_open_tls(struct sb_conn *conn, const void *reply, size_t len);
/** The handshake of one side is done, or has failed. */
void sb_conn_client_opened(struct sb_conn *conn, bool is_done);
void sb_conn_server_opened(struct sb_conn *conn, bool is_done);
/** More bytes came from the client. */
void sb_conn_read_opened(struct sb_conn *conn);

/** Counts what is passed on. False: that was the last the sandbox may have, and it has ended. */
bool sb_conn_count(struct sb_conn *conn, size_t out_bytes, size_t in_bytes);
/** Bytes that may be put out to one side now. */
size_t sb_conn_room(const struct sb_conn *conn, struct bufferevent *to);
/** In RELAY, when there is a use: moves what the server has answered. (conn_scrub.c) */
void sb_conn_scrub_in(struct sb_conn *conn);
/** In HELLO and RELAY: moves what can be moved. */
void sb_conn_relay(struct sb_conn *conn);
