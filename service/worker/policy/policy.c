/* Theory of operation. A policy starts as a copy of the profile; each narrow_* function then lets
 * the request lower one part of it, and refuses what would raise it: a caller who asks for more
 * than the profile gives must be told, or it would rely on something that is not there. */
#include "service/worker/policy/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/sha256.h"
#include "service/shared/network.h"
#include "service/worker/policy/explain.h"
#include "service/worker/policy/network_limits.h"
#include "service/worker/policy/network_policy.h"
#include "service/worker/policy/plan.h"
#include "service/worker/policy/profiles.h"
#include "service/worker/policy/request.h"
#include "service/worker/policy/seccomp_json.h"

#define HASH_INPUT_MAX (8U << 20)
#define MOUNTS_MAX     32
#define WORKSPACE      "/workspace"

/* ---- limits ---- */

static int
narrow_limits(struct sb_policy *policy, const struct sb_request *request, struct sb_err *err)
{
    for (size_t i = 0; i < sb_limits_table_n; i++) {
        const struct sb_limits_row *row = &sb_limits_table[i];
        uint64_t asked = sb_limits_get(&request->limits, row);
        uint64_t given = sb_limits_get(&policy->limits, row);
        uint64_t most = given == 0 && row->is_optional ? UINT64_MAX : given;
        if (asked > most) {
            char asked_text[SB_NUM_TEXT_SIZE];
            char most_text[SB_NUM_TEXT_SIZE];
            (void)sb_field_format(&row->field, &request->limits, asked_text, sizeof asked_text);
            (void)sb_field_format(&row->field, &policy->limits, most_text, sizeof most_text);
            return sb_err_set(err, SB_INVALID,
                              "%s.limits.%s: %s is more than the %s that profile \"%s\" gives "
                              "(%.120s); to have it: limits: {%.*s: %s}, in it or in a profile "
                              "that extends it",
                              request->field, row->proto_name, asked_text, most_text,
                              policy->profile, policy->limits_said.items[i],
                              SB_STR_ARG(row->field.name), asked_text);
        }
        if (asked != 0) {
            policy->lowered |= asked < most ? 1U << i : 0;
            sb_limits_put(&policy->limits, row, asked);
        }
    }
    return 0;
}

/* ---- mounts ---- */

/* The workspace a caller sends gives way to one that the profile has; the caller is told. */
static int
keep_profile_workspace(struct sb_policy *policy, const struct sb_mount *mount, struct sb_err *err)
{
    char *text = NULL;
    const struct sb_mount *own = sb_mounts_find(&policy->mounts, SB_STR(WORKSPACE));
    if (asprintf(&text, WORKSPACE " is %s, as profile \"%s\" says; %s is not used", own->source,
                 policy->profile, mount->source) < 0) {
        return sb_err_oom(err);
    }
    int rc = sb_strings_add(&policy->notices, sb_str_from(text), err);
    free(text);
    return rc;
}

static int add_mount(struct sb_policy *policy,
                     const struct sb_mount *mount,
                     const char *field,
                     struct sb_err *err)
{
    if ((mount->is_writable || mount->is_overlay) &&
        policy->filesystem != SB_FILESYSTEM_RESTRICTED) {
        return sb_err_set(err, SB_INVALID,
                          "%s.mode: profile \"%s\" is %s (%.120s); a mount can only be \"ro\"; "
                          "to have it: filesystem: %s, in it or in a profile that extends it",
                          field, policy->profile, sb_filesystem_names[policy->filesystem],
                          policy->filesystem_said, sb_filesystem_names[SB_FILESYSTEM_RESTRICTED]);
    }
    for (size_t i = 0; i < policy->mounts.n; i++) {
        const char *other = policy->mounts.items[i].target;
        if (sb_mounts_overlap(sb_str_from(other), sb_str_from(mount->target))) {
            return sb_err_set(err, SB_INVALID,
                              "%s.target: \"%s\" overlaps with the mount at \"%s\"", field,
                              mount->target, other);
        }
    }
    if (policy->mounts.n == MOUNTS_MAX) {
        return sb_err_set(err, SB_INVALID, "%s: more than %d mounts with those of profile \"%s\"",
                          field, MOUNTS_MAX, policy->profile);
    }
    return sb_mounts_set(&policy->mounts, mount, err);
}

/* Gives a workspace that was sent without a mode the profile's; false: the profile has none. */
static bool follow_profile(const struct sb_policy *policy, struct sb_mount *mount)
{
    if (!mount->is_as_profile) {
        return true;
    }
    mount->is_as_profile = false;
    mount->is_writable = policy->filesystem == SB_FILESYSTEM_RESTRICTED;
    return policy->filesystem != SB_FILESYSTEM_MINIMAL;
}

static int add_mounts(struct sb_policy *policy,
                      const struct sb_profile *profile,
                      const struct sb_request *request,
                      struct sb_err *err)
{
    for (size_t i = 0; !request->is_install && i < profile->mounts.n; i++) {
        if (add_mount(policy, &profile->mounts.items[i], "profile.mounts", err) < 0) {
            return -1;
        }
    }
    bool has_workspace = sb_mounts_find(&policy->mounts, SB_STR(WORKSPACE)) != NULL;
    for (size_t i = 0; i < request->mounts.n; i++) {
        struct sb_mount mount = request->mounts.items[i];
        if (!follow_profile(policy, &mount)) {
            continue;
        }
        char field[sizeof request->field + 32];
        (void)snprintf(field, sizeof field, "%s.mounts[%zu]", request->field, i);
        int rc = 0;
        if (has_workspace && strcmp(mount.target, WORKSPACE) == 0) {
            rc = keep_profile_workspace(policy, &mount, err);
        } else {
            rc = add_mount(policy, &mount, field, err);
        }
        if (rc < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- the hash ---- */

/* Every text is followed by its NUL, so that no two policies have the same bytes. */
static int put(struct sb_buf *out, const char *name, const char *text)
{
    text = text == NULL ? "" : text;
    return sb_buf_append(out, name, strlen(name) + 1) < 0 ||
                   sb_buf_append(out, text, strlen(text) + 1) < 0
               ? -1
               : 0;
}

static int put_number(struct sb_buf *out, const char *name, uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    return put(out, name, text);
}

static int put_strings(struct sb_buf *out, const char *name, const struct sb_strings *strings)
{
    int rc = put_number(out, name, strings->n);
    for (size_t i = 0; rc == 0 && i < strings->n; i++) {
        rc = put(out, name, strings->items[i]);
    }
    return rc;
}

static int put_mounts(struct sb_buf *out, const struct sb_mounts *mounts)
{
    int rc = put_number(out, "mounts", mounts->n);
    for (size_t i = 0; rc == 0 && i < mounts->n; i++) {
        rc = put(out, sb_mount_mode(&mounts->items[i]), mounts->items[i].source);
        rc = rc == 0 ? put(out, "target", mounts->items[i].target) : rc;
    }
    return rc;
}

static int put_env(struct sb_buf *out, const struct sb_pairs *env)
{
    int rc = put_number(out, "env", env->n);
    for (size_t i = 0; rc == 0 && i < env->n; i++) {
        rc = put(out, env->items[i].name, env->items[i].value);
    }
    return rc;
}

static int put_limits(struct sb_buf *out, const struct sb_limits *limits)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sb_limits_table_n; i++) {
        const struct sb_limits_row *row = &sb_limits_table[i];
        rc = put_number(out, row->proto_name, sb_limits_get(limits, row));
    }
    return rc;
}

static int put_network_limits(struct sb_buf *out, const struct sb_network *network)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sb_network_limits_n; i++) {
        const struct sb_field *field = &sb_network_limits[i];
        rc = put_number(out, field->name.ptr, sb_network_limits_get(network, field));
    }
    return rc;
}

/* Not what they are, nor what stands for them, which is another each time. */
static int put_secrets(struct sb_buf *out, const struct sb_profile_secrets *secrets)
{
    int rc = put_number(out, "secrets", secrets->n);
    for (size_t i = 0; rc == 0 && i < secrets->n; i++) {
        const struct sb_profile_secret *secret = &secrets->items[i];
        if (put(out, "secret", secret->name) < 0 || put(out, "file", secret->file) < 0 ||
            put(out, "env", secret->env) < 0 || put(out, "ca", secret->ca_file) < 0 ||
            put_strings(out, "plain", &secret->plain) < 0 ||
            put_strings(out, "tls", &secret->tls) < 0) {
            return -1;
        }
    }
    return rc;
}

static int put_packages(struct sb_buf *out, const struct sb_policy_packages *packages)
{
    int rc = 0;
    for (int i = SB_MANAGER_PIP; rc == 0 && i < SB_MANAGER_END_; i++) {
        const struct sb_package_set *set = &packages->sets[i];
        if (set->names.n > 0) {
            rc = put_strings(out, sb_manager_names[i], &set->names);
            rc = rc == 0 ? put(out, "registry", set->url) : rc;
        }
    }
    return rc;
}

static int make_hash(struct sb_policy *policy, struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf out = SB_BUF_INIT(HASH_INPUT_MAX);
    if (put(&out, "driver", sb_driver_names[policy->driver]) < 0 ||
        put_limits(&out, &policy->limits) < 0 ||
        put(&out, "network", sb_network_names[policy->network.mode]) < 0 ||
        put_strings(&out, "allow", &policy->network.allow) < 0 ||
        put_strings(&out, "deny", &policy->network.deny) < 0 ||
        put_network_limits(&out, &policy->network) < 0 ||
        put(&out, "filesystem", sb_filesystem_names[policy->filesystem]) < 0 ||
        put_mounts(&out, &policy->mounts) < 0 || put_env(&out, &policy->env) < 0 ||
        put_secrets(&out, &policy->secrets) < 0 || put(&out, "seccomp", policy->filter->hash) < 0 ||
        put_number(&out, "require", policy->require) < 0 ||
        put_packages(&out, &policy->packages) < 0) {
        return sb_err_sys(err, errno, "policy hash");
    }
    sb_sha256_hex(sb_buf_str(&out), policy->hash);
    return 0;
}

/* ---- policies ---- */

static int copy_text(char **member, const char *text, struct sb_err *err)
{
    *member = strdup(text);
    return *member == NULL ? sb_err_oom(err) : 0;
}

/* Where each limit and rule was said, for when it decides: the profiles may be read anew until
 * then. */
static int
note_lines(struct sb_policy *policy, const struct sb_profile *profile, struct sb_err *err)
{
    char where[SB_EXPLAIN_TEXT];
    const struct {
        struct sb_str key;
        char **said;
    } plain[] = {
        {SB_STR("allow"), &policy->allow_said},
        {SB_STR("deny"), &policy->deny_said},
        {SB_STR("mode"), &policy->mode_said},
        {SB_STR("filesystem"), &policy->filesystem_said},
    };
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        (void)sb_explain_where(profile, NULL, plain[i].key, where, sizeof where);
        if (copy_text(plain[i].said, where, err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < sb_limits_table_n; i++) {
        (void)sb_explain_where(profile, NULL, sb_limits_table[i].field.name, where, sizeof where);
        if (sb_strings_add(&policy->limits_said, sb_str_from(where), err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < sb_network_limits_n; i++) {
        (void)sb_explain_where(profile, NULL, sb_network_limits[i].name, where, sizeof where);
        if (sb_strings_add(&policy->network_said, sb_str_from(where), err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int fill(struct sb_policy *policy,
                const struct sb_profile *profile,
                const struct sb_request *request,
                struct sb_err *err)
{
    policy->driver = request->driver == SB_DRIVER_UNSET ? profile->driver : request->driver;
    policy->has_weaker_driver = profile->driver == SB_DRIVER_LIMA
                                    ? policy->driver != SB_DRIVER_LIMA
                                    : policy->driver > profile->driver;
    policy->limits = profile->limits;
    policy->most = profile->limits;
    policy->filesystem = profile->filesystem;
    policy->ceiling.mode = profile->network.mode;
    sb_network_limits_inherit(&policy->ceiling, &profile->network);
    policy->ttl_ms = request->ttl_ms;
    policy->idle_ms = request->idle_ms;
    policy->require = request->require;
    policy->learns = request->learns;
    if (copy_text(&policy->profile, profile->name, err) < 0 ||
        copy_text(&policy->hostname, request->hostname, err) < 0 ||
        sb_strings_copy(&policy->ceiling.allow, &profile->network.allow, err) < 0 ||
        sb_strings_copy(&policy->ceiling.deny, &profile->network.deny, err) < 0 ||
        sb_strings_copy(&policy->preload, &profile->preload, err) < 0) {
        return -1;
    }
    return note_lines(policy, profile, err);
}

/* What the caller says wins over the profile, and both over what the network needs. */
static int fill_env(struct sb_policy *policy,
                    const struct sb_profile *profile,
                    const struct sb_request *request,
                    struct sb_err *err)
{
    return sb_network_policy_env(policy, &policy->env, err) < 0 ||
                   sb_pairs_merge(&policy->env, &profile->env, err) < 0
               ? -1
               : sb_pairs_merge(&policy->env, &request->env, err);
}

static int
narrow_network(struct sb_policy *policy, const struct sb_request *request, struct sb_err *err)
{
    char field[sizeof request->field + 16];
    (void)snprintf(field, sizeof field, "%s.network", request->field);
    return sb_network_policy_narrow(policy, &request->network, field, &policy->network, err);
}

static bool is_left_out(const struct sb_request *request, const char *name)
{
    for (size_t i = 0; i < request->without_secrets.n; i++) {
        if (strcmp(request->without_secrets.items[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static int check_left_out(const struct sb_policy *policy,
                          const struct sb_profile *profile,
                          const struct sb_request *request,
                          struct sb_err *err)
{
    for (size_t i = 0; i < request->without_secrets.n; i++) {
        const char *name = request->without_secrets.items[i];
        if (sb_profile_secrets_find(&profile->secrets, sb_str_from(name)) == NULL) {
            return sb_err_set(err, SB_INVALID,
                              "%s.without_secrets[%zu]: profile \"%s\" has no "
                              "secret \"%.63s\"",
                              request->field, i, policy->profile, name);
        }
    }
    return 0;
}

/* A request takes secrets out, and a variable that it sets itself stands instead of one. */
static int add_secrets(struct sb_policy *policy,
                       const struct sb_profile *profile,
                       const struct sb_request *request,
                       struct sb_err *err)
{
    char where[SB_EXPLAIN_TEXT];
    if (check_left_out(policy, profile, request, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < profile->secrets.n; i++) {
        struct sb_str name = sb_str_from(profile->secrets.items[i].name);
        if (policy->network.mode != SB_NETWORK_LIMITED || is_left_out(request, name.ptr) ||
            sb_pairs_get(&request->env, name) != NULL) {
            continue;
        }
        if (sb_profile_secrets_copy(&policy->secrets, &profile->secrets.items[i], err) < 0) {
            return -1;
        }
        struct sb_profile_secret *made = &policy->secrets.items[policy->secrets.n - 1];
        (void)sb_explain_where(profile, "secret", name, where, sizeof where);
        if (sb_profile_secret_make_placeholder(made, err) < 0 ||
            copy_text(&made->said, where, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int check_secrets(const struct sb_policy *policy, struct sb_err *err)
{
    for (size_t i = 0; i < policy->secrets.n; i++) {
        const struct sb_profile_secret *secret = &policy->secrets.items[i];
        if (secret->value == NULL || secret->failure != NULL) {
            return sb_err_set(err, SB_PRECONDITION, "secret %s of profile \"%s\": %s (%s)",
                              secret->name, policy->profile,
                              secret->failure == NULL ? "it was not read" : secret->failure,
                              secret->said);
        }
    }
    return 0;
}

static int make(const struct sb_profiles *profiles,
                const struct sb_profile *profile,
                const struct sb_request *request,
                struct sb_policy **ret_policy,
                struct sb_err *err)
{
    SB_CLEANUP(sb_policy_freep)
    struct sb_policy *policy = (struct sb_policy *)calloc(1, sizeof *policy);
    if (policy == NULL) {
        return sb_err_oom(err);
    }
    struct sb_filter *filter = NULL;
    if (sb_profiles_filter(profiles, profile, &filter, err) < 0) {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): its cleanup frees what it holds
        return -1;
    }
    policy->filter = sb_filter_ref(filter);
    if (fill(policy, profile, request, err) < 0 || narrow_limits(policy, request, err) < 0 ||
        narrow_network(policy, request, err) < 0 ||
        add_secrets(policy, profile, request, err) < 0 ||
        fill_env(policy, profile, request, err) < 0 ||
        add_mounts(policy, profile, request, err) < 0 ||
        sb_policy_packages_make(policy, profile, request, err) < 0 || make_hash(policy, err) < 0) {
        return -1;
    }
    *ret_policy = SB_STEAL_PTR(policy);
    return 0;
}

int sb_policy_make(const struct sb_profiles *profiles,
                   const struct sb_request *request,
                   struct sb_policy **ret_policy,
                   struct sb_err *err)
{
    const struct sb_profile *profile = NULL;
    if (sb_profiles_get(profiles, sb_str_from(request->profile), &profile, err) < 0) {
        return sb_err_wrap(err, "%s.profile", request->field);
    }
    enum sb_driver driver = request->driver == SB_DRIVER_UNSET ? profile->driver : request->driver;
    if (driver == SB_DRIVER_LIMA) {
        return sb_err_set(err, SB_UNIMPLEMENTED,
                          "driver lima: a worker is inside of that virtual machine, not before it; "
                          "aisbx run --driver lima starts it");
    }
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = NULL;
    if (make(profiles, profile, request, &policy, err) < 0 || policy == NULL ||
        check_secrets(policy, err) < 0 ||
        sb_authority_make(&policy->secrets, policy->ttl_ms, &policy->authority, err) < 0) {
        return -1;
    }
    *ret_policy = SB_STEAL_PTR(policy);
    return 0;
}

int sb_policy_set_network(struct sb_policy *policy,
                          const struct sb_network *asked,
                          struct sb_err *err)
{
    SB_CLEANUP(sb_network_policy_done) struct sb_network made = {.mode = SB_NETWORK_UNSET};
    if (sb_network_policy_narrow(policy, asked, "network", &made, err) < 0) {
        return -1;
    }
    struct sb_network before = policy->network;
    policy->network = made;
    made = before; /* goes, unless the hash cannot be made */
    if (make_hash(policy, err) < 0) {
        made = policy->network;
        policy->network = before;
        return -1;
    }
    return 0;
}

int sb_policy_profile_hash(const struct sb_profiles *profiles,
                           const struct sb_profile *profile,
                           char ret_hash[SB_POLICY_HASH_SIZE],
                           struct sb_err *err)
{
    char hostname[] = SB_REQUEST_HOSTNAME;
    struct sb_request request = {.hostname = hostname};
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = NULL;
    if (make(profiles, profile, &request, &policy, err) < 0 || policy == NULL) {
        return -1;
    }
    memcpy(ret_hash, policy->hash, sizeof policy->hash);
    return 0;
}

void sb_policy_free(struct sb_policy *policy)
{
    if (policy == NULL) {
        return;
    }
    free(policy->profile);
    sb_network_policy_done(&policy->network);
    sb_network_policy_done(&policy->ceiling);
    sb_mounts_done(&policy->mounts);
    sb_pairs_done(&policy->env);
    sb_profile_secrets_done(&policy->secrets);
    sb_policy_packages_done(&policy->packages);
    sb_strings_done(&policy->preload);
    sb_authority_done(&policy->authority);
    sb_filter_unref(policy->filter);
    free(policy->hostname);
    sb_strings_done(&policy->notices);
    sb_strings_done(&policy->limits_said);
    sb_strings_done(&policy->network_said);
    free(policy->allow_said);
    free(policy->deny_said);
    free(policy->mode_said);
    free(policy->filesystem_said);
    free(policy);
}

void sb_policy_freep(struct sb_policy **policy)
{
    sb_policy_free(*policy);
}

const char *sb_policy_cwd(const struct sb_policy *policy)
{
    bool has_workspace = policy->filesystem != SB_FILESYSTEM_MINIMAL ||
                         sb_mounts_find(&policy->mounts, SB_STR(WORKSPACE)) != NULL;
    return has_workspace ? WORKSPACE : "/";
}

bool sb_policy_shares_workspace(const struct sb_policy *policy)
{
    const struct sb_mount *mount = sb_mounts_find(&policy->mounts, SB_STR(WORKSPACE));
    return mount != NULL && !mount->is_overlay;
}

bool sb_policy_workspace_read_only(const struct sb_policy *policy)
{
    const struct sb_mount *mount = sb_mounts_find(&policy->mounts, SB_STR(WORKSPACE));
    return policy->filesystem != SB_FILESYSTEM_RESTRICTED ||
           (mount != NULL && !mount->is_writable && !mount->is_overlay);
}

static bool kills(Spawn__V1__Action action)
{
    return action == SPAWN__V1__ACTION__ACTION_KILL_PROCESS ||
           action == SPAWN__V1__ACTION__ACTION_KILL_THREAD;
}

const char *sb_policy_kill_list(const struct sb_policy *policy)
{
    const Spawn__V1__LoadFilter *list = policy->filter->message;
    bool does = kills(list->default_action);
    for (size_t i = 0; i < list->n_rules && !does; i++) {
        does = kills(list->rules[i]->action);
    }
    return does ? list->name : NULL;
}

const char *sb_policy_unbounded(const struct sb_policy *policy)
{
    for (size_t i = 0; i < policy->mounts.n; i++) {
        const struct sb_mount *mount = &policy->mounts.items[i];
        if (mount->is_writable && policy->filesystem == SB_FILESYSTEM_RESTRICTED) {
            return mount->target;
        }
    }
    return NULL;
}
