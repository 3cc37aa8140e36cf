#pragma once
#include <signal.h>

struct sb_err;

enum { SB_SIGNALS_ENDING = 4 };

/** The signals by which a person or a supervisor ends aisbx, as a descriptor to poll, whichever
 *  thread the kernel gives them to. A signal that was ignored when aisbx started (nohup, `&` in
 *  scripts) stays ignored. At most one of these is caught at a time. */
struct sb_signals {
    int fd;                                     /* owned; readable when one came; -1: not caught */
    int told_fd;                                /* owned; the handler writes here */
    struct sigaction before[SB_SIGNALS_ENDING]; /* to go back to */
};

#define SB_SIGNALS_NONE ((struct sb_signals){.fd = -1, .told_fd = -1})

int sb_signals_catch(struct sb_signals *signals, struct sb_err *err);
/** The signal that came, or 0. From then on each takes its default action at once, so that a
 *  second Ctrl-C always helps. */
int sb_signals_take(struct sb_signals *signals);
/** Back to the actions of before; usable with SB_CLEANUP. */
void sb_signals_done(struct sb_signals *signals);
