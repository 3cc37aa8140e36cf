#include "service/worker/policy/inherit.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/near.h"
#include "service/worker/policy/network_limits.h"
#include "service/worker/policy/problems.h"

#define BASE_PROFILE "base"

struct sb_config_profile *sb_inherit_find(const struct sb_inherit_layer *layer, struct sb_str name)
{
    for (size_t i = 0; layer != NULL && i < layer->config.n_profiles; i++) {
        if (sb_str_eq(sb_str_from(layer->config.profiles[i].profile->name), name)) {
            return &layer->config.profiles[i];
        }
    }
    return NULL;
}

void sb_inherit_done(struct sb_inherit_layer *layer)
{
    sb_config_done(&layer->config);
    free(layer->is_done);
}

static int inherit_text(char **member, const char *base, struct sb_err *err)
{
    if (*member != NULL || base == NULL) {
        return 0;
    }
    *member = strdup(base);
    return *member == NULL ? sb_err_oom(err) : 0;
}

static int
inherit_network(struct sb_network *network, const struct sb_network *base, struct sb_err *err)
{
    if (network->mode == SB_NETWORK_UNSET) {
        network->mode = base->mode;
    }
    sb_network_limits_inherit(network, base);
    if (!network->has_allow && base->has_allow) {
        network->has_allow = true;
        if (sb_strings_copy(&network->allow, &base->allow, err) < 0) {
            return -1;
        }
    }
    if (!network->has_deny && base->has_deny) {
        network->has_deny = true;
        return sb_strings_copy(&network->deny, &base->deny, err);
    }
    return 0;
}

/* Mounts and environment add to the base's; what the profile says itself wins. */
static int
inherit_collections(struct sb_profile *profile, const struct sb_profile *base, struct sb_err *err)
{
    SB_CLEANUP(sb_mounts_done) struct sb_mounts mounts = {0};
    SB_CLEANUP(sb_pairs_done) struct sb_pairs env = {0};
    if (sb_mounts_merge(&mounts, &base->mounts, err) < 0 ||
        sb_mounts_merge(&mounts, &profile->mounts, err) < 0 ||
        sb_pairs_merge(&env, &base->env, err) < 0 || sb_pairs_merge(&env, &profile->env, err) < 0) {
        return -1;
    }
    struct sb_mounts old_mounts = profile->mounts;
    struct sb_pairs old_env = profile->env;
    profile->mounts = mounts;
    profile->env = env;
    mounts = old_mounts;
    env = old_env;
    return 0;
}

static int
inherit_names(struct sb_profile *profile, const struct sb_profile *base, struct sb_err *err)
{
    int rc = sb_strings_add(&profile->bases, sb_str_from(base->name), err);
    for (size_t i = 0; rc == 0 && i < base->bases.n; i++) {
        rc = sb_strings_add(&profile->bases, sb_str_from(base->bases.items[i]), err);
    }
    return rc < 0 ? -1 : sb_origins_inherit(&profile->origins, &base->origins, err);
}

static int
inherit_from(struct sb_profile *profile, const struct sb_profile *base, struct sb_err *err)
{
    if (profile->driver == SB_DRIVER_UNSET) {
        profile->driver = base->driver;
    }
    if (profile->filesystem == SB_FILESYSTEM_UNSET) {
        profile->filesystem = base->filesystem;
    }
    sb_limits_inherit(&profile->limits, &base->limits);
    if (!profile->has_preload && base->has_preload) {
        profile->has_preload = true;
        if (sb_strings_copy(&profile->preload, &base->preload, err) < 0) {
            return -1;
        }
    }
    if (profile->seccomp == NULL && inherit_text(&profile->seccomp_path, base->seccomp_path, err)) {
        return -1;
    }
    if (inherit_text(&profile->seccomp, base->seccomp, err) < 0 ||
        inherit_network(&profile->network, &base->network, err) < 0) {
        return -1;
    }
    return inherit_collections(profile, base, err) < 0 ||
                   sb_profile_packages_inherit(&profile->packages, &base->packages, err) < 0
               ? -1
               : inherit_names(profile, base, err);
}

/* One that the profile says without a source narrows what it inherits. */
static int narrow_secret(const struct sb_inherit *r,
                         struct sb_profile_secret *own,
                         const struct sb_profile_secret *base)
{
    const char *wider = sb_profile_secret_wider(own, base);
    if (wider != NULL) {
        sb_problems_add(r->problems, own->line, own->column,
                        "secret %s: \"%s\" is not within the hosts it is inherited with", own->name,
                        wider);
    }
    return inherit_text(&own->file, base->file, r->err) < 0 ||
                   inherit_text(&own->env, base->env, r->err) < 0 ||
                   inherit_text(&own->ca_file, base->ca_file, r->err) < 0
               ? -1
               : 0;
}

/* What is inherited reaches no further than the network of who inherits it. */
static int inherit_secret(const struct sb_inherit *r,
                          struct sb_profile *profile,
                          const struct sb_profile_secret *base)
{
    struct sb_profile_secret *own =
        sb_profile_secrets_find(&profile->secrets, sb_str_from(base->name));
    if (own != NULL) {
        bool is_whole = own->is_left_out || own->file != NULL || own->env != NULL;
        return is_whole ? 0 : narrow_secret(r, own, base);
    }
    if (sb_profile_secrets_copy(&profile->secrets, base, r->err) < 0) {
        return -1;
    }
    size_t last = profile->secrets.n - 1;
    if (sb_profile_secret_narrow(&profile->secrets.items[last], &profile->network) == 0) {
        sb_profile_secrets_remove(&profile->secrets, last);
    }
    return 0;
}

static int inherit_secrets(const struct sb_inherit *r,
                           struct sb_profile *profile,
                           const struct sb_profile *base)
{
    for (size_t i = 0; base != NULL && i < base->secrets.n; i++) {
        if (inherit_secret(r, profile, &base->secrets.items[i]) < 0) {
            return -1;
        }
    }
    for (size_t i = profile->secrets.n; i-- > 0;) {
        if (profile->secrets.items[i].is_left_out) {
            sb_profile_secrets_remove(&profile->secrets, i);
        }
    }
    return 0;
}

/* The layer and profile that @name means inside @profile; NULL when there is none. */
static struct sb_config_profile *find_base(const struct sb_inherit *r,
                                           const struct sb_inherit_layer *layer,
                                           const struct sb_profile *profile,
                                           struct sb_str name,
                                           struct sb_inherit_layer **ret_layer)
{
    if (layer != r->builtin && !sb_str_eq(name, sb_str_from(profile->name))) {
        struct sb_config_profile *found = sb_inherit_find(r->configured, name);
        if (found != NULL) {
            *ret_layer = r->configured;
            return found;
        }
    }
    *ret_layer = r->builtin;
    return sb_inherit_find(r->builtin, name);
}

static const char *nearest_name(const struct sb_inherit *r, struct sb_str typed)
{
    const struct sb_inherit_layer *layers[] = {r->configured, r->builtin};
    const char *nearest = NULL;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; layers[i] != NULL && j < layers[i]->config.n_profiles; j++) {
            const char *name = layers[i]->config.profiles[j].profile->name;
            if (sb_near_improves(typed, sb_str_from(name), &best)) {
                nearest = name;
            }
        }
    }
    return nearest;
}

void sb_inherit_no_such(const struct sb_inherit *r,
                        const struct sb_config_place *at,
                        const char *key,
                        const char *name)
{
    const char *nearest = nearest_name(r, sb_str_from(name));
    sb_problems_add(r->problems, at->line, at->column, "%s: there is no profile \"%s\"%s%s%s", key,
                    name, nearest == NULL ? "" : "; did you mean \"",
                    nearest == NULL ? "" : nearest, nearest == NULL ? "" : "\"?");
}

/* What a profile extends: nothing said means "base"; the built-in base itself ends every chain. */
static const char *base_name(const struct sb_inherit *r,
                             const struct sb_inherit_layer *layer,
                             const struct sb_profile *profile)
{
    if (profile->extends != NULL) {
        return profile->extends;
    }
    bool is_root = layer == r->builtin && strcmp(profile->name, BASE_PROFILE) == 0;
    return is_root ? NULL : BASE_PROFILE;
}

static struct sb_config_profile *base_of(const struct sb_inherit *r,
                                         const struct sb_config_profile *at)
{
    return sb_inherit_find(r->configured, sb_str_from(base_name(r, r->configured, at->profile)));
}

/* Names the circle that at is part of, from its first profile in the file on. */
static void inherits_itself(const struct sb_inherit *r, struct sb_config_profile *at)
{
    const struct sb_config_profile *start = at;
    for (struct sb_config_profile *p = base_of(r, at); p != at; p = base_of(r, p)) {
        start = p->at.line < start->at.line ? p : start;
    }
    char chain[256];
    size_t used = (size_t)snprintf(chain, sizeof chain, "\"%s\"", start->profile->name);
    const struct sb_config_profile *p = start;
    do {
        p = base_of(r, p);
        if (used < sizeof chain) {
            used +=
                (size_t)snprintf(chain + used, sizeof chain - used, " -> \"%s\"", p->profile->name);
        }
    } while (p != start);
    sb_problems_add(r->problems, start->at.line, start->at.column, "extends goes in a circle: %s",
                    chain);
}

/* A profile and the layer it is in. */
struct place {
    struct sb_inherit_layer *layer;
    struct sb_config_profile *at;
};

static bool *done_of(struct place p)
{
    return &p.layer->is_done[p.at - p.layer->config.profiles];
}

/* What p extends; at is NULL when it extends nothing, or what is not there, which is a problem. */
static struct place find_parent(const struct sb_inherit *r, struct place p)
{
    struct place parent = {0};
    const char *name = base_name(r, p.layer, p.at->profile);
    if (name == NULL) {
        return parent;
    }
    parent.at = find_base(r, p.layer, p.at->profile, sb_str_from(name), &parent.layer);
    return parent;
}

/* The next profile to fill in so that p can be: the farthest one up its chain that is not done. */
static struct place first_to_do(const struct sb_inherit *r, struct place p)
{
    size_t most = r->builtin->config.n_profiles;
    most += r->configured == NULL ? 0 : r->configured->config.n_profiles;
    for (size_t steps = 0; steps <= most; steps++) {
        struct place parent = find_parent(r, p);
        if (parent.at == NULL || *done_of(parent)) {
            return p;
        }
        p = parent;
    }
    inherits_itself(r, p.at);
    *done_of(p) = true; /* which opens the circle */
    return p;
}

static int fill_in(const struct sb_inherit *r, struct place p)
{
    struct place parent = find_parent(r, p);
    *done_of(p) = true;
    if (parent.at != NULL) {
        return inherit_from(p.at->profile, parent.at->profile, r->err) < 0
                   ? -1
                   : inherit_secrets(r, p.at->profile, parent.at->profile);
    }
    if (p.at->profile->extends != NULL) {
        sb_inherit_no_such(r, &p.at->extends_at, "extends", p.at->profile->extends);
    }
    return inherit_secrets(r, p.at->profile, NULL);
}

int sb_inherit_resolve(const struct sb_inherit *r, struct sb_inherit_layer *layer)
{
    layer->is_done = (bool *)calloc(layer->config.n_profiles + 1, sizeof(bool));
    if (layer->is_done == NULL) {
        return sb_err_oom(r->err);
    }
    for (size_t i = 0; i < layer->config.n_profiles; i++) {
        struct place p = {.layer = layer, .at = &layer->config.profiles[i]};
        while (!*done_of(p)) {
            if (fill_in(r, first_to_do(r, p)) < 0) {
                return -1;
            }
        }
    }
    return 0;
}
