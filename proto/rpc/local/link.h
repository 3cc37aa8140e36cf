#pragma once
/** One connection of the local transport, either end: buffers, frames, streams and their credit.
 * Knows neither an event loop nor what a call is.
 *
 *  Theory of operation. What a stream sends waits in its own queue (struct sb_flow); a stream that
 * has something and credit for it stands in the link's ready ring, and flush moves one item of each
 * in turn into the link's output buffer whenever that runs low. So a stream with much to say does
 * not hold up the others, and a peer that does not read stops everybody at a known amount of
 * memory. What a stream receives waits in its inward queue until it is asked for; taking it out
 * gives the peer credit. */

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "proto/rpc/local/frame.h"
#include "proto/rpc/rpc.h"

enum {
    SB_LINK_WINDOW_BYTES = SB_RPC_HIGH_BYTES, /* unconsumed DATA per stream and direction */
    SB_LINK_BUCKETS = 64,
    SB_LINK_MAX_FDS = 2 * SB_RPC_MAX_FDS, /* received ahead of the frame they belong to */
};

/** A message on its way in or out. */
struct sb_link_item {
    struct sb_link_item *next;
    uint32_t len;
    uint8_t type;
    uint8_t flags;
    bool is_last; /* nothing of this stream follows */
    uint8_t data[];
};

struct sb_link_queue {
    struct sb_link_item *head;
    struct sb_link_item *tail;
    size_t bytes;
};

/** One stream. Zeroed and filled by sb_flow_init. */
struct sb_flow {
    uint32_t id;
    bool is_credited;
    bool is_over_high; /* out.bytes went over SB_RPC_HIGH_BYTES and not yet under the low mark */
    struct sb_link_queue in;
    struct sb_link_queue out;
    size_t in_flight;  /* bytes of DATA sent without credit yet */
    size_t unreturned; /* bytes taken from in and not yet given back as credit */
    uint64_t end_at;   /* the last item ends at this byte of the link's output */
    struct sb_list in_table;
    struct sb_list in_ready;
    struct sb_list in_ending;
};

struct sb_link;

/** None of these may free the link; only frame() may free flows. */
struct sb_link_ops {
    /** A whole frame; data valid during the call. */
    void (*frame)(struct sb_link *link, const struct sb_frame *frame, const uint8_t *data);
    /** A frame too long to take; its data is skipped. */
    void (*oversize)(struct sb_link *link, const struct sb_frame *frame);
    /** An item left the stream's queue. */
    void (*moved)(struct sb_link *link, struct sb_flow *flow);
    /** The kernel has the stream's last item. NULL: not interested. */
    void (*ended)(struct sb_link *link, struct sb_flow *flow);
};

struct sb_link_passing; /* descriptors to go out at some byte */

struct sb_link {
    int fd; /* owned; non-blocking */
    const struct sb_link_ops *ops;
    void *ctx;
    struct sb_buf in;
    struct sb_buf out;
    size_t skip;         /* bytes of an oversize frame still to come */
    uint64_t out_total;  /* bytes ever put into out */
    uint64_t sent_total; /* bytes ever taken by the kernel */
    int fds[SB_LINK_MAX_FDS];
    size_t n_fds;
    struct sb_link_passing *passing; /* owned list */
    bool is_paused;                  /* by the owner: no more frames for now */
    bool reads_always;               /* clogged output does not stop reading */
    bool is_broken;                  /* output overflowed or memory is out */
    bool wants_write;                /* the kernel did not take all: poll for writing */
    struct sb_list ready;
    struct sb_list ending;
    struct sb_list buckets[SB_LINK_BUCKETS];
};

/** Takes the fd. */
void sb_link_init(struct sb_link *link, int fd, const struct sb_link_ops *ops, void *ctx);
/** Closes; flows still in the table are only unlinked. */
void sb_link_done(struct sb_link *link);

/** Reads what is there, up to a bounded amount, and runs ops->frame. Returns 0; or -1: the link is
 * of no more use (SB_UNAVAILABLE: the peer closed; SB_INVALID: not our protocol). */
int sb_link_receive(struct sb_link *link, struct sb_err *err);
/** Sends until all is gone or the kernel takes no more (wants_write). Returns 0, or -1 as above. */
int sb_link_flush(struct sb_link *link, struct sb_err *err);
/** True when frames stay unread because the output is full: do not poll for reading. Only one end
 * of a connection may do that, or both could wait for the other to read. */
bool sb_link_is_clogged(const struct sb_link *link);

/** Puts a frame straight into the output. */
void sb_link_put(struct sb_link *link, const struct sb_frame *frame, const void *data);
/** The descriptors go out with the next byte put. Duplicated. */
int sb_link_pass_fds(struct sb_link *link, const int *fds, size_t n, struct sb_err *err);
/** Moves the n oldest received descriptors to ret_fds; false when fewer came. */
bool sb_link_take_fds(struct sb_link *link, int *ret_fds, size_t n);

void sb_flow_init(struct sb_flow *flow, uint32_t id, bool is_credited);
/** Frees what is queued and leaves the link. */
void sb_flow_done(struct sb_flow *flow);
void sb_link_add(struct sb_link *link, struct sb_flow *flow);
struct sb_flow *sb_link_find(const struct sb_link *link, uint32_t id);

/** Queues a message as DATA, or raw bytes as any frame. SB_EXHAUSTED: too long, or no memory. */
int sb_flow_send_message(struct sb_link *link,
                         struct sb_flow *flow,
                         const ProtobufCMessage *msg,
                         size_t max_bytes,
                         struct sb_err *err);
/** @frame  len, type and flags; @is_last  nothing follows. */
int sb_flow_send(struct sb_link *link,
                 struct sb_flow *flow,
                 const struct sb_frame *frame,
                 const void *data,
                 bool is_last);
/** Drops what waits to go out. */
void sb_flow_clear(struct sb_flow *flow);
/** True once after the queue fell to the low mark. */
bool sb_flow_take_drained(struct sb_flow *flow);
/** The peer consumed n bytes. */
void sb_flow_credit(struct sb_link *link, struct sb_flow *flow, uint32_t n);

/** Keeps a received message. SB_EXHAUSTED: more than the window allows, or no memory. */
int sb_flow_keep(struct sb_flow *flow, const uint8_t *data, uint32_t len, struct sb_err *err);
/** Takes the oldest received message out, for the caller to free(); NULL when there is none. */
struct sb_link_item *sb_flow_take(struct sb_link *link, struct sb_flow *flow);
