#include "service/shared/frame.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"

/* Nearly all fit; the stack is touched as a whole (-fstack-clash-protection), page by page. */
enum { USUAL_BYTES = 4096 };

int sb_frame_send(
    int sock, const ProtobufCMessage *msg, const int *fds, size_t nfds, struct sb_err *err)
{
    uint8_t usual[USUAL_BYTES];
    size_t len = protobuf_c_message_get_packed_size(msg);
    if (len > SB_FRAME_MAX || nfds > SB_FRAME_MAX_FDS) {
        return sb_err_set(err, SB_EXHAUSTED,
                          "%s is too large: %zu bytes, at most %d; %zu descriptors, at most %d",
                          msg->descriptor->name, len, SB_FRAME_MAX, nfds, SB_FRAME_MAX_FDS);
    }
    if (len == 0) {
        /* An empty packet is what end of file looks like to the receiver. */
        return sb_err_set(err, SB_INVALID, "%s is empty", msg->descriptor->name);
    }
    SB_CLEANUP(sb_freep) uint8_t *large = len > sizeof usual ? malloc(len) : NULL;
    uint8_t *packet = len > sizeof usual ? large : usual;
    if (packet == NULL) {
        return sb_err_oom(err);
    }
    (void)protobuf_c_message_pack(msg, packet);
    if (sb_fd_send(sock, packet, len, fds, nfds, err) < 0) {
        return sb_err_wrap(err, "send %s", msg->descriptor->name);
    }
    return 0;
}

/* At most SB_FRAME_MAX: what is longer is cut, and refused for it. 0 where there is none: whoever
 * receives it learns why. */
static size_t length_of_next(int sock, int flags)
{
    ssize_t len = 0;
    do {
        len = recv(sock, NULL, 0, flags | MSG_PEEK | MSG_TRUNC);
    } while (len < 0 && errno == EINTR);
    return len < 0 ? 0 : len > SB_FRAME_MAX ? SB_FRAME_MAX : (size_t)len;
}

int sb_frame_recv(int sock,
                  const ProtobufCMessageDescriptor *desc,
                  int flags,
                  struct sb_frame *ret_frame,
                  struct sb_err *err)
{
    uint8_t usual[USUAL_BYTES];
    int fds[SB_FRAME_MAX_FDS] = {-1, -1, -1, -1};
    size_t len = length_of_next(sock, flags);
    SB_CLEANUP(sb_freep) uint8_t *large = len > sizeof usual ? malloc(len) : NULL;
    if (len > sizeof usual && large == NULL) {
        return sb_err_oom(err);
    }
    uint8_t *packet = len > sizeof usual ? large : usual;
    struct sb_fd_msg in = {.data = packet,
                           .cap = len > sizeof usual ? len : sizeof usual,
                           .fds = fds,
                           .nfds_cap = SB_FRAME_MAX_FDS};
    int got = sb_fd_recv(sock, &in, flags, err);
    if (got <= 0) {
        return got;
    }
    ProtobufCMessage *msg = protobuf_c_message_unpack(desc, NULL, in.len, packet);
    if (msg == NULL) {
        sb_fd_close_all(fds, SB_FRAME_MAX_FDS);
        return sb_err_set(err, SB_INVALID, "%zu bytes are not a %s", in.len, desc->name);
    }
    *ret_frame = (struct sb_frame){.msg = msg, .nfds = in.nfds};
    for (size_t i = 0; i < SB_FRAME_MAX_FDS; i++) {
        ret_frame->fds[i] = i < in.nfds ? fds[i] : -1;
    }
    return 1;
}

int sb_frame_take_fd(struct sb_frame *frame, size_t i)
{
    return i < SB_FRAME_MAX_FDS ? SB_STEAL_FD(frame->fds[i]) : -1;
}

void sb_frame_done(struct sb_frame *frame)
{
    if (frame->msg != NULL) {
        protobuf_c_message_free_unpacked(frame->msg, NULL);
    }
    sb_fd_close_all(frame->fds, SB_FRAME_MAX_FDS);
    *frame = SB_FRAME_INIT;
}
