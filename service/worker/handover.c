#include "service/worker/handover.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"

void sb_handover_init(struct sb_handover *handover)
{
    for (int i = 0; i < SB_HANDOVER_KINDS; i++) {
        handover->fds[i] = -1;
    }
}

void sb_handover_done(struct sb_handover *handover)
{
    sb_fd_close_all(handover->fds, SB_HANDOVER_KINDS);
}

int sb_handover_read(struct sb_handover *handover, int init_fd, struct sb_err *err)
{
    /* Each round fills a kind or fails. */
    for (;;) {
        struct sb_init_handover packet = {0};
        int received = -1;
        struct sb_fd_msg msg = {
            .data = &packet, .cap = sizeof packet, .fds = &received, .nfds_cap = 1};
        int got = sb_fd_recv(init_fd, &msg, MSG_DONTWAIT, err);
        if (got < 0 && err->sys != EAGAIN) {
            return sb_err_wrap(err, "hand-over");
        }
        if (got <= 0) {
            return 0; /* no more, or the end of init, which is told otherwise */
        }
        SB_CLEANUP(sb_closep) int fd = received;
        if (msg.len != sizeof packet || msg.nfds != 1 || packet.type != SB_INIT_HANDOVER ||
            packet.kind == 0 || packet.kind >= SB_HANDOVER_KINDS ||
            handover->fds[packet.kind] >= 0) {
            return sb_err_set(err, SB_INTERNAL, "hand-over: not a packet of a new kind");
        }
        handover->fds[packet.kind] = SB_STEAL_FD(fd);
    }
}

int sb_handover_take(struct sb_handover *handover, enum sb_handover_kind kind)
{
    return SB_STEAL_FD(handover->fds[kind]);
}
