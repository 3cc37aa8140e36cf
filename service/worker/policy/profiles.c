/* Theory of operation. A set is made in one go and then only replaced as a whole, so a bad file
 * never leaves half of itself behind: parse (config.c), resolve inheritance, read the seccomp
 * files, swap. Built-in profiles inherit from built-in ones alone, so that a configuration file
 * cannot change what a name it does not define means. A configured profile finds its base among the
 * configured ones first; one that extends its own name means the built-in. A profile that extends
 * nothing extends "base". */
#include "service/worker/policy/profiles.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/near.h"
#include "service/worker/policy/builtin.h"
#include "service/worker/policy/config.h"
#include "service/worker/policy/seccomp_json.h"
#include "service/worker/policy/yaml.h"

#define BASE_PROFILE    "base"
#define DEFAULT_PROFILE "strict"
#define BUILTIN_ORIGIN  "built-in"
#define SYSTEM_CONFIG   "/etc/aisbx/config.yaml"

/* What one file gave; while it is resolved. */
struct layer {
    struct sb_config config;
    char *state; /* per profile */
};
enum { STATE_RAW, STATE_OPEN, STATE_DONE };

struct sb_profiles {
    struct sb_profile **items; /* those that are not hidden come first, each part sorted */
    size_t n;
    size_t n_listed;
    char *default_profile;
};

struct resolver {
    struct layer *builtin;
    struct layer *configured; /* NULL while the built-in ones are resolved */
    struct sb_problems *problems;
    struct sb_err *err;
};

/* ---- inheritance ---- */

static struct sb_config_profile *find_in(const struct layer *layer, struct sb_str name)
{
    for (size_t i = 0; layer != NULL && i < layer->config.n_profiles; i++) {
        if (sb_str_eq(sb_str_from(layer->config.profiles[i].profile->name), name)) {
            return &layer->config.profiles[i];
        }
    }
    return NULL;
}

static void done_layer(struct layer *layer)
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
static struct sb_config_profile *find_base(const struct resolver *r,
                                           const struct layer *layer,
                                           const struct sb_profile *profile,
                                           struct sb_str name,
                                           struct layer **ret_layer)
{
    if (layer != r->builtin && !sb_str_eq(name, sb_str_from(profile->name))) {
        struct sb_config_profile *found = find_in(r->configured, name);
        if (found != NULL) {
            *ret_layer = r->configured;
            return found;
        }
    }
    *ret_layer = r->builtin;
    return find_in(r->builtin, name);
}

static const char *nearest_name(const struct resolver *r, struct sb_str typed)
{
    const struct layer *layers[] = {r->configured, r->builtin};
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

static void no_such_profile(const struct resolver *r,
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
static const char *
base_name(const struct resolver *r, const struct layer *layer, const struct sb_profile *profile)
{
    if (profile->extends != NULL) {
        return profile->extends;
    }
    bool is_root = layer == r->builtin && strcmp(profile->name, BASE_PROFILE) == 0;
    return is_root ? NULL : BASE_PROFILE;
}

/* Names the circle that starts and ends at @start. */
static void inherits_itself(const struct resolver *r, const struct sb_config_profile *start)
{
    char chain[256];
    size_t used = (size_t)snprintf(chain, sizeof chain, "\"%s\"", start->profile->name);
    const struct sb_config_profile *at = start;
    do {
        at = find_in(r->configured, sb_str_from(base_name(r, r->configured, at->profile)));
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
static int resolve(const struct resolver *r, struct layer *layer, size_t i)
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
    struct layer *base_layer = NULL;
    struct sb_config_profile *base =
        find_base(r, layer, at->profile, sb_str_from(name), &base_layer);
    if (base == NULL) {
        no_such_profile(r, &at->extends_at, "extends", name);
    } else if (resolve(r, base_layer, (size_t)(base - base_layer->config.profiles)) < 0 ||
               inherit_from(at->profile, base->profile, r->err) < 0) {
        return -1;
    }
    layer->state[i] = STATE_DONE;
    return 0;
}

static int resolve_layer(const struct resolver *r, struct layer *layer)
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

/* ---- filters ---- */

static int load_filter(struct sb_profile *profile, struct sb_err *err)
{
    if (profile->seccomp_path == NULL) {
        return sb_seccomp_json_parse(profile->seccomp,
                                     sb_builtin_seccomp(sb_str_from(profile->seccomp)),
                                     &profile->filter, err);
    }
    SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT(SB_SECCOMP_JSON_MAX);
    const char *path = profile->seccomp_path;
    if (sb_fd_read_file(AT_FDCWD, path, SB_SECCOMP_JSON_MAX, &text, err) < 0) {
        return -1;
    }
    if (sb_seccomp_json_parse(path, sb_buf_str(&text), &profile->filter, err) < 0) {
        return sb_err_wrap(err, "%s", path);
    }
    return 0;
}

/* A file that cannot be used is a problem of the configuration, and told with the others. */
static int load_filters(const struct resolver *r, const struct layer *layer)
{
    for (size_t i = 0; i < layer->config.n_profiles; i++) {
        const struct sb_config_profile *at = &layer->config.profiles[i];
        if (at->profile->seccomp_path == NULL || at->profile->filter != NULL) {
            continue;
        }
        if (load_filter(at->profile, r->err) == 0) {
            continue;
        }
        if (r->err->code == SB_EXHAUSTED && r->err->sys == ENOMEM) {
            return -1;
        }
        const struct sb_config_place *place = at->seccomp_at.line > 0 ? &at->seccomp_at : &at->at;
        sb_problems_add(r->problems, place->line, place->column, "seccomp: %s", r->err->text);
    }
    return 0;
}

/* ---- sets ---- */

static int by_name(const void *a, const void *b)
{
    const struct sb_profile *x = *(struct sb_profile *const *)a;
    const struct sb_profile *y = *(struct sb_profile *const *)b;
    return x->is_hidden != y->is_hidden ? x->is_hidden - y->is_hidden : strcmp(x->name, y->name);
}

/* Moves the profiles of a layer into the set, but for those that it has already. */
static void take_layer(struct sb_profiles *set, struct layer *layer, const struct layer *before)
{
    for (size_t i = 0; i < layer->config.n_profiles; i++) {
        struct sb_config_profile *at = &layer->config.profiles[i];
        if (find_in(before, sb_str_from(at->profile->name)) == NULL) {
            set->items[set->n++] = SB_STEAL_PTR(at->profile);
        }
    }
}

static int append_config(struct sb_config *all, struct sb_config *more, struct sb_err *err)
{
    size_t n = all->n_profiles + more->n_profiles;
    struct sb_config_profile *mem =
        (struct sb_config_profile *)reallocarray(all->profiles, n + 1, sizeof *mem);
    if (mem == NULL) {
        return sb_err_oom(err);
    }
    all->profiles = mem;
    for (size_t i = 0; i < more->n_profiles; i++) {
        all->profiles[all->n_profiles++] = more->profiles[i];
    }
    more->n_profiles = 0;
    return 0;
}

static int read_builtin(struct layer *layer, struct sb_err *err)
{
    size_t cursor = 0;
    struct sb_config_source source = {.origin = BUILTIN_ORIGIN, .base_dir = "/"};
    struct sb_str text;
    while (sb_builtin_next_yaml(&cursor, &source.file_name, &text)) {
        struct sb_problems problems = {0};
        SB_CLEANUP(sb_config_done) struct sb_config config = {0};
        if (sb_config_parse(text, &source, &problems, &config, err) < 0 ||
            append_config(&layer->config, &config, err) < 0) {
            return -1;
        }
    }
    struct sb_problems problems = {0};
    struct resolver r = {.builtin = layer, .problems = &problems, .err = err};
    if (resolve_layer(&r, layer) < 0) {
        return -1;
    }
    return problems.n > 0 ? sb_problems_err(&problems, BUILTIN_ORIGIN, err) : 0;
}

static int set_default(struct sb_profiles *set, const struct resolver *r)
{
    const struct sb_config *config = r->configured == NULL ? NULL : &r->configured->config;
    const char *name = DEFAULT_PROFILE;
    if (config != NULL && config->default_profile != NULL) {
        name = config->default_profile;
        if (find_in(r->configured, sb_str_from(name)) == NULL &&
            find_in(r->builtin, sb_str_from(name)) == NULL) {
            no_such_profile(r, &config->default_at, "default_profile", name);
        }
    }
    set->default_profile = strdup(name);
    return set->default_profile == NULL ? sb_err_oom(r->err) : 0;
}

static int fill_set(struct sb_profiles *set, struct resolver *r)
{
    size_t n = r->builtin->config.n_profiles;
    n += r->configured == NULL ? 0 : r->configured->config.n_profiles;
    set->items = (struct sb_profile **)calloc(n + 1, sizeof set->items[0]);
    if (set->items == NULL) {
        return sb_err_oom(r->err);
    }
    take_layer(set, r->builtin, r->configured);
    if (r->configured != NULL) {
        take_layer(set, r->configured, NULL);
    }
    qsort(set->items, set->n, sizeof(struct sb_profile *), by_name);
    while (set->n_listed < set->n && !set->items[set->n_listed]->is_hidden) {
        set->n_listed++;
    }
    return 0;
}

enum files {
    FILES_READ,
    FILES_LEAVE,
};

/* @source  NULL: the built-in profiles alone */
static int make_set(struct sb_str yaml,
                    const struct sb_config_source *source,
                    enum files files,
                    struct sb_problems *problems,
                    struct sb_profiles **ret_set,
                    struct sb_err *err)
{
    SB_CLEANUP(done_layer) struct layer builtin = {0};
    SB_CLEANUP(done_layer) struct layer configured = {0};
    SB_CLEANUP(sb_profiles_freep)
    struct sb_profiles *set = (struct sb_profiles *)calloc(1, sizeof *set);
    if (set == NULL) {
        return sb_err_oom(err);
    }
    struct resolver r = {.builtin = &builtin, .problems = problems, .err = err};
    if (read_builtin(&builtin, err) < 0) {
        return -1;
    }
    if (source != NULL) {
        r.configured = &configured;
        if (sb_config_parse(yaml, source, problems, &configured.config, err) < 0 ||
            resolve_layer(&r, &configured) < 0 ||
            (files == FILES_READ && load_filters(&r, &configured) < 0)) {
            return -1;
        }
    }
    if (set_default(set, &r) < 0 || fill_set(set, &r) < 0) {
        return -1;
    }
    if (problems->n > 0) {
        return sb_problems_err(problems, source == NULL ? BUILTIN_ORIGIN : source->file_name, err);
    }
    *ret_set = SB_STEAL_PTR(set);
    return 0;
}

int sb_profiles_new(struct sb_profiles **ret_profiles, struct sb_err *err)
{
    struct sb_problems problems = {0};
    return make_set(SB_STR(""), NULL, FILES_LEAVE, &problems, ret_profiles, err);
}

static void done_set(struct sb_profiles *set)
{
    for (size_t i = 0; i < set->n; i++) {
        sb_profile_free(set->items[i]);
    }
    free(set->items);
    free(set->default_profile);
}

void sb_profiles_free(struct sb_profiles *profiles)
{
    if (profiles != NULL) {
        done_set(profiles);
        free(profiles);
    }
}

void sb_profiles_freep(struct sb_profiles **profiles)
{
    sb_profiles_free(*profiles);
}

/* Puts what fresh holds into set, and frees what set held. */
static void replace_set(struct sb_profiles *set, struct sb_profiles *fresh)
{
    done_set(set);
    *set = *fresh;
    free(fresh);
}

/* The directory of the file, links resolved, so that ".." in its paths means what it seems to. */
static int dir_of(const char *path, char **ret_dir, struct sb_err *err)
{
    SB_CLEANUP(sb_freep) char *real = realpath(path, NULL);
    if (real == NULL) {
        return sb_err_sys(err, errno, "%s", path);
    }
    *ret_dir = strdup(dirname(real));
    return *ret_dir == NULL ? sb_err_oom(err) : 0;
}

static int load_file(const char *path,
                     struct sb_problems *problems,
                     struct sb_profiles **ret_set,
                     struct sb_err *err)
{
    SB_CLEANUP(sb_buf_done) struct sb_buf text = SB_BUF_INIT(SB_YAML_BYTES_MAX);
    SB_CLEANUP(sb_freep) char *dir = NULL;
    if (sb_fd_read_file(AT_FDCWD, path, SB_YAML_BYTES_MAX, &text, err) < 0 ||
        dir_of(path, &dir, err) < 0) {
        return -1;
    }
    struct sb_config_source source = {.file_name = path, .base_dir = dir};
    return make_set(sb_buf_str(&text), &source, FILES_READ, problems, ret_set, err);
}

int sb_profiles_load(struct sb_profiles *profiles,
                     const char *path,
                     struct sb_problems *problems,
                     struct sb_err *err)
{
    struct sb_problems local = {0};
    struct sb_profiles *fresh = NULL;
    problems = problems == NULL ? &local : problems;
    int rc = path == NULL ? sb_profiles_new(&fresh, err) : load_file(path, problems, &fresh, err);
    if (rc < 0) {
        return -1;
    }
    replace_set(profiles, fresh);
    return 0;
}

int sb_profiles_check(struct sb_str yaml,
                      const char *file_name,
                      struct sb_problems *problems,
                      struct sb_profiles **ret_profiles,
                      struct sb_err *err)
{
    struct sb_config_source source = {.file_name = file_name, .base_dir = "/"};
    return make_set(yaml, &source, FILES_LEAVE, problems, ret_profiles, err);
}

static bool is_there(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

int sb_profiles_find_config(char **ret_path, struct sb_err *err)
{
    const char *named = getenv("AISBX_CONFIG_PATH");
    const char *xdg = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    char *path = NULL;
    int rc = 0;
    if (named != NULL && named[0] != '\0') {
        if (!is_there(named)) {
            return sb_err_sys(err, errno, "AISBX_CONFIG_PATH: %s", named);
        }
        rc = asprintf(&path, "%s", named);
    } else if (xdg != NULL && xdg[0] == '/') {
        rc = asprintf(&path, "%s/aisbx/config.yaml", xdg);
    } else if (home != NULL && home[0] == '/') {
        rc = asprintf(&path, "%s/.config/aisbx/config.yaml", home);
    }
    if (rc < 0) {
        return sb_err_oom(err);
    }
    if (path == NULL || !is_there(path)) {
        free(path);
        path = is_there(SYSTEM_CONFIG) ? strdup(SYSTEM_CONFIG) : NULL;
    }
    *ret_path = path;
    return 0;
}

/* ---- look-up ---- */

size_t sb_profiles_count(const struct sb_profiles *profiles)
{
    return profiles->n_listed;
}

const struct sb_profile *sb_profiles_at(const struct sb_profiles *profiles, size_t index)
{
    return profiles->items[index];
}

bool sb_profiles_is_configured(const struct sb_profile *profile)
{
    return strcmp(profile->origin, BUILTIN_ORIGIN) != 0;
}

int sb_profiles_get(const struct sb_profiles *profiles,
                    struct sb_str name,
                    const struct sb_profile **ret_profile,
                    struct sb_err *err)
{
    const char *nearest = NULL;
    size_t best = SIZE_MAX;
    if (name.len == 0) {
        name = sb_str_from(profiles->default_profile);
    }
    for (size_t i = 0; i < profiles->n; i++) {
        const struct sb_profile *profile = profiles->items[i];
        struct sb_str known = sb_str_from(profile->name);
        if (!profile->is_hidden && sb_str_eq(known, name)) {
            *ret_profile = profile;
            return 0;
        }
        if (sb_str_eq(known, name)) {
            return sb_err_set(err, SB_NOT_FOUND,
                              "profile \"%s\" is a base for others, and not for use by itself",
                              profile->name);
        }
        if (!profile->is_hidden && sb_near_improves(name, known, &best)) {
            nearest = profile->name;
        }
    }
    return sb_err_set(err, SB_NOT_FOUND, "there is no profile \"%.*s\"%s%s%s",
                      SB_STR_ARG(sb_str_head(name, 64)), nearest == NULL ? "" : "; did you mean \"",
                      nearest == NULL ? "" : nearest, nearest == NULL ? "" : "\"?");
}

const char *sb_profiles_default(const struct sb_profiles *profiles)
{
    return profiles->default_profile;
}

int sb_profiles_filter(const struct sb_profiles *profiles,
                       const struct sb_profile *profile,
                       struct sb_filter **ret_filter,
                       struct sb_err *err)
{
    for (size_t i = 0; i < profiles->n; i++) {
        struct sb_profile *own = profiles->items[i];
        if (own != profile) {
            continue;
        }
        if (own->filter == NULL && load_filter(own, err) < 0) {
            return sb_err_wrap(err, "seccomp list of profile \"%s\"", own->name);
        }
        *ret_filter = own->filter;
        return 0;
    }
    return sb_err_set(err, SB_INTERNAL, "profile \"%s\" is not of this set", profile->name);
}
