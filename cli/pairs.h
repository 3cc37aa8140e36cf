#pragma once
#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

#include "base/str.h"

struct sb_arena;
struct sb_err;

/** KEY=VALUE texts; a key that comes again wins. Zeroed is empty; memory is the arena's. */
struct sb_pairs_item {
    char *key;
    char *value;
};
struct sb_pairs {
    struct sb_pairs_item *items;
    size_t n;
    size_t cap;
};

int sb_pairs_set(struct sb_pairs *pairs,
                 struct sb_arena *arena,
                 struct sb_str key,
                 struct sb_str value,
                 struct sb_err *err);

/** One --env value: "KEY=VALUE", or "KEY", which takes the caller's value and is skipped when there
 *  is none. Errors: SB_INVALID: no key. */
int sb_pairs_add_env(struct sb_pairs *pairs,
                     struct sb_arena *arena,
                     struct sb_str text,
                     struct sb_err *err);

/** The lines of an --env-file: as --env, blank lines and lines that begin with # are skipped;
 *  nothing is unquoted. @name  for messages. Errors: SB_INVALID naming file and line. */
int sb_pairs_add_env_lines(struct sb_pairs *pairs,
                           struct sb_arena *arena,
                           struct sb_str lines,
                           const char *name,
                           struct sb_err *err);

/** One --label value. Errors: SB_INVALID: not KEY=VALUE. */
int sb_pairs_add_label(struct sb_pairs *pairs,
                       struct sb_arena *arena,
                       struct sb_str text,
                       struct sb_err *err);

/** The pairs as the entries of a map field: an array of pairs->n pointers to messages of type
 *  @entry (map<string, string>), to be assigned to the field. NULL with SB_EXHAUSTED. */
void *sb_pairs_entries(const struct sb_pairs *pairs,
                       struct sb_arena *arena,
                       const ProtobufCMessageDescriptor *entry,
                       struct sb_err *err);
