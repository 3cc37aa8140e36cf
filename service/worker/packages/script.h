#pragma once
#include "service/worker/policy/packages.h"

enum { SB_SCRIPT_ARGS_MAX = 8 + SB_PACKAGES_MAX };

/** The command that installs a set and writes its files as tree.h says. @ret_args  room for
 *  SB_SCRIPT_ARGS_MAX; borrowed from the set and from constants. Returns how many. */
size_t sb_script_args(enum sb_manager manager, const struct sb_package_set *set, char **ret_args);
/** Program and package of the host that it needs. */
const char *sb_script_needs(enum sb_manager manager);
