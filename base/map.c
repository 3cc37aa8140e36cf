#include "base/map.h"

#include <assert.h>
#include <stdlib.h>

#include "base/err.h"

/* Theory of operation: open addressing with linear probing. A removed entry leaves a dead slot, so
 * that nothing moves while someone walks the table; dead slots go when the table is rebuilt, which
 * happens on an addition that would fill more than three quarters of the slots. */

struct sb_map_slot {
    char *key; /* owned; NULL: never used (value NULL) or dead (value DEAD) */
    size_t len;
    uint64_t hash;
    void *value;
};

static char dead_mark;
#define DEAD ((void *)&dead_mark)

void sb_map_init(struct sb_map *map, size_t max)
{
    *map = (struct sb_map){.max = max};
}

void sb_map_done(struct sb_map *map)
{
    for (size_t i = 0; i < map->nslots; i++) {
        free(map->slots[i].key);
    }
    free(map->slots);
    sb_map_init(map, map->max);
}

/* The slot that holds key, or NULL. */
static struct sb_map_slot *find(const struct sb_map *map, struct sb_str key, uint64_t hash)
{
    if (map->nslots == 0) {
        return NULL;
    }
    size_t mask = map->nslots - 1;
    /* A quarter of the slots were never used, so the walk ends. */
    for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
        struct sb_map_slot *slot = &map->slots[i];
        if (slot->key == NULL && slot->value == NULL) {
            return NULL;
        }
        if (slot->key != NULL && slot->hash == hash &&
            sb_str_eq(sb_str_of(slot->key, slot->len), key)) {
            return slot;
        }
    }
}

/* Puts an entry whose key is not in the table into the first slot without a key. */
static void place(struct sb_map *map, struct sb_map_slot entry)
{
    size_t mask = map->nslots - 1;
    size_t i = (size_t)entry.hash & mask;
    while (map->slots[i].key != NULL) {
        i = (i + 1) & mask;
    }
    if (map->slots[i].value == DEAD) {
        map->dead--;
    }
    map->slots[i] = entry;
}

/* Makes sure that one more entry leaves a quarter of the slots unused. */
static int make_room(struct sb_map *map)
{
    size_t quarter = map->nslots / 4;
    if (map->used + map->dead < 3 * quarter) {
        return 0;
    }
    size_t nslots = map->nslots == 0 ? 16 : map->nslots;
    if (map->used >= nslots / 2) {
        nslots *= 2;
    }
    struct sb_map_slot *slots = calloc(nslots, sizeof *slots);
    if (slots == NULL) {
        return -1;
    }
    struct sb_map old = *map;
    map->slots = slots;
    map->nslots = nslots;
    map->dead = 0;
    for (size_t i = 0; i < old.nslots; i++) {
        if (old.slots[i].key != NULL) {
            place(map, old.slots[i]);
        }
    }
    free(old.slots);
    return 0;
}

int sb_map_put(struct sb_map *map, struct sb_str key, void *value, struct sb_err *err)
{
    assert(value != NULL);
    if (map->nslots == 0) {
        map->key = sb_hash_key_random();
    }
    uint64_t hash = sb_hash_sip13(map->key, key.ptr, key.len);
    if (find(map, key, hash) != NULL) {
        return sb_err_set(err, SB_EXISTS, "\"%.*s\" exists already", SB_STR_ARG(key));
    }
    if (map->used >= map->max) {
        return sb_err_set(err, SB_EXHAUSTED, "table is full (%zu entries)", map->max);
    }
    if (make_room(map) < 0) {
        return sb_err_oom(err);
    }
    char *copy = sb_str_dup(key);
    if (copy == NULL) {
        return sb_err_oom(err);
    }
    place(map, (struct sb_map_slot){.key = copy, .len = key.len, .hash = hash, .value = value});
    map->used++;
    return 0;
}

void *sb_map_get(const struct sb_map *map, struct sb_str key)
{
    const struct sb_map_slot *slot = find(map, key, sb_hash_sip13(map->key, key.ptr, key.len));
    return slot == NULL ? NULL : slot->value;
}

void *sb_map_remove(struct sb_map *map, struct sb_str key)
{
    struct sb_map_slot *slot = find(map, key, sb_hash_sip13(map->key, key.ptr, key.len));
    if (slot == NULL) {
        return NULL;
    }
    void *value = slot->value;
    free(slot->key);
    *slot = (struct sb_map_slot){.value = DEAD};
    map->used--;
    map->dead++;
    return value;
}

void *sb_map_next(const struct sb_map *map, size_t *cursor, struct sb_str *ret_key)
{
    while (*cursor < map->nslots) {
        const struct sb_map_slot *slot = &map->slots[(*cursor)++];
        if (slot->key != NULL) {
            if (ret_key != NULL) {
                *ret_key = sb_str_of(slot->key, slot->len);
            }
            return slot->value;
        }
    }
    return NULL;
}
