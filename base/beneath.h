#pragma once
#include <stddef.h>

#include "base/str.h"

struct sb_err;

/** The path that a client means below the directory that is all it should name. By text only: what
 *  links do is decided where they are followed.
 *
 *      "a//./b"  "/a/b"  "/root/a/b"   root/a/b
 *      ""  "."  "/"  "/root"           root
 *      "/../a"                         root/a, as "/.." is "/"
 *      "../a"  "a/../../b"             SB_DENIED
 *
 *  @root  absolute, normal, not "/".   @path  without NUL.   @ret_path  cap bytes, with the NUL.
 *  Errors: SB_DENIED: it leads out; SB_INVALID: too long. Then *ret_path is not to be used. */
int sb_beneath(
    const char *root, struct sb_str path, char *ret_path, size_t cap, struct sb_err *err);
