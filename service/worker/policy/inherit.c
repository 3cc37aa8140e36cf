#include "service/worker/policy/inherit.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/near.h"
#include "service/worker/policy/problems.h"

#define BASE_PROFILE "base"

enum { STATE_RAW, STATE_OPEN, STATE_DONE };

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
    free(layer->state);
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
inherit_from(struct sb_profile *profile, const struct sb_profile *base, struct sb_err *err)
{
    if (profile->driver == SB_DRIVER_UNSET) {
        profile->driver = base->driver;
    }
    if (profile->filesystem == SB_FILESYSTEM_UNSET) {
        profile->filesystem = base->filesystem;
    }
    sb_limits_inherit(&profile->limits, &base->limits);
    if (profile->seccomp == NULL && inherit_text(&profile->seccomp_path, base->seccomp_path, err)) {
        return -1;
    }
    if (inherit_text(&profile->seccomp, base->seccomp, err) < 0 ||
        inherit_network(&profile->network, &base->network, err) < 0) {
        return -1;
    }
    return inherit_collections(profile, base, err);
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

/* Names the circle that starts and ends at @start. */
static void inherits_itself(const struct sb_inherit *r, const struct sb_config_profile *start)
{
    char chain[256];
    size_t used = (size_t)snprintf(chain, sizeof chain, "\"%s\"", start->profile->name);
    const struct sb_config_profile *at = start;
    do {
        at = sb_inherit_find(r->configured, sb_str_from(base_name(r, r->configured, at->profile)));
        if (used < sizeof chain) {
            used += (size_t)snprintf(chain + used, sizeof chain - used, " -> \"%s\"",
                                     at->profile->name);
        }
    } while (at != start);
    sb_problems_add(r->problems, start->at.line, start->at.column, "extends goes in a circle: %s",
                    chain);
}

/* Fills in what profile i of layer inherits, its base first. As deep as the chain is long, which
 * the number of profiles bounds. */
static int resolve(const struct sb_inherit *r, struct sb_inherit_layer *layer, size_t i)
{
    struct sb_config_profile *at = &layer->config.profiles[i];
    if (layer->state[i] == STATE_OPEN) {
        inherits_itself(r, at);
        return 0;
    }
    const char *name = base_name(r, layer, at->profile);
    if (layer->state[i] == STATE_DONE || name == NULL) {
        return 0;
    }
    layer->state[i] = STATE_OPEN;
    struct sb_inherit_layer *base_layer = NULL;
    struct sb_config_profile *base =
        find_base(r, layer, at->profile, sb_str_from(name), &base_layer);
    if (base == NULL) {
        sb_inherit_no_such(r, &at->extends_at, "extends", name);
    } else if (resolve(r, base_layer, (size_t)(base - base_layer->config.profiles)) < 0 ||
               inherit_from(at->profile, base->profile, r->err) < 0) {
        return -1;
    }
    layer->state[i] = STATE_DONE;
    return 0;
}

int sb_inherit_resolve(const struct sb_inherit *r, struct sb_inherit_layer *layer)
{
    layer->state = (char *)calloc(layer->config.n_profiles + 1, 1);
    if (layer->state == NULL) {
        return sb_err_oom(r->err);
    }
    for (size_t i = 0; i < layer->config.n_profiles; i++) {
        if (resolve(r, layer, i) < 0) {
            return -1;
        }
    }
    return 0;
}
