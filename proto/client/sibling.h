#pragma once
#include <limits.h>
#include <stdbool.h>

/** Finds another program of ours: beside the running one (build tree), in ../libexec/aisbx
 *  (installed), or in the absolute directories of PATH. */
bool sb_sibling_find(const char *name, char out[PATH_MAX]);

/** Finds a file of ours that is no program: installed, in ../share/aisbx, else in the checkout in
 *  whose build folder the running program lies.
 *  @installed  below share/aisbx, "lima/aisbx.yaml".  @in_source  below the checkout.
 *  @ret_source  the checkout; "" when it is installed. */
bool sb_sibling_find_file(const char *installed,
                          const char *in_source,
                          char ret_path[PATH_MAX],
                          char ret_source[PATH_MAX]);
