#pragma once
/** Packages of a language's registry that a sandbox is to have: names and versions, from whom, and
 *  where they are found inside. What is installed, and how, is service/worker/packages/. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "service/worker/policy/collections.h"

struct sb_buf;
struct sb_err;
struct sb_policy;
struct sb_profile;
struct sb_request;

enum {
    SB_PACKAGES_MAX = 64,       /* of one sandbox */
    SB_PACKAGES_TEXT_MAX = 200, /* bytes of one */
    SB_PACKAGES_HOSTS_MAX = 16,
};

/** In the order of their names in texts and tables. */
enum sb_manager { SB_MANAGER_UNSET, SB_MANAGER_PIP, SB_MANAGER_NPM, SB_MANAGER_END_ };
/** By number; [0] is ""; ends with NULL. */
extern const char *const sb_manager_names[];
/** Where its packages are inside. */
extern const char *const sb_manager_targets[];

/** Said or not, and what. */
enum sb_choice { SB_CHOICE_UNSET, SB_CHOICE_NO, SB_CHOICE_YES };

/** packages.pip, packages.npm of a profile. */
struct sb_registry_source {
    char *url;               /* NULL: not said */
    struct sb_strings hosts; /* rules "host:port" beside that of url */
    bool has_hosts;
    enum sb_choice runs_code; /* of packages, while they are installed */
};

/** packages: of a profile. */
struct sb_profile_packages {
    enum sb_manager manager; /* of names without a prefix */
    struct sb_registry_source sources[SB_MANAGER_END_];
    enum sb_choice keeps; /* what was installed, for the next one */
    uint64_t keep_ms;     /* 0: not said */
    uint64_t timeout_ms;  /* of an install; 0: not said */
};

void sb_profile_packages_done(struct sb_profile_packages *packages);
int sb_profile_packages_inherit(struct sb_profile_packages *packages,
                                const struct sb_profile_packages *base,
                                struct sb_err *err);
/** Appends the section, when it says anything. */
int sb_profile_packages_yaml(const struct sb_profile_packages *packages, struct sb_buf *out);

/** The rule that opens an http(s) URL of a registry: "pypi.org:443".
 *  Errors: SB_INVALID: not such an URL, or with a user, a query or a fragment. */
int sb_packages_url_rule(struct sb_str url, char *ret_rule, size_t size, struct sb_err *err);

/** One of a request. @usual  whose names without a prefix are.
 *  @ret_name  without the prefix; within text.
 *  Errors: SB_INVALID: the text says what is wrong with it. */
int sb_packages_parse(struct sb_str text,
                      enum sb_manager usual,
                      enum sb_manager *ret_manager,
                      struct sb_str *ret_name,
                      struct sb_err *err);

/** What a sandbox gets of one manager. n == 0: nothing. */
struct sb_package_set {
    struct sb_strings names; /* sorted, each once */
    char *url;               /* of the registry */
    struct sb_strings hosts; /* rules, that of url first */
    bool runs_code;
    bool keeps;
    uint64_t keep_ms;
    uint64_t timeout_ms;
};

struct sb_policy_packages {
    struct sb_package_set sets[SB_MANAGER_END_];
};

void sb_policy_packages_done(struct sb_policy_packages *packages);

/** Fills policy->packages and its environment from what was asked for.
 *  Errors: SB_INVALID naming the field; SB_PRECONDITION: the profile does not let the registry be
 *  reached, and the text has the lines that would. */
int sb_policy_packages_make(struct sb_policy *policy,
                            const struct sb_profile *profile,
                            const struct sb_request *request,
                            struct sb_err *err);
