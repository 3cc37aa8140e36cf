#pragma once
#include <stdint.h>

/** A connection that the worker asks for. */
struct sb_reach {
    uint16_t port; /* on the loopback inside */
    int sock;      /* its own, for the answer */
};

/** Checks a packet. @fds  that came with it. Returns 0, or -errno. */
int sb_reach_parse(
    const char *packet, unsigned long len, const int *fds, int n_fds, struct sb_reach *ret_reach);

/** Connects, answers and exits. In a child of init of its own. */
_Noreturn void sb_reach_serve(const struct sb_reach *reach);
