#pragma once
/** A tree between here and a sandbox: one archive on the way, and one call, however many files.
 *
 *  Theory of operation. In: directories and regular files are written as tar (base/tar.h) into
 *  ImportTar as they are met, so nothing is held but a piece. Out: what ExportTar sends is read as
 * a stranger's. No path of it is given to the kernel: each is walked from the directory on, name by
 *  name, through no link; a file is written beside its place and renamed. Links and special files
 *  are left out both ways, as a link from inside could lead anywhere here. Modes and times of files
 *  are kept. */
#include <stdint.h>

struct sb_err;
struct sb_filecopy;

struct sb_treecopy {
    struct sb_filecopy *copy; /* borrowed */
    /** What is left out. @path  borrowed. */
    void (*skip)(void *ctx, const char *path, const char *why);
    void *ctx;
    uint64_t files; /* copied */
};

/** Into a directory of the sandbox that is there. What was copied before an error stays.
 *  Errors: of the call; by errno of a file here; SB_ABORTED: one became shorter meanwhile. */
int sb_treecopy_put(struct sb_treecopy *tree, const char *from, const char *to, struct sb_err *err);
/** Into a directory here, made when it is missing. Errors: as above; SB_DATA_LOSS: the archive is
 *  broken, or leads out of it. */
int sb_treecopy_get(struct sb_treecopy *tree, const char *from, const char *to, struct sb_err *err);
