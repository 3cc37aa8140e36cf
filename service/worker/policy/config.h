#pragma once
/** Reads a configuration text against the table of known keys. Inheritance and names of other
 *  profiles are looked at later, by profiles.c. */
#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "service/worker/policy/auth_config.h"
#include "service/worker/policy/profile.h"

struct sb_err;
struct sb_problems;

/** Where something stands in the text; both from 1. */
struct sb_config_place {
    unsigned line;
    unsigned column;
};

struct sb_config_profile {
    struct sb_profile *profile; /* owned; as written, nothing inherited */
    struct sb_config_place at;  /* of its name */
    struct sb_config_place extends_at;
    struct sb_config_place seccomp_at;
};

struct sb_config {
    struct sb_config_profile *profiles;
    size_t n_profiles;
    char *default_profile; /* or NULL */
    struct sb_config_place default_at;
    struct sb_auth_config auth;
};

/** About the text. */
struct sb_config_source {
    const char *file_name; /* for origins: "config.yaml" */
    const char *origin;    /* instead of file and line, e.g. "built-in"; or NULL */
    const char *base_dir;  /* absolute; relative paths in the text start here */
};

/** @problems  filled, at most SB_PROBLEMS_MAX.   @ret_config  zeroed, or of an earlier call that
 *  failed; set only on success; sb_config_done frees what it holds.
 *  Errors: SB_INVALID when there are problems; SB_EXHAUSTED. */
int sb_config_parse(struct sb_str text,
                    const struct sb_config_source *source,
                    struct sb_problems *problems,
                    struct sb_config *ret_config,
                    struct sb_err *err);
void sb_config_done(struct sb_config *config);
