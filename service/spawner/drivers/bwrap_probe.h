#pragma once
#include <stdbool.h>

struct sb_err;
struct sb_host;

/** What is known of this host's bubblewrap. Zeroed: nothing yet. */
struct sb_bwrap {
    bool is_found;
    int fd;           /* when found: the program, O_PATH; owned */
    char version[16]; /* "0.8.0" */
    bool has_disable_userns;
};

/** Finds bubblewrap and tries it, once: later calls return at once when it was found to work.
 *  It runs without privilege, in namespaces of its own, as for a sandbox. Takes some milliseconds.
 *  @host  host->bwrap is filled.   Errors: SB_PRECONDITION: what is missing, and how to get it. */
int sb_bwrap_probe(const struct sb_host *host, struct sb_err *err);

void sb_bwrap_done(struct sb_bwrap *bwrap);
