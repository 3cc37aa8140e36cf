#pragma once
/** Frames of the local transport: ttrpc (github.com/containerd/ttrpc, PROTOCOL.md 1.2) with these
 * additions, which a peer that does not know them never meets:
 *
 *    CANCEL (16)  client to server, no data: the call is of no more interest; no response follows.
 *    CREDIT (17)  either way, data is a u32: so many bytes of DATA frames, headers included, were
 * consumed. Sent only on streams whose request had the CREDITED flag. On those a peer sends DATA
 * while fewer than SB_LINK_WINDOW_BYTES of it are unconsumed, so that a reader that stops stops its
 * own stream and not the whole connection.
 *    ACCEPT (18)  server to client, no data: the content of a client stream is welcome. Sent only
 * on streams whose request had the CREDITED flag. descriptors  come with the first byte of a
 * request frame (SCM_RIGHTS); Request.fd_count says how many. trailers     Response.trailers.
 * length       up to SB_FRAME_MAX_BYTES, a little over ttrpc's 4 MiB, so that a message of the full
 * SB_RPC_MAX_MESSAGE_BYTES fits in its envelope. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SB_FRAME_HEADER_BYTES = 10,
    SB_FRAME_MAX_BYTES = (4 << 20) + (64 << 10),
    SB_FRAME_ABSURD_BYTES = 1 << 24, /* the first byte of a header is always 0 */
};

enum sb_frame_type {
    SB_FRAME_REQUEST = 1,
    SB_FRAME_RESPONSE = 2,
    SB_FRAME_DATA = 3,
    SB_FRAME_CANCEL = 16,
    SB_FRAME_CREDIT = 17,
    SB_FRAME_ACCEPT = 18,
};

enum sb_frame_flags {
    SB_FRAME_REMOTE_CLOSED = 1, /* request, data: the sender of this sends no more */
    SB_FRAME_REMOTE_OPEN = 2,   /* request: data follows */
    SB_FRAME_NO_DATA = 4,       /* data: not a message, not even an empty one */
    SB_FRAME_CREDITED = 16,     /* request: CREDIT is spoken on this stream */
};

/** A header, decoded. */
struct sb_frame {
    uint32_t len; /* bytes of data */
    uint32_t stream;
    uint8_t type;  /* enum sb_frame_type; others are ignored */
    uint8_t flags; /* enum sb_frame_flags */
};

void sb_frame_encode(const struct sb_frame *frame, uint8_t ret_header[SB_FRAME_HEADER_BYTES]);
struct sb_frame sb_frame_decode(const uint8_t header[SB_FRAME_HEADER_BYTES]);

void sb_frame_put_u32(uint8_t ret[4], uint32_t value); /* big endian */
uint32_t sb_frame_get_u32(const uint8_t data[4]);
