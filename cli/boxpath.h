#pragma once
#include <stdbool.h>

#include "base/str.h"

struct sb_err;

/** One side of a copy: a file here, or SANDBOX:PATH. */
struct sb_boxpath {
    bool is_inside;
    struct sb_str sandbox; /* as given */
    const char *path;      /* borrowed; "" for SANDBOX: alone */
};

/** A text with a colon before any slash is SANDBOX:PATH; ./a:b is a file here. */
struct sb_boxpath sb_boxpath_of(const char *text);

/** The absolute path inside: what is relative is below /workspace. SB_INVALID: too long.
 *  @ret_path  SB_BOXPATH_SIZE bytes. */
int sb_boxpath_absolute(const char *path, char *ret_path, struct sb_err *err);
/** "dir/name", with one slash between. The same size. */
int sb_boxpath_join(const char *dir, const char *name, char *ret_path, struct sb_err *err);
/** What comes after the last slash, those at the end not counted; "" for "/", "." and "..". */
struct sb_str sb_boxpath_name(const char *path);
/** Whether a path from inside may be laid below a directory here: names parted by single slashes,
 *  none of them "." or "..". */
bool sb_boxpath_is_below(const char *path);

enum { SB_BOXPATH_SIZE = 4096 };
