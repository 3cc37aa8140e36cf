#pragma once
/** What the child that became init has left for the worker in its control socket: descriptors that
 *  only a process inside the sandbox can make (service/shared/initproto.h). */
#include "service/shared/initproto.h"

struct sb_err;

/** Owned descriptors by kind; -1: none came, or it was taken. */
struct sb_handover {
    int fds[SB_HANDOVER_KINDS];
};

void sb_handover_init(struct sb_handover *handover);
/** Closes what nobody took. */
void sb_handover_done(struct sb_handover *handover);

/** Reads all packets that lie in the socket, never blocks. Call when the spawner has said Spawned
 *  and before the first request goes to init: then all of them are there.
 *  Errors: SB_INTERNAL: a packet that is none, an unknown kind, one kind twice; by errno. */
int sb_handover_read(struct sb_handover *handover, int init_fd, struct sb_err *err);

/** The descriptor, which is the caller's from then on; -1: there is none. */
int sb_handover_take(struct sb_handover *handover, enum sb_handover_kind kind);
