#include "service/spawner/handover.h"

#include "base/err.h"
#include "base/fd.h"
#include "service/spawner/child.h"

int sb_handover_send(const struct sb_child *child,
                     enum sb_handover_kind kind,
                     int fd,
                     struct sb_err *err)
{
    const struct sb_init_handover packet = {.type = SB_INIT_HANDOVER, .kind = kind};
    return sb_fd_send(child->ctl_fd, &packet, sizeof packet, &fd, 1, err) < 0 ? -1 : 0;
}
