#pragma once
#include "base/str.h"

struct sb_err;

/** Makes the path of a file named in a configuration: absolute, without empty, "." and ".." parts.
 *  Looks at no file. @base_dir  absolute; where relative paths start.
 *  @ret_path  for the caller to free.
 *  Errors: SB_INVALID: empty, too long, begins with "~"; SB_EXHAUSTED. */
int sb_path_resolve(const char *base_dir, struct sb_str path, char **ret_path, struct sb_err *err);
