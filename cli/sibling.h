#pragma once
#include <limits.h>
#include <stdbool.h>

/** Finds another program of ours: beside the running one (build tree), in ../libexec/aisbx
 *  (installed), or in the absolute directories of PATH. */
bool sb_sibling_find(const char *name, char out[PATH_MAX]);
