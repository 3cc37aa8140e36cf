#pragma once
/** Changes that a sandbox has made, made in a directory here.
 *
 *  Who calls has the rights, and no more is needed: so what is applied may be as hostile as it
 *  likes. A path is walked beneath the directory, through no link and onto no other file system; a
 *  file is written beside its place and renamed, so a link is replaced and never written through;
 *  links are made as links. Set-id bits are not taken, owners neither. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct sb_err;

enum sb_apply_kind {
    SB_APPLY_FILE,
    SB_APPLY_DIR,
    SB_APPLY_SYMLINK,
    SB_APPLY_OTHER, /* refused, unless it goes */
};

/** One change. */
struct sb_apply_change {
    const char *path; /* below the directory, relative; borrowed */
    const char *link; /* SYMLINK: where to; borrowed */
    enum sb_apply_kind kind;
    bool is_removal;
    bool is_new; /* the sandbox has seen nothing there, so nothing of another kind gives way */
    unsigned mode;
    uint64_t size; /* FILE */
    struct timespec time;
};

/** A directory that is not writable is made so, and gets its mode at the end. */
struct sb_apply_late {
    char *path;
    unsigned mode;
};

/** Where to. One change at a time. Zeroed by sb_apply_open. */
struct sb_apply {
    int root;   /* owned */
    int parent; /* owned; of the file on its way; -1: none */
    int fd;     /* owned; likewise */
    char name[256];
    char temp[64]; /* its name until it is whole */
    bool gives_way;
    uint64_t end;               /* of what is written */
    struct sb_apply_late *late; /* owned */
    size_t n_late;
};

/** @dir  absolute. Errors: by errno: a link on its way is ELOOP. */
int sb_apply_open(const char *dir, struct sb_apply *ret_apply, struct sb_err *err);
/** Takes a file that is not whole away. */
void sb_apply_done(struct sb_apply *apply);

/** Makes a change. Of a FILE that is there sb_apply_data and sb_apply_end follow, and nothing is
 * seen of it before. Errors: by errno; SB_DENIED, SB_PRECONDITION: the text says why, without the
 * path. */
int sb_apply_begin(struct sb_apply *apply,
                   const struct sb_apply_change *change,
                   struct sb_err *err);
/** @offset  ascending; what is left out is a hole. */
int sb_apply_data(
    struct sb_apply *apply, uint64_t offset, const void *data, size_t len, struct sb_err *err);
/** The FILE is whole. */
int sb_apply_end(struct sb_apply *apply, const struct sb_apply_change *change, struct sb_err *err);
/** Sets the modes of directories that waited for it, best effort. */
void sb_apply_finish(struct sb_apply *apply);
