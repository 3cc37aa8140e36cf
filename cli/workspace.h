#pragma once
#include <stdbool.h>

#include "cli/mount.h"

struct sb_arena;
struct sb_args;
struct sb_err;

/** What /workspace will be. */
struct sb_workspace {
    const char *source; /* absolute host directory; NULL: none is bound */
    enum sb_mount_mode mode;
    const char *note; /* why the current directory was not taken; NULL: nothing to say */
};

/** Decides by the options, else by the current directory, unless the worker @is_remote.
 *  @profile  or NULL: not named.
 *  Errors: SB_INVALID, or by errno for a directory that was asked for. */
int sb_workspace_choose(const struct sb_args *args,
                        const char *profile,
                        bool is_remote,
                        struct sb_arena *arena,
                        struct sb_workspace *ret_workspace,
                        struct sb_err *err);

/** Why a directory should not be bound unasked ("it is the root directory"); NULL: it may.
 *  @dir  absolute, canonical.   Looks at no file. */
const char *sb_workspace_objection(const char *dir);

/** True when @path is @dir or below it; both absolute. */
bool sb_workspace_is_below(const char *path, const char *dir);

/** How the command of argv[0] is found inside. */
struct sb_workspace_command {
    const char *path; /* argv[0] inside */
    const char *bind; /* host file to make visible read-only at the same path; NULL: none */
};

/** Absolute paths below the workspace become paths below /workspace; absolute paths of other host
 *  files outside the system directories are to be bound; everything else stays as it is.
 *  Errors: SB_EXHAUSTED. */
int sb_workspace_locate(const struct sb_workspace *workspace,
                        const char *command,
                        struct sb_arena *arena,
                        struct sb_workspace_command *ret_command,
                        struct sb_err *err);
