#include "cli/pairs.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cli/arena.h"

static int reserve(struct sb_pairs *pairs, struct sb_arena *arena, struct sb_err *err)
{
    if (pairs->n < pairs->cap) {
        return 0;
    }
    size_t cap = pairs->cap == 0 ? 16 : 2 * pairs->cap;
    struct sb_pairs_item *items = sb_arena_alloc(arena, cap, sizeof *items, err);
    if (items == NULL) {
        return -1;
    }
    if (pairs->n > 0) {
        memcpy(items, pairs->items, pairs->n * sizeof *items);
    }
    pairs->items = items;
    pairs->cap = cap;
    return 0;
}

int sb_pairs_set(struct sb_pairs *pairs,
                 struct sb_arena *arena,
                 struct sb_str key,
                 struct sb_str value,
                 struct sb_err *err)
{
    char *copy = sb_arena_text(arena, value, err);
    if (copy == NULL) {
        return -1;
    }
    for (size_t i = 0; i < pairs->n; i++) {
        if (sb_str_eq(key, sb_str_from(pairs->items[i].key))) {
            pairs->items[i].value = copy;
            return 0;
        }
    }
    char *name = sb_arena_text(arena, key, err);
    if (name == NULL || reserve(pairs, arena, err) < 0) {
        return -1;
    }
    pairs->items[pairs->n++] = (struct sb_pairs_item){name, copy};
    return 0;
}

int sb_pairs_add_env(struct sb_pairs *pairs,
                     struct sb_arena *arena,
                     struct sb_str text,
                     struct sb_err *err)
{
    struct sb_str key = text;
    struct sb_str value;
    bool is_set = sb_str_split(text, '=', &key, &value);
    if (key.len == 0) {
        return sb_err_set(err, SB_INVALID, "\"%.*s\" is not KEY or KEY=VALUE", SB_STR_ARG(text));
    }
    if (!is_set) {
        char *name = sb_arena_text(arena, key, err);
        if (name == NULL) {
            return -1;
        }
        const char *mine = getenv(name);
        if (mine == NULL) {
            return 0;
        }
        value = sb_str_from(mine);
    }
    return sb_pairs_set(pairs, arena, key, value, err);
}

int sb_pairs_add_env_lines(struct sb_pairs *pairs,
                           struct sb_arena *arena,
                           struct sb_str lines,
                           const char *name,
                           struct sb_err *err)
{
    struct sb_str line;
    if (lines.len == 0) {
        return 0;
    }
    for (unsigned number = 1; sb_str_next(&lines, '\n', &line); number++) {
        if (line.len > 0 && line.ptr[line.len - 1] == '\r') {
            line.len--;
        }
        if (sb_str_trim(line).len == 0 || line.ptr[0] == '#') {
            continue;
        }
        if (sb_str_has_nul(line)) {
            return sb_err_set(err, SB_INVALID, "%s:%u: holds a NUL byte", name, number);
        }
        if (sb_pairs_add_env(pairs, arena, line, err) < 0) {
            return sb_err_wrap(err, "%s:%u", name, number);
        }
    }
    return 0;
}

int sb_pairs_add_label(struct sb_pairs *pairs,
                       struct sb_arena *arena,
                       struct sb_str text,
                       struct sb_err *err)
{
    struct sb_str key;
    struct sb_str value;
    if (!sb_str_split(text, '=', &key, &value) || key.len == 0) {
        return sb_err_set(err, SB_INVALID, "label \"%.*s\" is not KEY=VALUE", SB_STR_ARG(text));
    }
    return sb_pairs_set(pairs, arena, key, value, err);
}

/* What protobuf-c generates for an entry of any map<string, string>. */
struct entry {
    ProtobufCMessage base;
    char *key;
    char *value;
};

void *sb_pairs_entries(const struct sb_pairs *pairs,
                       struct sb_arena *arena,
                       const ProtobufCMessageDescriptor *entry,
                       struct sb_err *err)
{
    assert(entry->sizeof_message == sizeof(struct entry) && entry->n_fields == 2);
    struct entry *entries = sb_arena_alloc(arena, pairs->n, sizeof *entries, err);
    struct entry **items = sb_arena_alloc(arena, pairs->n, sizeof(void *), err);
    if (entries == NULL || items == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < pairs->n; i++) {
        protobuf_c_message_init(entry, &entries[i]);
        entries[i].key = pairs->items[i].key;
        entries[i].value = pairs->items[i].value;
        items[i] = &entries[i];
    }
    return items;
}
