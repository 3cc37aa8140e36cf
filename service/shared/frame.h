#pragma once
#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

struct sb_err;

enum {
    SB_FRAME_MAX = 160 << 10, /* bytes of one message; fits the default socket buffer */
    SB_FRAME_MAX_FDS = 4,
};

/** One protobuf message and the descriptors that came with it. */
struct sb_frame {
    ProtobufCMessage *msg;     /* owned */
    int fds[SB_FRAME_MAX_FDS]; /* owned, O_CLOEXEC; -1 behind nfds and where taken away */
    size_t nfds;               /* descriptors received */
};

#define SB_FRAME_INIT ((struct sb_frame){.fds = {-1, -1, -1, -1}})

/** Sends msg as one packet over a SOCK_SEQPACKET.
 *  @fds  borrowed, may be NULL when nfds is 0; nfds at most SB_FRAME_MAX_FDS.
 *  Errors: SB_EXHAUSTED: msg is longer than SB_FRAME_MAX, or (err->sys EAGAIN) the socket is
 * non-blocking and full; SB_UNAVAILABLE: the peer is gone; else by errno. Nothing was sent then. */
int sb_frame_send(
    int sock, const ProtobufCMessage *msg, const int *fds, size_t nfds, struct sb_err *err);

/** Receives one packet and unpacks it as a message of @desc.
 *  @flags      0 or MSG_DONTWAIT.
 *  @ret_frame  an SB_FRAME_INIT or a finished frame; the caller ends it with sb_frame_done.
 *  Returns 1, or 0 when the peer has closed, or -1: SB_INVALID: not such a message, too long, or
 *  too many descriptors (the packet is lost and its descriptors are closed); err->sys is EAGAIN
 *  when nothing is there; else by errno. ret_frame is set only when 1 is returned. */
int sb_frame_recv(int sock,
                  const ProtobufCMessageDescriptor *desc,
                  int flags,
                  struct sb_frame *ret_frame,
                  struct sb_err *err);

/** Takes descriptor i away from the frame; -1 when there is none. */
int sb_frame_take_fd(struct sb_frame *frame, size_t i);

/** Frees the message and closes what was not taken. Usable with SB_CLEANUP; twice is harmless. */
void sb_frame_done(struct sb_frame *frame);
