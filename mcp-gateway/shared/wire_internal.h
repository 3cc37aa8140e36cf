#pragma once
/** What the files of a wire share. */
#include <event2/bufferevent.h>
#include <openssl/ssl.h>

#include "base/err.h"
#include "base/list.h"
#include "mcp-gateway/fleet/members.h"
#include "mcp-gateway/shared/wire.h"

struct sb_wire_ask {
    struct sb_list node;
    sb_wire_answered *answered; /* NULL: nobody waits for it */
    void *ctx;
    uint64_t deadline_ms; /* monotonic */
    char *bytes;          /* until they are sent; owned */
    size_t len;
};

struct sb_wire {
    struct sb_wire_options options;
    enum sb_wire_state state;
    struct sb_members *names;                                /* NULL: an address, or a path */
    char addresses[SB_MEMBERS_MAX][SB_MEMBERS_ADDRESS_SIZE]; /* "10.0.0.1:6379", "[::1]:6379" */
    size_t n_addresses;
    size_t next; /* of them */
    SSL_CTX *tls;
    struct bufferevent *channel;
    struct sb_resp *resp;
    struct sb_list waiting; /* questions that are not sent, and those that are, by age */
    struct sb_list sent;
    unsigned n_asks;
    struct event *due;   /* of the oldest question */
    struct event *clock; /* of the state */
    unsigned n_losses;   /* since it answered a question */
    const char *trouble;
};

/* ---- wire_tls.c ---- */

/** A client's context. Errors: SB_INVALID. */
int sb_wire_tls_new(const struct sb_wire_options *options, SSL_CTX **ret_tls, struct sb_err *err);
/** One connection, which checks the name of the URL. NULL: memory is out. */
SSL *sb_wire_tls_open(SSL_CTX *tls, const struct sb_url *url);
