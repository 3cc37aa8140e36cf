#pragma once
/** What a profile says, in words. Texts are cut to fit; nothing here changes anything. */
#include <stddef.h>

#include "base/str.h"

struct sb_err;
struct sb_profile;
struct sb_profiles;

enum { SB_EXPLAIN_TEXT = 640 };

/** One answer. */
struct sb_answer {
    const char *word; /* "allowed", "refused", "depends", "unknown"; "read-write" ... */
    char decided_by[SB_EXPLAIN_TEXT];
    char detail[SB_EXPLAIN_TEXT];
    char allow_with[SB_EXPLAIN_TEXT]; /* YAML */
};

/** May programs make this call? Errors: SB_INVALID: the list of the profile cannot be read. */
int sb_explain_syscall(const struct sb_profiles *profiles,
                       const struct sb_profile *profile,
                       const char *name,
                       struct sb_answer *ret_answer,
                       struct sb_err *err);
/** May they reach this "host:port"? Errors: SB_INVALID: not a destination. */
int sb_explain_host(const struct sb_profile *profile,
                    const char *text,
                    struct sb_answer *ret_answer,
                    struct sb_err *err);
/** What is at this path, without what a request adds? Errors: SB_INVALID: not an absolute path. */
int sb_explain_path(const struct sb_profile *profile,
                    const char *path,
                    struct sb_answer *ret_answer,
                    struct sb_err *err);

/** One setting; all texts are valid during the call of *on_setting only. */
struct sb_setting_told {
    const char *name;
    const char *value;
    const char *profile; /* that says it */
    const char *origin;
    const char *meaning;
};

/** Calls on_setting for each setting of a resolved profile, until it returns -1.
 *  Returns 0, or -1 as on_setting did, with its error. */
int sb_explain_settings(const struct sb_profile *profile,
                        int (*on_setting)(const struct sb_setting_told *setting,
                                          void *user,
                                          struct sb_err *err),
                        void *user,
                        struct sb_err *err);

/** "config.yaml:12 (profile data)": where a setting is said. @kind as sb_origins_find. */
const char *sb_explain_where(
    const struct sb_profile *profile, const char *kind, struct sb_str key, char *out, size_t cap);
