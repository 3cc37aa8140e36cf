#pragma once
/** Files that come out of a sandbox as one stream of bytes, written below a directory that no
 *  sandbox can reach.
 *
 *  Theory of operation. What lies in a sandbox may be anything, so nothing of it is opened: a
 * program inside says what there is, and every word of that is checked. The stream is records of a
 * head of 16 bytes and what follows it:
 *
 *      kind u8 | is_program u8 | name u16 | 0 u32 | size u64     (little-endian)
 *      name bytes: a relative path, or nothing
 *      size bytes: the content of a file 'f', the target of a link 'l', the text of a line 'p'
 *
 *  'e' with nothing ends it. Directories are those of the paths. A path is walked from the top,
 * name by name, without following links; a file is new, or the stream is refused; what is made can
 * be read by anybody and written by nobody. Links are relative and stay below the top. So is
 * bounded what comes: bytes, files, depth, lines.
 *
 *  The producers are service/worker/packages/install.py and install.js. Loop thread. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/worker/policy/collections.h"

struct sb_err;

enum {
    SB_TREE_PATH_MAX = 1024, /* bytes */
    SB_TREE_DEPTH_MAX = 64,
    SB_TREE_LINES_MAX = 256,
    SB_TREE_LINE_MAX = 256, /* bytes */
    SB_TREE_HEAD_SIZE = 16,
};

struct sb_tree {
    int top;            /* O_DIRECTORY, borrowed; -1: nothing is written, for tests of the form */
    uint64_t max_bytes; /* of all files together */
    uint64_t max_files; /* directories and links included */
    uint64_t bytes;
    uint64_t files;
    struct sb_strings lines; /* the 'p's; more than SB_TREE_LINES_MAX are left out */

    /* of the record that comes in now */
    int state;
    size_t have; /* bytes of head or text */
    unsigned char head[SB_TREE_HEAD_SIZE];
    char path[SB_TREE_PATH_MAX + 1];
    char text[SB_TREE_PATH_MAX + 1]; /* of links and lines */
    uint64_t left;                   /* bytes of size that are still to come */
    int parent;                      /* the directory of parent_path; -1: none */
    char parent_path[SB_TREE_PATH_MAX + 1];
    int file; /* -1: none */
    bool is_ended;
};

void sb_tree_init(struct sb_tree *tree, int top, uint64_t max_bytes, uint64_t max_files);
/** Closes what is open; what was written stays. */
void sb_tree_done(struct sb_tree *tree);

/** Takes the next bytes. Errors: SB_INVALID: they are not such a stream, or a path that is not
 *  taken; SB_EXHAUSTED: too much; by errno of the writes. Nothing may be fed after that. */
int sb_tree_feed(struct sb_tree *tree, const void *data, size_t len, struct sb_err *err);
/** True when the end was said, and nothing came behind it. */
bool sb_tree_is_whole(const struct sb_tree *tree);
