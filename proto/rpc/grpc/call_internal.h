#pragma once
/** One call of the server, as call.c and call_send.c share it.
 *
 *  Theory of operation. A call passes three places:
 *
 *  - queue thread, on_request: arms the next slot, reads peer and metadata, checks and unpacks the
 *    request, posts; then starts the batch that tells of the call's end
 *  - loop thread, on_begin_loop and whatever the handler does; the fields below "loop" are its own
 *  - queue thread: on_received unpacks and posts; on_sent and on_closed post; on_greeted and
 *    on_refused only drop their reference
 *
 *  Each batch under way holds a reference, and so does the upper side (until ops->free); the last
 *  one frees the struct, on whichever thread. At most one message is being sent, so that a reader
 *  that stalls stops the queue here, where its bytes are counted. The call has ended, for the upper
 *  side, when core reports so (GRPC_OP_RECV_CLOSE_ON_SERVER); batches still under way complete soon
 *  after and find base.is_ended set. */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <grpc/grpc.h>
#include <grpc/support/time.h>

#include "base/err.h"
#include "base/list.h"
#include "proto/rpc/grpc/cq.h"
#include "proto/rpc/grpc/peer.h"
#include "proto/rpc/internal.h"

struct sb_grpc_outgoing;

struct sb_grpc_call {
    struct sb_rpc_call base;
    struct sb_grpc_server *server;
    const struct sb_rpc_registration *reg; /* NULL: the slot for unknown methods */
    atomic_uint refs;

    /* filled by core */
    grpc_call *call;
    gpr_timespec deadline;
    grpc_metadata_array metadata;
    grpc_call_details details; /* unknown methods only */
    grpc_byte_buffer *in;
    int close_cancelled;

    /* queue thread, handed to the loop with the post */
    struct sb_grpc_peer peer;
    struct sb_rpc_metadata *metadata_list;
    ProtobufCMessage *msg;
    struct sb_err *fail; /* why there is no msg */
    bool is_recv_broken; /* the read ended because the call did */

    struct sb_grpc_op request_op;
    struct sb_grpc_op close_op;
    struct sb_grpc_op recv_op;
    struct sb_grpc_op send_op;
    struct sb_grpc_op greet_op;

    /* loop */
    struct sb_list queue; /* struct sb_grpc_outgoing */
    size_t queued_bytes;  /* in queue, and in flight */
    struct sb_grpc_outgoing *in_flight;
    struct sb_err *status; /* final; NULL: not yet known */
    bool is_over_high;
    bool is_metadata_sent;
    bool is_status_sent;
    bool is_broken; /* aborted or failed by us: the end is a cancellation */
};

#define SB_GRPC_CALL_OF(ptr, member) SB_LIST_ENTRY(ptr, struct sb_grpc_call, member)

/* ---- call.c; any thread ---- */

void sb_grpc_call_hold(struct sb_grpc_call *call);
/** The last one frees it. */
void sb_grpc_call_drop(struct sb_grpc_call *call);
/** Has the loop run that. */
void sb_grpc_call_post(struct sb_grpc_call *call,
                       struct sb_grpc_op *op,
                       void (*run)(struct sb_grpc_note *note));
/** For the caller to free; NULL: no memory. */
struct sb_err *sb_grpc_call_copy_err(const struct sb_err *err);

/* ---- call_send.c; loop thread ---- */

/** Of a new call. */
void sb_grpc_call_send_init(struct sb_grpc_call *call);
/** Sends the initial metadata, unless they were sent. @entry  borrowed; NULL: none. */
void sb_grpc_call_greet(struct sb_grpc_call *call, grpc_metadata *entry);
/** Forgets what was not yet sent. */
void sb_grpc_call_drop_queue(struct sb_grpc_call *call);
/* For sb_rpc_call_ops. */
void sb_grpc_call_accept(struct sb_rpc_call *base);
bool sb_grpc_call_send(struct sb_rpc_call *base, const ProtobufCMessage *msg);
void sb_grpc_call_finish(struct sb_rpc_call *base,
                         const ProtobufCMessage *reply,
                         const struct sb_err *status);
void sb_grpc_call_abort(struct sb_rpc_call *base, const struct sb_err *status);
