#pragma once
#include <stdbool.h>
#include <stdint.h>

struct sb_between;
struct sb_err;

enum { SB_COPY_MAX_DEPTH = 256 }; /* directories within each other */

/** What a copy does, and has done. */
struct sb_copy {
    int links_fd;  /* an empty directory of the target's file system, in which files of more than
                      one name are remembered */
    bool is_layer; /* the source is the upper directory of an overlay: what is marked as removed
                      there stays marked */
    const struct sb_between *between; /* whose ids owners become; NULL: they stay */
    uint64_t bytes;                   /* of content */
    uint64_t files;
};

/** Makes the empty directory @name in @dir, in which names are remembered. Errors: by errno. */
int sb_copy_begin(struct sb_copy *copy, int dir, const char *name, struct sb_err *err);
/** Removes it, after all that was copied with it. Errors: by errno. */
int sb_copy_end(struct sb_copy *copy, int dir, const char *name, struct sb_err *err);

/** Copies what is below directory @from into directory @to: files with their holes, names of one
 *  file, links, FIFOs and sockets, owners, modes, times and user attributes. Links are not
 * followed, other mounts not entered: those are empty directories in the copy. In a child alone: it
 * takes as long as it takes, and allocates nothing. The source is hostile. Errors: by errno, the
 * text names the path below @from; SB_EXHAUSTED: the target is full; SB_PRECONDITION: deeper than
 * SB_COPY_MAX_DEPTH. */
int sb_copy_tree(struct sb_copy *copy, int from, int to, struct sb_err *err);
