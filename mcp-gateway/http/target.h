#pragma once
/** The target of a request, decoded: path and query parameters. Pure, for the fuzzer too. */
#include <stddef.h>

#include "base/str.h"

struct sb_err;

enum { SB_TARGET_MAX_PARAMS = 32 };

struct sb_target_param {
    struct sb_str name;
    struct sb_str value;
};

struct sb_target {
    /* begins with '/'; below the open prefix nothing more, else no empty, "." or ".." segment and
     * no encoded slash */
    struct sb_str path;
    struct sb_target_param params[SB_TARGET_MAX_PARAMS];
    size_t n_params;
};

/** @target  "/path?query" or "http://host/path?query", where host must be @host (the Host header).
 *  @room  at least target.len bytes, which *ret_target then points into. All text is valid UTF-8
 *  without NUL or control characters in the path. In the query "+" is a blank.
 *  @open  paths that begin with it are decoded and no more, as their clients encode slashes; NULL:
 *  none.  Errors: SB_INVALID. */
int sb_target_parse(struct sb_str target,
                    const char *host,
                    const char *open,
                    char *room,
                    struct sb_target *ret_target,
                    struct sb_err *err);
