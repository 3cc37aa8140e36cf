#pragma once
#include <stdint.h>

/** A pty of the sandbox's own devpts, which is the only one that is mounted. */
struct sb_terminal {
    int master; /* for the worker */
    int slave;  /* for the program; held until its main process ends. -1: there is none */
};

#define SB_TERMINAL_NONE ((struct sb_terminal){-1, -1})

/** Opens both sides; neither becomes the controlling terminal of this process.
 *  Returns 0, or -errno: ENOSPC when the sandbox has as many ptys as it may. */
int sb_terminal_open(unsigned rows, unsigned columns, struct sb_terminal *ret_terminal);
/** Closes what is open. */
void sb_terminal_close(struct sb_terminal *terminal);
