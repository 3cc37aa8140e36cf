#pragma once
#include <stddef.h>

#include "base/hash.h"
#include "base/str.h"

struct sb_err;
struct sb_map_slot;

/** String-keyed table of borrowed pointers with a maximum of entries. Keys are copied; values
 * belong to the caller and are never NULL. Not thread-safe. */
struct sb_map {
    struct sb_map_slot *slots; /* owned; count is a power of two or 0 */
    size_t nslots;
    size_t used; /* entries */
    size_t dead; /* slots whose entry was removed */
    size_t max;  /* entries */
    struct sb_hash_key key;
};

/** @max  entries. Allocates nothing. */
void sb_map_init(struct sb_map *map, size_t max);

/** Frees table and keys, not the values; usable with SB_CLEANUP. The map is then empty and usable.
 */
void sb_map_done(struct sb_map *map);

/** Adds. Errors: SB_EXISTS: the key is there (the map is unchanged); SB_EXHAUSTED: maximum, memory.
 */
int sb_map_put(struct sb_map *map, struct sb_str key, void *value, struct sb_err *err);

/** The value, or NULL. */
void *sb_map_get(const struct sb_map *map, struct sb_str key);

/** Removes and returns the value, or NULL when the key is not there. */
void *sb_map_remove(struct sb_map *map, struct sb_str key);

/** Iterates in no particular order: start with *cursor 0; NULL is the end. Entries may be removed
 *  during the walk, but not added. @ret_key  may be NULL; borrowed until the entry is removed.
 *      size_t at = 0;
 *      for (void *v; (v = sb_map_next(&map, &at, NULL)) != NULL;) */
void *sb_map_next(const struct sb_map *map, size_t *cursor, struct sb_str *ret_key);

static inline size_t sb_map_count(const struct sb_map *map)
{
    return map->used;
}
