#include "service/worker/policy/origin.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

static void done(struct sb_origin *origin)
{
    free(origin->key);
    free(origin->profile);
    free(origin->where);
}

static const struct sb_origin *find(const struct sb_origins *origins, const char *key)
{
    for (size_t i = 0; i < origins->n; i++) {
        if (strcmp(origins->items[i].key, key) == 0) {
            return &origins->items[i];
        }
    }
    return NULL;
}

int sb_origins_add(struct sb_origins *origins, const struct sb_origin *origin, struct sb_err *err)
{
    if (find(origins, origin->key) != NULL) {
        return 0;
    }
    struct sb_origin *items =
        (struct sb_origin *)reallocarray(origins->items, origins->n + 1, sizeof *items);
    if (items == NULL) {
        return sb_err_oom(err);
    }
    origins->items = items;
    struct sb_origin copy = {
        .key = strdup(origin->key),
        .profile = strdup(origin->profile),
        .where = strdup(origin->where),
    };
    if (copy.key == NULL || copy.profile == NULL || copy.where == NULL) {
        done(&copy);
        return sb_err_oom(err);
    }
    items[origins->n++] = copy;
    return 0;
}

int sb_origins_inherit(struct sb_origins *origins,
                       const struct sb_origins *base,
                       struct sb_err *err)
{
    for (size_t i = 0; i < base->n; i++) {
        if (sb_origins_add(origins, &base->items[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}

const struct sb_origin *
sb_origins_find(const struct sb_origins *origins, const char *kind, struct sb_str key)
{
    size_t kind_len = kind == NULL ? 0 : strlen(kind) + 1;
    for (size_t i = 0; i < origins->n; i++) {
        struct sb_str item = sb_str_from(origins->items[i].key);
        bool is_kind = kind == NULL || (item.len > kind_len && item.ptr[kind_len - 1] == ' ' &&
                                        memcmp(item.ptr, kind, kind_len - 1) == 0);
        if (is_kind && sb_str_eq(sb_str_skip(item, kind_len), key)) {
            return &origins->items[i];
        }
    }
    return NULL;
}

void sb_origins_done(struct sb_origins *origins)
{
    for (size_t i = 0; i < origins->n; i++) {
        done(&origins->items[i]);
    }
    free(origins->items);
    *origins = (struct sb_origins){0};
}
