#include "service/shared/frame.h"

#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"

int sb_frame_send(
    int sock, const ProtobufCMessage *msg, const int *fds, size_t nfds, struct sb_err *err)
{
    uint8_t packet[SB_FRAME_MAX];
    size_t len = protobuf_c_message_get_packed_size(msg);
    if (len > sizeof packet || nfds > SB_FRAME_MAX_FDS) {
        return sb_err_set(err, SB_EXHAUSTED,
                          "%s is too large: %zu bytes, at most %d; %zu descriptors, at most %d",
                          msg->descriptor->name, len, SB_FRAME_MAX, nfds, SB_FRAME_MAX_FDS);
    }
    if (len == 0) {
        /* An empty packet is what end of file looks like to the receiver. */
        return sb_err_set(err, SB_INVALID, "%s is empty", msg->descriptor->name);
    }
    (void)protobuf_c_message_pack(msg, packet);
    if (sb_fd_send(sock, packet, len, fds, nfds, err) < 0) {
        return sb_err_wrap(err, "send %s", msg->descriptor->name);
    }
    return 0;
}

int sb_frame_recv(int sock,
                  const ProtobufCMessageDescriptor *desc,
                  int flags,
                  struct sb_frame *ret_frame,
                  struct sb_err *err)
{
    uint8_t packet[SB_FRAME_MAX];
    int fds[SB_FRAME_MAX_FDS] = {-1, -1, -1, -1};
    struct sb_fd_msg in = {
        .data = packet, .cap = sizeof packet, .fds = fds, .nfds_cap = SB_FRAME_MAX_FDS};
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
