#pragma once
/** The small owned collections that profiles, requests and policies are made of. Zeroed is empty;
 *  copies are deep; all fallible calls fail with SB_EXHAUSTED only, unless they say more. */
#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct sb_err;

/** Strings, owned. */
struct sb_strings {
    char **items;
    size_t n;
};

int sb_strings_add(struct sb_strings *strings, struct sb_str text, struct sb_err *err);
int sb_strings_copy(struct sb_strings *to, const struct sb_strings *from, struct sb_err *err);
void sb_strings_done(struct sb_strings *strings);

/** Names and values, sorted by name, each name once: environments and labels. */
struct sb_pair {
    char *name;
    char *value;
};
struct sb_pairs {
    struct sb_pair *items;
    size_t n;
};

/** Adds, or replaces the value. */
int sb_pairs_set(struct sb_pairs *pairs,
                 struct sb_str name,
                 struct sb_str value,
                 struct sb_err *err);
/** The value, or NULL. */
const char *sb_pairs_get(const struct sb_pairs *pairs, struct sb_str name);
/** Sets all of @from in @to. */
int sb_pairs_merge(struct sb_pairs *to, const struct sb_pairs *from, struct sb_err *err);
void sb_pairs_done(struct sb_pairs *pairs);

/** One host directory or file made visible inside. */
struct sb_mount {
    char *source;      /* absolute host path */
    char *target;      /* absolute, normal path inside */
    bool is_writable;  /* the host's own */
    bool is_overlay;   /* /workspace alone: written to, and the host's stays as it is */
    bool is_requested; /* by the caller, with the caller's rights; else by the profile */
    bool
        is_as_profile; /* /workspace without a mode: writable, or there at all, as the profile is */
};
struct sb_mounts {
    struct sb_mount *items;
    size_t n;
};

/** "ro", "rw", "overlay". Static. */
const char *sb_mount_mode(const struct sb_mount *mount);

/** Adds, or replaces the one with the same target. The strings are copied. */
int sb_mounts_set(struct sb_mounts *mounts, const struct sb_mount *mount, struct sb_err *err);
/** The one with that target, or NULL. */
const struct sb_mount *sb_mounts_find(const struct sb_mounts *mounts, struct sb_str target);
int sb_mounts_merge(struct sb_mounts *to, const struct sb_mounts *from, struct sb_err *err);
void sb_mounts_done(struct sb_mounts *mounts);

/** The rules of a mount target: absolute, no empty, "." or ".." part, at most 4095 bytes, not "/"
 *  nor a system directory nor below one. On failure *err says which (SB_INVALID). */
int sb_mounts_check_target(struct sb_str target, struct sb_err *err);

/** True when one target is the other, or lies below it: the mount point would have to be made in a
 *  directory of the host, so such a pair is refused. */
bool sb_mounts_overlap(struct sb_str a, struct sb_str b);
