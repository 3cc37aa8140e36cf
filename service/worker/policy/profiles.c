/* Theory of operation. A set is made in one go and then only replaced as a whole, so a bad file
 * never leaves half of itself behind: parse (config.c), resolve inheritance (inherit.c), check what
 * only shows when it is resolved, read the seccomp files, swap. */
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
#include "service/worker/policy/inherit.h"
#include "service/worker/policy/seccomp_json.h"
#include "service/worker/policy/yaml.h"

#define DEFAULT_PROFILE "strict"
#define BUILTIN_ORIGIN  "built-in"
#define SYSTEM_CONFIG   "/etc/aisbx/config.yaml"

struct sb_profiles {
    struct sb_profile **items; /* those that are not hidden come first, each part sorted */
    size_t n;
    size_t n_listed;
    char *default_profile;
    struct sb_auth_config auth;
    bool is_check_only; /* files that the text names must not be read */
};

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
static int load_filters(const struct sb_inherit *r, const struct sb_inherit_layer *layer)
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

/* What cannot be read is told to those who want a sandbox with it. */
static int load_secrets(const struct sb_inherit *r, const struct sb_inherit_layer *layer)
{
    for (size_t i = 0; i < layer->config.n_profiles; i++) {
        struct sb_profile_secrets *secrets = &layer->config.profiles[i].profile->secrets;
        for (size_t k = 0; k < secrets->n; k++) {
            if (sb_profile_secret_read(&secrets->items[k], r->err) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

/* ---- checks of resolved profiles ---- */

static void check_mount(const struct sb_inherit *r, const struct sb_config_profile *at, size_t i)
{
    const struct sb_profile *profile = at->profile;
    const struct sb_mount *mount = &profile->mounts.items[i];
    if ((mount->is_writable || mount->is_overlay) &&
        profile->filesystem != SB_FILESYSTEM_RESTRICTED) {
        sb_problems_add(r->problems, at->at.line, at->at.column,
                        "profile \"%s\": the mount at \"%s\" is %s, but the filesystem is %s",
                        profile->name, mount->target, sb_mount_mode(mount),
                        sb_filesystem_names[profile->filesystem]);
    }
    for (size_t k = 0; k < i; k++) {
        const char *other = profile->mounts.items[k].target;
        if (sb_mounts_overlap(sb_str_from(mount->target), sb_str_from(other))) {
            sb_problems_add(r->problems, at->at.line, at->at.column,
                            "profile \"%s\": the mounts at \"%s\" and \"%s\" overlap",
                            profile->name, other, mount->target);
        }
    }
}

static void check_secret(const struct sb_inherit *r,
                         const struct sb_config_profile *at,
                         const struct sb_profile_secret *secret)
{
    const struct sb_profile *profile = at->profile;
    const char *closed = sb_profile_secret_closed(secret, &profile->network);
    if (secret->file == NULL && secret->env == NULL) {
        sb_problems_add(r->problems, secret->line, secret->column,
                        "secret %s: neither \"file\" nor \"env\", and it is not inherited",
                        secret->name);
    } else if (closed != NULL) {
        sb_problems_add(r->problems, secret->line, secret->column,
                        "profile \"%s\", secret %s: the network does not allow \"%s\" "
                        "(network.allow, network.deny)",
                        profile->name, secret->name, closed);
    }
    if (sb_pairs_get(&profile->env, sb_str_from(secret->name)) != NULL) {
        sb_problems_add(r->problems, secret->line, secret->column,
                        "profile \"%s\": %s is both a secret and in \"environment\"", profile->name,
                        secret->name);
    }
}

static void
check_ca_files(const struct sb_inherit *r, const struct sb_config_profile *at, size_t index)
{
    const struct sb_profile_secret *items = at->profile->secrets.items;
    for (size_t i = 0; i < index; i++) {
        const char *host = sb_profile_secret_disputed(&items[i], &items[index]);
        if (host != NULL) {
            sb_problems_add(r->problems, items[index].line, items[index].column,
                            "profile \"%s\": secrets %s and %s name two \"ca_file\" for \"%s\"; "
                            "one file may hold the certificates of both",
                            at->profile->name, items[i].name, items[index].name, host);
        }
    }
}

static void check_resolved(const struct sb_inherit *r, const struct sb_inherit_layer *layer)
{
    for (size_t i = 0; i < layer->config.n_profiles; i++) {
        const struct sb_config_profile *at = &layer->config.profiles[i];
        for (size_t k = 0; k < at->profile->mounts.n; k++) {
            check_mount(r, at, k);
        }
        for (size_t k = 0; k < at->profile->secrets.n; k++) {
            check_secret(r, at, &at->profile->secrets.items[k]);
            check_ca_files(r, at, k);
        }
    }
}

/* ---- sets ---- */

static int by_name(const void *a, const void *b)
{
    const struct sb_profile *x = *(struct sb_profile *const *)a;
    const struct sb_profile *y = *(struct sb_profile *const *)b;
    return x->is_hidden != y->is_hidden ? x->is_hidden - y->is_hidden : strcmp(x->name, y->name);
}

/* Moves the profiles of a layer into the set, but for those that it has already. */
static void take_layer(struct sb_profiles *set,
                       struct sb_inherit_layer *layer,
                       const struct sb_inherit_layer *before)
{
    for (size_t i = 0; i < layer->config.n_profiles; i++) {
        struct sb_config_profile *at = &layer->config.profiles[i];
        if (sb_inherit_find(before, sb_str_from(at->profile->name)) == NULL) {
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

static int read_builtin(struct sb_inherit_layer *layer, struct sb_err *err)
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
    struct sb_inherit r = {.builtin = layer, .problems = &problems, .err = err};
    if (sb_inherit_resolve(&r, layer) < 0) {
        return -1;
    }
    return problems.n > 0 ? sb_problems_err(&problems, BUILTIN_ORIGIN, err) : 0;
}

static int set_default(struct sb_profiles *set, const struct sb_inherit *r)
{
    const struct sb_config *config = r->configured == NULL ? NULL : &r->configured->config;
    const char *name = DEFAULT_PROFILE;
    if (config != NULL && config->default_profile != NULL) {
        name = config->default_profile;
        if (sb_inherit_find(r->configured, sb_str_from(name)) == NULL &&
            sb_inherit_find(r->builtin, sb_str_from(name)) == NULL) {
            sb_inherit_no_such(r, &config->default_at, "default_profile", name);
        }
    }
    set->default_profile = strdup(name);
    return set->default_profile == NULL ? sb_err_oom(r->err) : 0;
}

static int fill_set(struct sb_profiles *set, struct sb_inherit *r)
{
    size_t n = r->builtin->config.n_profiles;
    n += r->configured == NULL ? 0 : r->configured->config.n_profiles;
    set->items = (struct sb_profile **)calloc(n + 1, sizeof(void *));
    if (set->items == NULL) {
        return sb_err_oom(r->err);
    }
    take_layer(set, r->builtin, r->configured);
    if (r->configured != NULL) {
        take_layer(set, r->configured, NULL);
    }
    qsort(set->items, set->n, sizeof(void *), by_name);
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
    SB_CLEANUP(sb_inherit_done) struct sb_inherit_layer builtin = {0};
    SB_CLEANUP(sb_inherit_done) struct sb_inherit_layer configured = {0};
    SB_CLEANUP(sb_profiles_freep)
    struct sb_profiles *set = (struct sb_profiles *)calloc(1, sizeof *set);
    if (set == NULL) {
        return sb_err_oom(err);
    }
    struct sb_inherit r = {.builtin = &builtin, .problems = problems, .err = err};
    if (read_builtin(&builtin, err) < 0) {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): its cleanup frees what it holds
        return -1;
    }
    if (source != NULL) {
        r.configured = &configured;
        if (sb_config_parse(yaml, source, problems, &configured.config, err) < 0 ||
            sb_inherit_resolve(&r, &configured) < 0) {
            return -1;
        }
        check_resolved(&r, &configured);
        if (files == FILES_READ && (load_filters(&r, &configured) < 0 ||
                                    (problems->n == 0 && load_secrets(&r, &configured) < 0))) {
            return -1;
        }
    }
    if (set_default(set, &r) < 0 || fill_set(set, &r) < 0) {
        return -1;
    }
    set->is_check_only = source != NULL && files == FILES_LEAVE;
    if (problems->n > 0) {
        sb_problems_sort(problems);
        return sb_problems_err(problems, source == NULL ? BUILTIN_ORIGIN : source->file_name, err);
    }
    set->auth = configured.config.auth;
    configured.config.auth = (struct sb_auth_config){0};
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
    sb_auth_config_done(&set->auth);
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
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): its cleanup frees what it holds
    return make_set(sb_buf_str(&text), &source, FILES_READ, problems, ret_set, err);
}

int sb_profiles_open(const char *path,
                     struct sb_problems *problems,
                     struct sb_profiles **ret_profiles,
                     struct sb_err *err)
{
    struct sb_problems local = {0};
    return path == NULL ? sb_profiles_new(ret_profiles, err)
                        : load_file(path, problems == NULL ? &local : problems, ret_profiles, err);
}

int sb_profiles_load(struct sb_profiles *profiles,
                     const char *path,
                     struct sb_problems *problems,
                     struct sb_err *err)
{
    struct sb_profiles *fresh = NULL;
    if (sb_profiles_open(path, problems, &fresh, err) < 0 || fresh == NULL) {
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

int sb_profiles_look(const struct sb_profiles *profiles,
                     struct sb_str name,
                     const struct sb_profile **ret_profile,
                     struct sb_err *err)
{
    for (size_t i = 0; i < profiles->n; i++) {
        if (sb_str_eq(sb_str_from(profiles->items[i]->name), name)) {
            *ret_profile = profiles->items[i];
            return 0;
        }
    }
    return sb_profiles_get(profiles, name, ret_profile, err);
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
        if (profiles->is_check_only && own->seccomp_path != NULL) {
            return sb_err_set(err, SB_PRECONDITION, "%s was not read", own->seccomp_path);
        }
        if (own->filter == NULL && load_filter(own, err) < 0) {
            return sb_err_wrap(err, "seccomp list of profile \"%s\"", own->name);
        }
        *ret_filter = own->filter;
        return 0;
    }
    return sb_err_set(err, SB_INTERNAL, "profile \"%s\" is not of this set", profile->name);
}

const struct sb_auth_config *sb_profiles_auth(const struct sb_profiles *profiles)
{
    return &profiles->auth;
}
