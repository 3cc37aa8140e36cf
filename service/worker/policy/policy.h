#pragma once
/** What is in force for one sandbox: profile AND request. A request can only narrow. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/worker/policy/authority.h"
#include "service/worker/policy/collections.h"
#include "service/worker/policy/limits.h"
#include "service/worker/policy/packages.h"
#include "service/worker/policy/profile.h"

struct sb_err;
struct sb_filter;
struct sb_profiles;
struct sb_request;

#define SB_POLICY_HASH_SIZE 65 /* bytes, with the NUL */

/** Outlives a reload of the profiles. Only its network changes once it is made. */
struct sb_policy {
    char *profile; /* name */
    enum sb_driver driver;
    bool has_weaker_driver;         /* than the profile's, as the request asks */
    struct sb_limits limits;        /* every member set */
    struct sb_limits most;          /* what the profile gives: limits stay within it */
    uint32_t lowered;               /* bit n: row n of sb_limits_table is the request's */
    struct sb_strings limits_said;  /* by row: where in the profile, as sb_explain_where */
    struct sb_network network;      /* in force */
    struct sb_network ceiling;      /* what the profile gives: network stays within it */
    struct sb_strings network_said; /* by row of sb_network_limits: where, as sb_explain_where */
    char *allow_said;               /* where in the profile, as limits_said */
    char *deny_said;
    char *mode_said; /* of the network */
    char *filesystem_said;
    enum sb_filesystem filesystem;
    struct sb_mounts mounts;           /* of the profile, then of the request */
    struct sb_pairs env;               /* everything a command gets, but TERM */
    struct sb_profile_secrets secrets; /* with placeholders; none without a network */
    struct sb_authority authority;     /* for those within TLS */
    struct sb_policy_packages packages;
    struct sb_strings preload; /* of the profile */
    struct sb_filter *filter;  /* reference */
    char *hostname;
    bool learns;                    /* notes the calls that are allowed */
    uint64_t ttl_ms;                /* 0: never */
    uint64_t idle_ms;               /* 0: never */
    uint64_t require;               /* bit n: aisbx.v1.Control n */
    struct sb_strings notices;      /* things the caller should know */
    char hash[SB_POLICY_HASH_SIZE]; /* SHA-256 of all that binds the program; not of labels, ttl */
};

/** Errors: SB_INVALID when the request asks for more than the profile gives (the text names the
 *  profile and its value); SB_NOT_FOUND for the profile; SB_UNIMPLEMENTED for a driver. */
int sb_policy_make(const struct sb_profiles *profiles,
                   const struct sb_request *request,
                   struct sb_policy **ret_policy,
                   struct sb_err *err);
/** Replaces the network by what the profile gives AND @asked, and makes the hash anew.
 *  Errors: SB_INVALID naming the field ("network.allow[0]") when more is asked for than the profile
 *  gives; nothing has changed then. */
int sb_policy_set_network(struct sb_policy *policy,
                          const struct sb_network *asked,
                          struct sb_err *err);
void sb_policy_free(struct sb_policy *policy);
void sb_policy_freep(struct sb_policy **policy); /* for SB_CLEANUP */

/** "K=V" strings for one command, ending with NULL: the policy's environment, what the exec
 *  adds (wins), and what nobody else has set, such as TERM of a terminal.
 *  @more, @last  may be NULL.
 *  @ret_n  without the NULL; may be NULL.
 *  Returns one heap block for free(); NULL when memory is out. */
char **sb_policy_environ(const struct sb_policy *policy,
                         const struct sb_pairs *more,
                         const struct sb_pairs *last,
                         size_t *ret_n);

/** Where commands start: "/workspace", or "/" when there is none. */
const char *sb_policy_cwd(const struct sb_policy *policy);

/** The name of its seccomp list, when a rule of that, or its default, kills; else NULL. */
const char *sb_policy_kill_list(const struct sb_policy *policy);

/** Where the first directory of the host is that programs can fill without a bound; NULL: none. */
const char *sb_policy_unbounded(const struct sb_policy *policy);

/** True when /workspace is the host's own: what is written there, if it can be, stays there. */
bool sb_policy_shares_workspace(const struct sb_policy *policy);
/** True when /workspace cannot be written. */
bool sb_policy_workspace_read_only(const struct sb_policy *policy);

/** Hash of the profile as it stands, for Profile.policy_hash: that of an empty request. */
int sb_policy_profile_hash(const struct sb_profiles *profiles,
                           const struct sb_profile *profile,
                           char ret_hash[SB_POLICY_HASH_SIZE],
                           struct sb_err *err);
