#pragma once
/** Fills in what profiles inherit.
 *
 *  Theory of operation. There are two layers: the profiles that are built in, which inherit from
 *  each other alone, so that a configuration file cannot change what a name it does not define
 *  means; and those of the configuration file, which find their base among themselves first. One
 *  that extends its own name means the built-in of that name. One that says nothing extends "base".
 */
#include <stdbool.h>

#include "base/str.h"
#include "service/worker/policy/config.h"

struct sb_err;
struct sb_problems;

struct sb_inherit_layer {
    struct sb_config config; /* owned */
    bool *is_done;           /* owned; one per profile */
};

struct sb_inherit {
    struct sb_inherit_layer *builtin;
    struct sb_inherit_layer *configured; /* NULL while the built-in ones are resolved */
    struct sb_problems *problems;
    struct sb_err *err;
};

/** The profile of that name in the layer (which may be NULL), or NULL. */
struct sb_config_profile *sb_inherit_find(const struct sb_inherit_layer *layer, struct sb_str name);

/** Resolves all profiles of the layer; names that are not there and circles become problems.
 *  Returns -1 with *r->err only when memory is out. */
int sb_inherit_resolve(const struct sb_inherit *r, struct sb_inherit_layer *layer);

/** Adds the problem that key names a profile that is not there. */
void sb_inherit_no_such(const struct sb_inherit *r,
                        const struct sb_config_place *at,
                        const char *key,
                        const char *name);

void sb_inherit_done(struct sb_inherit_layer *layer);
