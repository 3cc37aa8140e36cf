#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/** The name most like @typed, for "did you mean"; NULL when none is near enough.
 *  @names  n strings; NULL entries are skipped. The first of equals wins; ASCII case does not
 * count. Near enough: a third of the typed letters are edits (one may always be), or @typed begins
 * name. */
const char *sb_near_find(struct sb_str typed, const char *const *names, size_t n);

/** For names that lie elsewhere: true when name is near enough and nearer than *best, which becomes
 *  its distance. Start with *best SIZE_MAX. */
bool sb_near_improves(struct sb_str typed, struct sb_str name, size_t *best);

/** Edits (insert, delete, replace, swap neighbours) from a to b, ignoring ASCII case;
 *  SIZE_MAX when either is longer than 64 bytes. */
size_t sb_near_distance(struct sb_str a, struct sb_str b);
