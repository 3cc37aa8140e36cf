#pragma once
/** Where each setting of a profile was said. */
#include <stddef.h>

#include "base/str.h"

struct sb_err;

/** Keys are the names that settings have in YAML, whatever map they stand in: "memory", "allow",
 *  "mode" (of the network, "enabled" too), "wall" ("timeout" too); and for each entry of the
 *  collections "mount /target" and "environment NAME". */
struct sb_origin {
    char *key;
    char *profile; /* the one in the chain that says it */
    char *where;   /* "config.yaml:12", "built-in strict.yaml:7" */
};

/** Each key once. Zeroed is empty. */
struct sb_origins {
    struct sb_origin *items;
    size_t n;
};

/** Adds one; nothing when the key is there. Errors: SB_EXHAUSTED. */
int sb_origins_add(struct sb_origins *origins, const struct sb_origin *origin, struct sb_err *err);
/** Adds those of @base whose keys are not there yet. */
int sb_origins_inherit(struct sb_origins *origins,
                       const struct sb_origins *base,
                       struct sb_err *err);
/** NULL: nobody says it. @kind  "mount", "environment"; NULL for plain settings. */
const struct sb_origin *
sb_origins_find(const struct sb_origins *origins, const char *kind, struct sb_str key);
void sb_origins_done(struct sb_origins *origins);
