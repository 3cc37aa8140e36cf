#pragma once
/** Reads YAML text into a small tree that remembers where everything stood. */
#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct sb_err;
struct sb_problems;
struct sb_buf;

#define SB_YAML_BYTES_MAX (1u << 20)
#define SB_YAML_DEPTH_MAX 8
#define SB_YAML_NODES_MAX 65536

enum sb_yaml_kind {
    SB_YAML_SCALAR,
    SB_YAML_MAP,
    SB_YAML_LIST,
};

/** Owned by its document. */
struct sb_yaml_node {
    enum sb_yaml_kind kind;
    unsigned line;                    /* from 1 */
    unsigned column;                  /* from 1, in characters */
    bool is_plain;                    /* a scalar without quotes */
    struct sb_str text;               /* scalar: without NUL inside, and NUL-terminated */
    const struct sb_yaml_node *key;   /* when it stands in a map: its key, a scalar */
    const struct sb_yaml_node *first; /* map, list: first child; NULL: empty */
    const struct sb_yaml_node *next;  /* next of the same parent */
};

struct sb_yaml; /* a document */

/** The text is one document at most. Aliases, anchors, tags, keys that are not scalars and keys
 *  said twice are problems.
 *  Errors: SB_INVALID when problems were added, SB_EXHAUSTED. */
int sb_yaml_parse(struct sb_str text,
                  struct sb_problems *problems,
                  struct sb_yaml **ret_doc,
                  struct sb_err *err);
void sb_yaml_free(struct sb_yaml *doc);
void sb_yaml_freep(struct sb_yaml **doc); /* for SB_CLEANUP */

/** NULL: the text held nothing but comments. */
const struct sb_yaml_node *sb_yaml_root(const struct sb_yaml *doc);

/** "a map", "a list", "a value". */
const char *sb_yaml_kind_name(enum sb_yaml_kind kind);

/** True for what stands for "nothing": ~, null, or no text, without quotes. */
bool sb_yaml_is_null(const struct sb_yaml_node *node);

/** Appends text as a double-quoted YAML scalar. */
int sb_yaml_quote(struct sb_buf *out, struct sb_str text, struct sb_err *err);
