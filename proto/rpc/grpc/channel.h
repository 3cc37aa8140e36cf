#pragma once
/** State of the gRPC client transport, shared by channel.c and stream.c. Everything belongs to the
 *  thread that owns the channel; queue threads only post to the inbox. */

#include <stdbool.h>

#include <grpc/grpc.h>

#include "base/list.h"
#include "proto/rpc/grpc/cq.h"
#include "proto/rpc/grpc/inbox.h"
#include "proto/rpc/internal.h"

struct sb_grpc_identity;

struct sb_grpc_channel {
    struct sb_rpc_channel base;
    grpc_channel *channel;
    struct sb_grpc_cq cq;
    struct sb_grpc_inbox inbox;
    struct sb_list streams; /* struct sb_grpc_stream, until done() */

    /* to make the channel anew when a certificate changed */
    char *target;
    char *tls_name;
    char *service_config;
    struct sb_grpc_identity *identity; /* NULL: plaintext */
    unsigned connect_timeout_ms;
    unsigned keepalive_ms;
    uint64_t looked_ms; /* when the files were looked at */
};

/** ops->start of the channel. */
int sb_grpc_stream_start(struct sb_rpc_channel *base,
                         const struct sb_rpc_start *start,
                         struct sb_rpc_stream **ret_stream,
                         struct sb_err *err);

/** Ends every stream with done(SB_CANCELLED). */
void sb_grpc_stream_cancel_all(struct sb_grpc_channel *channel);
