#pragma once
/** State of the gRPC server transport, shared by server.c and call.c. */

#include <stdatomic.h>
#include <stdbool.h>

#include <grpc/grpc.h>

#include "proto/rpc/grpc/cq.h"
#include "proto/rpc/grpc/inbox.h"
#include "proto/rpc/grpc/peer.h"

struct event;
struct sb_grpc_health;
struct sb_grpc_identity;
struct sb_grpc_reflect;
struct sb_rpc_registration;
struct sb_rpc_server;

enum {
    SB_GRPC_MAX_TLS_LISTENERS = 8,
    SB_GRPC_ARMED_PER_METHOD = 4, /* requests that can arrive between two turns of a queue thread */
};

struct sb_grpc_server {
    struct sb_rpc_server *upper;
    grpc_server *server;
    grpc_server_credentials *insecure;
    struct sb_grpc_cq cq;
    struct sb_grpc_inbox inbox;
    struct event *wake;     /* the inbox is readable */
    struct event *patience; /* while draining */
    struct sb_grpc_op down_op;
    struct sb_grpc_conns conns;
    struct sb_grpc_identity *identities[SB_GRPC_MAX_TLS_LISTENERS];
    unsigned n_identities;
    struct sb_grpc_health *health;
    struct sb_grpc_reflect *reflect;
    size_t max_message_bytes;
    unsigned max_calls;
    unsigned max_connections; /* adopted ones */
    unsigned n_calls;         /* begun and not ended; loop thread */
    atomic_uint n_armed;      /* slots core may still fill, or a queue thread is at work on */
    atomic_uint n_backlog;    /* requests on their way to the loop */
    bool is_used;             /* somebody called */
    bool is_shutting_down;
    bool is_down; /* core is done with the last connection */
    bool is_freeing;
};
