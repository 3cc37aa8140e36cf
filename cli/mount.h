#pragma once
#include "base/str.h"

struct sb_arena;
struct sb_err;

#define SB_MOUNT_WORKSPACE "/workspace"

enum sb_mount_mode {
    SB_MOUNT_UNSAID, /* the workspace: what the profile says; other mounts: read-only */
    SB_MOUNT_RO,
    SB_MOUNT_RW,
    SB_MOUNT_OVERLAY, /* copy-on-write; the workspace alone */
};

/** Pieces of a mount as given; source may be relative. */
struct sb_mount_text {
    struct sb_str source;
    struct sb_str target; /* empty: the same as the source */
    enum sb_mount_mode mode;
};

/** Parses "SRC[:DST][:ro|rw]", and what --workspace takes besides. A DST begins with a slash.
 * Errors: SB_INVALID: says the form. */
int sb_mount_parse(struct sb_str text, struct sb_mount_text *ret_mount, struct sb_err *err);

/** Parses "DIR[:ro|rw|overlay]" of --workspace. */
int sb_mount_parse_workspace(struct sb_str text,
                             struct sb_mount_text *ret_mount,
                             struct sb_err *err);

/** The absolute path without symbolic links of something that exists; the arena's.
 *  NULL with an error by errno. */
char *sb_mount_real(struct sb_arena *arena, struct sb_str path, struct sb_err *err);
