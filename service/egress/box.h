#pragma once
/** One sandbox as the proxy sees it: a listening socket, rules, connections, and what the worker
 * has not been told yet. */
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "service/egress/limits.h"
#include "service/egress/rules.h"
#include "service/egress/secret.h"
#include "service/shared/egressproto.h"

struct sb_proxy;
struct sb_tls_authority;
struct sb_tls_trust;

/** A kind of refusal that waits to be told. */
struct sb_box_pending {
    struct sb_refusal refusal;
    uint32_t count;
};

struct sb_box {
    struct sb_list link; /* in the proxy */
    struct sb_proxy *proxy;
    char id[SB_EGRESS_ID_SIZE];
    int listener; /* owned; -1: closed, and CLOSED is to be told */
    struct event acceptable;
    struct event resume;
    struct event may_look_up; /* a look-up has ended */
    bool is_full;             /* not accepting: at its bound of connections, or the proxy is */
    struct sb_rules rules;
    struct sb_secrets secrets;
    bool needs_authority;
    struct sb_tls_authority *authority; /* owned; NULL: no TLS is opened */
    uint32_t n_secrets;                 /* that it will have; until then it takes no connection */
    uint32_t max_conns;
    uint64_t max_bytes;     /* 0: no bound */
    uint64_t earlier_bytes; /* let through by an earlier proxy */
    struct sb_list conns;
    uint32_t n_conns;
    uint32_t n_lookups; /* of names, under way */
    /* Over its life. */
    uint32_t n_connections;
    uint32_t n_denied;
    uint64_t out_bytes;
    uint64_t in_bytes;
    /* To be told. */
    struct sb_box_pending pending[SB_EGRESS_PENDING];
    uint32_t n_pending;
    uint32_t lost_denied;
    uint32_t lost_decisions;
    bool has_updated;
    uint32_t serial;
};

struct sb_proxy {
    struct event_base *base;
    struct sb_resolver *resolver;
    struct sb_tls_trust *trust; /* the system's; owned; NULL: nobody has needed it */
    struct sb_list boxes;
    unsigned n_boxes;
    unsigned max_boxes;
    unsigned n_conns;
    unsigned max_conns;
    bool is_full; /* at that bound, and that was said */
    unsigned head_ms;
    unsigned idle_ms;
    struct sb_list graveyard; /* connections that ended in this turn of the loop */
    struct event bury;
    int control;                                          /* borrowed */
    char rejected[SB_EGRESS_REJECTED][SB_EGRESS_ID_SIZE]; /* CLOSED is to be told of these */
    unsigned n_rejected;
    struct event readable;
    struct event writable;
    int exit_code;
};

/** @listener  taken when 0 is returned. Errors: SB_EXHAUSTED. */
int sb_box_open(struct sb_proxy *proxy,
                const char *id,
                int listener,
                struct sb_box **ret_box,
                struct sb_err *err);
/** NULL: it is not there, or closed. */
struct sb_box *sb_box_find(const struct sb_proxy *proxy, const char *id);
/** Takes rules and bounds; ends connections that they forbid. */
void sb_box_set_rules(struct sb_box *box,
                      struct sb_rules *rules,
                      uint32_t max_conns,
                      uint64_t max_bytes);
/** Takes connections, once it has all that OPEN announced. */
void sb_box_serve(struct sb_box *box);
/** Who vouches for hosts, as the system says. NULL, with *err: it cannot be read. */
const struct sb_tls_trust *sb_proxy_trust(struct sb_proxy *proxy, struct sb_err *err);
/** Ends its connections and closes its socket. It lives on until CLOSED has been told. */
void sb_box_close(struct sb_box *box);
void sb_box_free(struct sb_box *box);

/** A connection of it has ended, or it may have more: others may come in, of any sandbox. */
void sb_box_released(const struct sb_box *box);

/** Counts bytes that were let through. False: its bound is reached. */
bool sb_box_count(struct sb_box *box, uint64_t out_bytes, uint64_t in_bytes);
/** Bytes it may still pass, in either direction. */
uint64_t sb_box_left(const struct sb_box *box);
