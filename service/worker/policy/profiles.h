#pragma once
/** The profiles in force: the built-in ones and those of the configuration file, resolved. */
#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "service/worker/policy/auth_config.h"
#include "service/worker/policy/problems.h"
#include "service/worker/policy/profile.h"

struct sb_profiles; /* opaque; one thread */

/** The built-in profiles alone. */
int sb_profiles_new(struct sb_profiles **ret_profiles, struct sb_err *err);
void sb_profiles_free(struct sb_profiles *profiles);
void sb_profiles_freep(struct sb_profiles **profiles); /* for SB_CLEANUP */

/** Reads a configuration file: its profiles and those built in.
 *  @path  NULL: the built-in profiles alone.
 *  @problems  may be NULL; filled when the file is wrong.
 *  Errors: SB_INVALID with the first problem; by errno for the file. May block on the disk. */
int sb_profiles_open(const char *path,
                     struct sb_problems *problems,
                     struct sb_profiles **ret_profiles,
                     struct sb_err *err);

/** The same, as the set in force from now on. On failure the set is unchanged. Pointers got before
 *  from the set are invalid after success (a sb_policy stays valid). */
int sb_profiles_load(struct sb_profiles *profiles,
                     const char *path,
                     struct sb_problems *problems,
                     struct sb_err *err);

/** Checks a configuration text without reading any file that it names.
 *  @file_name  for origins and messages.
 *  @ret_profiles  the set it would give, only to look at: filters of files are missing from it.
 *  Errors: SB_INVALID, and then problems has at least one entry; SB_EXHAUSTED. */
int sb_profiles_check(struct sb_str yaml,
                      const char *file_name,
                      struct sb_problems *problems,
                      struct sb_profiles **ret_profiles,
                      struct sb_err *err);

/** Where the configuration is: AISBX_CONFIG_PATH, else $XDG_CONFIG_HOME/aisbx/config.yaml (with
 *  ~/.config for an unset variable), else /etc/aisbx/config.yaml.
 *  @ret_path  for the caller to free; NULL when there is no file. A file that AISBX_CONFIG_PATH
 *  names and that is not there is an error: SB_NOT_FOUND. */
int sb_profiles_find_config(char **ret_path, struct sb_err *err);

/** Sorted by name, without hidden ones. */
size_t sb_profiles_count(const struct sb_profiles *profiles);
const struct sb_profile *sb_profiles_at(const struct sb_profiles *profiles, size_t index);

/** True when the profile comes from the configuration file, not from the program. */
bool sb_profiles_is_configured(const struct sb_profile *profile);

/** @name  empty: the default profile. Errors: SB_NOT_FOUND; the text suggests the nearest name. */
int sb_profiles_get(const struct sb_profiles *profiles,
                    struct sb_str name,
                    const struct sb_profile **ret_profile,
                    struct sb_err *err);

/** The same, for one that is a base for others too: to look at. Errors: as above. */
int sb_profiles_look(const struct sb_profiles *profiles,
                     struct sb_str name,
                     const struct sb_profile **ret_profile,
                     struct sb_err *err);

/** Name of the profile used when a request names none: default_profile of the file, else "strict".
 */
const char *sb_profiles_default(const struct sb_profiles *profiles);

/** The seccomp filter of one of the profiles in the set. Built-in lists are parsed when first asked
 *  for. @ret_filter  borrowed from the set. */
int sb_profiles_filter(const struct sb_profiles *profiles,
                       const struct sb_profile *profile,
                       struct sb_filter **ret_filter,
                       struct sb_err *err);

/** What the configuration says about callers and tenants. Borrowed until the next load. */
const struct sb_auth_config *sb_profiles_auth(const struct sb_profiles *profiles);
