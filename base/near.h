#pragma once
#include <stddef.h>

#include "base/str.h"

/** The name most like @typed, for "did you mean". NULL when none is near enough (more than a third
 *  of its letters differ, at least one may), or @typed is longer than 64 bytes.
 *  @names  n strings; NULL entries are skipped. The first of equals wins; case does not count. */
const char *sb_near_find(struct sb_str typed, const char *const *names, size_t n);

/** Edits (insert, delete, replace, swap neighbours) from a to b, ignoring ASCII case;
 *  SIZE_MAX when either is longer than 64 bytes. */
size_t sb_near_distance(struct sb_str a, struct sb_str b);
