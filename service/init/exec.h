#pragma once
#include <stdbool.h>

#include "service/shared/initproto.h"

/** One exec as received, checked. */
struct sb_exec {
    /* stdin, stdout, stderr, the exec's own socket, the program's channel; all close-on-exec */
    int fds[SB_INIT_MAX_FDS];
    int n_fds;
    bool may_share; /* the child may be in our memory until it is the program */
    uint32_t flags; /* enum sb_init_flags */
    uint16_t rows;
    uint16_t columns;
    uint64_t rlimits[SB_INIT_RLIMITS]; /* 0: not to be lowered */
    const char *cwd;
    const char **argv; /* ends with NULL; argv[-1] is writable room for an interpreter */
    const char *const *envp;
};

/** Checks a packet and fills *ret_exec, whose strings lie in it.
 *  @fds  that came with it. Returns 0, or -errno. Not reentrant: argv and envp are static. */
int sb_exec_parse(char *packet, unsigned long len, const int *fds, int n_fds, struct sb_exec *ret);

/** Once, before waiting: whatever memory starting a program takes is there by then. */
void sb_exec_prepare(void);

/** Starts the program. Returns its pid, or -errno and the stage that failed. Closes fds 0..2. */
int sb_exec_start(struct sb_exec *exec, enum sb_init_stage *ret_stage);

/** Sends one packet; a peer that is gone or slow is ignored. */
void sb_exec_send(int sock, const void *data, unsigned long len);
/** The same with a descriptor. */
void sb_exec_send_fd(int sock, const void *data, unsigned long len, int fd);
