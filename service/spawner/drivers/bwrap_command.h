#pragma once
#include <stddef.h>

struct sb_bwrap;
struct sb_err;
struct sb_plan;

enum {
    SB_BWRAP_MAX_WORDS = 512,
    SB_BWRAP_TEXT_SIZE = 48 << 10, /* bytes of all words that are made here */
};

/** A command line of bubblewrap. Does not move once it has words. */
struct sb_bwrap_command {
    const char *words[SB_BWRAP_MAX_WORDS]; /* ended by NULL */
    size_t n;
    char text[SB_BWRAP_TEXT_SIZE];
    size_t used;
};

/** Compiles a plan. What bubblewrap has no option for is taken from below SB_ROOTFS_STAGE: /etc
 * with generated files, tmpfs with a bound on inodes, /dev with a bound on ptys, the plan's mounts
 * with their ids mapped, and what hides parts of /proc. It reads the filters from SB_FDS_MORE and
 * the next, and starts init from SB_FDS_INIT.
 *  @bwrap  what this bubblewrap can do.   Errors: SB_INTERNAL: it does not fit; by errno. */
int sb_bwrap_compile(const struct sb_plan *plan,
                     const struct sb_bwrap *bwrap,
                     struct sb_bwrap_command *ret_command,
                     struct sb_err *err);
