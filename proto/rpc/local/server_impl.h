#pragma once
/** What the files of the local transport's server share. Nobody else includes this. */

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/list.h"
#include "proto/rpc/internal.h"
#include "proto/rpc/local/envelope.h"
#include "proto/rpc/local/link.h"

struct sb_local_server {
    struct sb_rpc_server *server;
    struct event_base *base;
    struct sb_list conns;
    unsigned n_conns;
    struct event kick;
    struct sb_list kicked_calls;
    struct sb_list kicked_conns;
};

struct sb_local_conn {
    struct sb_local_server *local;
    struct sb_list in_conns;
    struct sb_list in_kicked;
    struct sb_link link;
    struct ucred cred;
    struct event readable;
    struct event writable;
    struct event hangup;  /* watched while nothing is read */
    struct sb_list calls; /* struct sb_local_call, in_conn */
    struct sb_list sent;  /* struct sb_local_call, in_sent: the kernel has their status */
    uint32_t last_id;
    unsigned n_refused;
    unsigned n_clogging;
    bool is_in_turn;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

struct sb_local_call {
    struct sb_rpc_call base;    /* first */
    struct sb_local_conn *conn; /* NULL: detached */
    struct sb_flow flow;
    struct sb_list in_conn;
    struct sb_list in_sent;
    struct sb_list in_kicked;
    struct event deadline;
    struct sb_envelope_metadata metadata;
    bool has_deadline;
    bool is_remote_closed;
    bool is_half_close_told;
    bool is_refused;  /* counted in conn->n_refused */
    bool is_clogging; /* counted in conn->n_clogging */
};

static inline struct sb_local_call *sb_local_call_of(struct sb_rpc_call *base)
{
    return (struct sb_local_call *)(void *)base;
}

static inline struct sb_local_call *sb_local_call_of_flow(struct sb_flow *flow)
{
    return SB_LIST_ENTRY(flow, struct sb_local_call, flow);
}

static inline struct sb_local_conn *sb_local_conn_of(struct sb_link *link)
{
    return SB_LIST_ENTRY(link, struct sb_local_conn, link);
}

/* ---- server.c ---- */

/** A turn of the loop looks at the connection, or the call, soon; never at once. */
void sb_local_server_kick_conn(struct sb_local_conn *conn);
void sb_local_server_kick_call(struct sb_local_call *call);
/** Reads on or not, after n_refused or n_clogging changed. */
void sb_local_server_update_pause(struct sb_local_conn *conn);

/* ---- call.c ---- */

extern const struct sb_rpc_call_ops sb_local_call_ops;
/** Delivers what the call waits for and what there is; one message a turn. */
void sb_local_call_turn(struct sb_local_call *call);
/** A stream without credit that is not read stops its connection; one with credit cannot get here.
 */
void sb_local_call_update_clogging(struct sb_local_call *call);
/** The connection forgets the call; the caller ends it. */
void sb_local_call_detach(struct sb_local_call *call);
/** Answers a stream without a call, or before one ends early. */
void sb_local_call_put_status(struct sb_local_conn *conn, uint32_t id, const struct sb_err *status);
/** Ends a call before its time. @status NULL: the client does not care. */
void sb_local_call_cut_short(struct sb_local_call *call, const struct sb_err *status);

/* ---- frames.c ---- */

/** What a frame of the client does. */
extern const struct sb_link_ops sb_local_frames_ops;
