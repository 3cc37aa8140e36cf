#pragma once
#include <stdbool.h>

#define SB_PACKAGE_NEW ".new"
#define SB_PACKAGE_OLD ".old"

/** Removes some of what lies below the entries of @dir whose names end with @suffix, without
 *  following links: as much as one turn of the loop can bear. True: nothing is left, or what is
 *  cannot be removed. */
bool sb_package_sweep(int dir, const char *suffix);
