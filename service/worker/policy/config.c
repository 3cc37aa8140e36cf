/* Theory of operation. The text becomes a tree (yaml.c); each map of the tree is read by one table
 * of keys, each row of which names the function that reads its value into the profile. What is
 * wrong is added to the list of problems and reading goes on, so that one run shows all of it. A
 * reader returns -1 only when memory is out. */
#include "service/worker/policy/config.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/utf8.h"
#include "service/shared/network.h"
#include "service/worker/policy/builtin.h"
#include "service/worker/policy/config_auth.h"
#include "service/worker/policy/config_packages.h"
#include "service/worker/policy/config_read.h"
#include "service/worker/policy/config_secrets.h"
#include "service/worker/policy/limits.h"
#include "service/worker/policy/network_limits.h"
#include "service/worker/policy/path.h"
#include "service/worker/policy/preload.h"
#include "service/worker/policy/problems.h"
#include "service/worker/policy/request.h"
#include "service/worker/policy/yaml.h"

#define MOUNTS_MAX   32
#define ENV_MAX      256
#define TEXT_MAX     200 /* characters of a description */
#define PROFILES_MAX 256

/* ---- scalars ---- */

static bool is_profile_name(struct sb_str name)
{
    if (name.len == 0 || name.len > SB_PROFILE_NAME_MAX || name.ptr[0] < 'a' || name.ptr[0] > 'z') {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')) {
            return false;
        }
    }
    return true;
}

static bool expect_profile_name(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    if (is_profile_name(node->text)) {
        return true;
    }
    SB_CONFIG_PROBLEM(
        r, node,
        "\"%.*s\" is not a profile name: a small letter, then small letters, digits, \"-\" and "
        "\"_\", %d at most",
        SB_STR_ARG(sb_str_head(node->text, SB_PROFILE_NAME_MAX)), SB_PROFILE_NAME_MAX);
    return false;
}

static int read_line(struct sb_config_reader *r, const struct sb_yaml_node *node, char **member)
{
    if (node->text.len == 0 || node->text.len > TEXT_MAX || !sb_utf8_all_printable(node->text)) {
        SB_CONFIG_PROBLEM(r, node, "one line of 1 to %d characters is expected", TEXT_MAX);
        return 0;
    }
    return sb_config_set_text(r, member, node->text);
}

/* A title of its own is the description, unless there is one. */
static int read_name(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    if (sb_str_eq(node->text, sb_str_from(r->profile->name)) || r->profile->description != NULL) {
        return 0;
    }
    return read_line(r, node, &r->profile->description);
}

static int read_description(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    return read_line(r, node, &r->profile->description);
}

static int read_extends(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    r->at->extends_at = sb_config_place_of(node);
    return expect_profile_name(r, node) ? sb_config_set_text(r, &r->profile->extends, node->text)
                                        : 0;
}

static int read_driver(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    r->profile->driver = (enum sb_driver)sb_config_read_choice(r, node, sb_driver_names);
    return 0;
}

static int read_filesystem(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    r->profile->filesystem =
        (enum sb_filesystem)sb_config_read_choice(r, node, sb_filesystem_names);
    return 0;
}

static int read_abstract(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    (void)sb_config_read_bool(r, node, &r->profile->is_hidden);
    return 0;
}

static bool looks_like_path(struct sb_str text)
{
    return (text.len > 0 && memchr(text.ptr, '/', text.len) != NULL) ||
           sb_str_ends_with(text, SB_STR(".json"));
}

static int read_seccomp(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    r->at->seccomp_at = sb_config_place_of(node);
    if (looks_like_path(node->text)) {
        char *path = NULL;
        if (sb_path_resolve(r->source->base_dir, node->text, &path, r->err) < 0) {
            sb_config_take_error(r, node, "seccomp");
            return r->err->code == SB_EXHAUSTED ? -1 : 0;
        }
        free(r->profile->seccomp_path);
        r->profile->seccomp_path = path;
    } else if (sb_builtin_seccomp(node->text).ptr == NULL) {
        struct sb_str nearest = sb_builtin_seccomp_near(node->text);
        SB_CONFIG_PROBLEM(
            r, node,
            "seccomp: there is no list \"%.*s\"%s%.*s%s (a file has a \"/\" or ends in .json)",
            SB_STR_ARG(sb_str_head(node->text, 64)), nearest.len == 0 ? "" : "; did you mean \"",
            SB_STR_ARG(nearest), nearest.len == 0 ? "" : "\"?");
        return 0;
    }
    return sb_config_set_text(r, &r->profile->seccomp, node->text);
}

/* ---- limits ---- */

static int read_limit(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    struct sb_str name = node->key->text;
    if (sb_str_eq(name, SB_STR("timeout"))) {
        name = SB_STR("wall");
    }
    const struct sb_limits_row *row = NULL;
    for (size_t i = 0; i < sb_limits_table_n && row == NULL; i++) {
        row = sb_str_eq(sb_limits_table[i].field.name, name) ? &sb_limits_table[i] : NULL;
    }
    assert(row != NULL); /* limit_keys names only rows of the table */
    struct sb_limits limits = {0};
    struct sb_field field = row->field;
    field.name = node->key->text; /* as the user calls it */
    if (sb_limits_get(&r->profile->limits, row) != 0) {
        SB_CONFIG_PROBLEM(r, node, "\"%.*s\" is said twice", SB_STR_ARG(name));
    } else if (sb_field_set(&field, 1, field.name, node->text, &limits, r->err) < 0) {
        SB_CONFIG_PROBLEM(r, node, "%s", r->err->text);
    } else {
        sb_limits_put(&r->profile->limits, row, sb_limits_get(&limits, row));
    }
    return 0;
}

static const struct sb_config_key limit_keys[] = {
    {"cpu", SB_YAML_SCALAR, "cpu", read_limit},
    {"memory", SB_YAML_SCALAR, "memory", read_limit},
    {"pids", SB_YAML_SCALAR, "pids", read_limit},
    {"wall", SB_YAML_SCALAR, "wall", read_limit},
    {"timeout", SB_YAML_SCALAR, "wall", read_limit},
    {"disk", SB_YAML_SCALAR, "disk", read_limit},
    {"inodes", SB_YAML_SCALAR, "inodes", read_limit},
    {"file_size", SB_YAML_SCALAR, "file_size", read_limit},
    {"open_files", SB_YAML_SCALAR, "open_files", read_limit},
    {"output", SB_YAML_SCALAR, "output", read_limit},
    {"io_read", SB_YAML_SCALAR, "io_read", read_limit},
    {"io_write", SB_YAML_SCALAR, "io_write", read_limit},
    {"io_read_ops", SB_YAML_SCALAR, "io_read_ops", read_limit},
    {"io_write_ops", SB_YAML_SCALAR, "io_write_ops", read_limit},
    {"io_weight", SB_YAML_SCALAR, "io_weight", read_limit},
};

static int read_limits(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    return SB_CONFIG_READ_MAP(r, node, limit_keys);
}

/* ---- network ---- */

static void
set_mode(struct sb_config_reader *r, const struct sb_yaml_node *node, enum sb_network_mode mode)
{
    enum sb_network_mode *member = &r->profile->network.mode;
    if (*member != SB_NETWORK_UNSET && *member != mode) {
        SB_CONFIG_PROBLEM(r, node, "\"enabled\" and \"mode\" say different things");
    }
    *member = mode;
}

static int read_enabled(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    bool enabled = false;
    if (sb_config_read_bool(r, node, &enabled)) {
        set_mode(r, node, enabled ? SB_NETWORK_LIMITED : SB_NETWORK_NONE);
    }
    return 0;
}

static int read_mode(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    unsigned mode = sb_config_read_choice(r, node, sb_network_names);
    if (mode != 0) {
        set_mode(r, node, (enum sb_network_mode)mode);
    }
    return 0;
}

static int
read_rules(struct sb_config_reader *r, const struct sb_yaml_node *list, struct sb_strings *rules)
{
    for (const struct sb_yaml_node *node = list->first; node != NULL; node = node->next) {
        struct sb_network_rule rule;
        if (!sb_config_expect_kind(r, node, "rule", SB_YAML_SCALAR)) {
            continue;
        }
        if (rules->n == SB_NETWORK_RULES_MAX) {
            SB_CONFIG_PROBLEM(r, node, "more than %d rules", SB_NETWORK_RULES_MAX);
            return 0;
        }
        if (sb_network_parse_rule(node->text, &rule, r->err) < 0) {
            SB_CONFIG_PROBLEM(r, node, "rule \"%.*s\": %s", SB_STR_ARG(sb_str_head(node->text, 64)),
                              r->err->text);
        } else if (sb_strings_add(rules, node->text, r->err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int read_allow(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    r->profile->network.has_allow = true;
    return read_rules(r, node, &r->profile->network.allow);
}

static int read_deny(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    r->profile->network.has_deny = true;
    return read_rules(r, node, &r->profile->network.deny);
}

static int read_network_limit(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    if (sb_field_set(sb_network_limits, sb_network_limits_n, node->key->text, node->text,
                     &r->profile->network, r->err) < 0) {
        SB_CONFIG_PROBLEM(r, node, "%s", r->err->text);
    }
    return 0;
}

static const struct sb_config_key network_keys[] = {
    {"enabled", SB_YAML_SCALAR, "mode", read_enabled},
    {"mode", SB_YAML_SCALAR, "mode", read_mode},
    {"allow", SB_YAML_LIST, "allow", read_allow},
    {"deny", SB_YAML_LIST, "deny", read_deny},
    {"max_connections", SB_YAML_SCALAR, "max_connections", read_network_limit},
    {"max_bytes", SB_YAML_SCALAR, "max_bytes", read_network_limit},
};

static int read_network(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    return SB_CONFIG_READ_MAP(r, node, network_keys);
}

/* ---- mounts ---- */

static int read_source(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    char *path = NULL;
    if (sb_path_resolve(r->source->base_dir, node->text, &path, r->err) < 0) {
        sb_config_take_error(r, node, "source");
        return r->err->code == SB_EXHAUSTED ? -1 : 0;
    }
    free(r->mount->source);
    r->mount->source = path;
    return 0;
}

static int read_target(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    if (sb_mounts_check_target(node->text, r->err) < 0) {
        sb_config_take_error(r, node, "target");
        return 0;
    }
    return sb_config_set_text(r, &r->mount->target, node->text);
}

static int read_mount_mode(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    static const char *const modes[] = {"", "ro", "rw", "overlay", NULL};
    unsigned mode = sb_config_read_choice(r, node, modes);
    r->mount->is_writable = mode == 2;
    r->mount->is_overlay = mode == 3;
    return 0;
}

static const struct sb_config_key mount_keys[] = {
    {"source", SB_YAML_SCALAR, NULL, read_source},
    {"target", SB_YAML_SCALAR, NULL, read_target},
    {"mode", SB_YAML_SCALAR, NULL, read_mount_mode},
};

static bool has_key(const struct sb_yaml_node *map, struct sb_str name)
{
    for (const struct sb_yaml_node *node = map->first; node != NULL; node = node->next) {
        if (sb_str_eq(node->key->text, name)) {
            return true;
        }
    }
    return false;
}

static void free_mount(struct sb_mount *mount)
{
    free(mount->source);
    free(mount->target);
}

static int read_mount(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    SB_CLEANUP(free_mount) struct sb_mount mount = {0};
    r->mount = &mount;
    if (SB_CONFIG_READ_MAP(r, node, mount_keys) < 0) {
        return -1;
    }
    static const struct sb_str needed[] = {SB_STR("source"), SB_STR("target")};
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        if (!has_key(node, needed[i])) {
            SB_CONFIG_PROBLEM(r, node, "the mount has no \"%.*s\"", SB_STR_ARG(needed[i]));
        }
    }
    if (mount.source == NULL || mount.target == NULL) {
        return 0; /* a problem was noted */
    }
    if (mount.is_overlay && strcmp(mount.target, "/workspace") != 0) {
        SB_CONFIG_PROBLEM(r, node, "the mount at \"%s\" cannot be an overlay: /workspace alone can",
                          mount.target);
        return 0;
    }
    if (sb_mounts_find(&r->profile->mounts, sb_str_from(mount.target)) != NULL) {
        SB_CONFIG_PROBLEM(r, node, "there is a mount at \"%s\" already", mount.target);
        return 0;
    }
    return sb_config_note(r, "mount", sb_str_from(mount.target), node) < 0
               ? -1
               : sb_mounts_set(&r->profile->mounts, &mount, r->err);
}

static int read_mounts(struct sb_config_reader *r, const struct sb_yaml_node *list)
{
    for (const struct sb_yaml_node *node = list->first; node != NULL; node = node->next) {
        if (r->profile->mounts.n == MOUNTS_MAX) {
            SB_CONFIG_PROBLEM(r, node, "more than %d mounts", MOUNTS_MAX);
            return 0;
        }
        if (sb_config_expect_kind(r, node, "mount", SB_YAML_MAP) && read_mount(r, node) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- environment ---- */

static int read_environment(struct sb_config_reader *r, const struct sb_yaml_node *map)
{
    size_t total_bytes = 0;
    for (const struct sb_yaml_node *node = map->first; node != NULL; node = node->next) {
        struct sb_str name = node->key->text;
        if (!sb_config_expect_kind(r, node, "environment", SB_YAML_SCALAR)) {
            continue;
        }
        if (r->profile->env.n == ENV_MAX) {
            SB_CONFIG_PROBLEM(r, node, "more than %d variables", ENV_MAX);
            return 0;
        }
        if (sb_request_check_env(name, node->text, "environment", &total_bytes, r->err) < 0) {
            SB_CONFIG_PROBLEM(r, node->key, "%s", r->err->text);
        } else if (sb_config_note(r, "environment", name, node->key) < 0 ||
                   sb_pairs_set(&r->profile->env, name, node->text, r->err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- profiles and the top ---- */

static const struct sb_config_key profile_keys[] = {
    {"name", SB_YAML_SCALAR, NULL, read_name},
    {"description", SB_YAML_SCALAR, "description", read_description},
    {"extends", SB_YAML_SCALAR, "extends", read_extends},
    {"abstract", SB_YAML_SCALAR, NULL, read_abstract},
    {"driver", SB_YAML_SCALAR, "driver", read_driver},
    {"cpu", SB_YAML_SCALAR, "cpu", read_limit},
    {"memory", SB_YAML_SCALAR, "memory", read_limit},
    {"limits", SB_YAML_MAP, NULL, read_limits},
    {"network", SB_YAML_MAP, NULL, read_network},
    {"filesystem", SB_YAML_SCALAR, "filesystem", read_filesystem},
    {"mounts", SB_YAML_LIST, NULL, read_mounts},
    {"environment", SB_YAML_MAP, NULL, read_environment},
    {"secrets", SB_YAML_MAP, NULL, sb_config_secrets_read},
    {"packages", SB_YAML_MAP, NULL, sb_config_packages_read},
    {"preload", SB_YAML_LIST, "preload", sb_preload_read},
    {"seccomp", SB_YAML_SCALAR, "seccomp", read_seccomp},
};

static int set_origin(struct sb_config_reader *r, unsigned line)
{
    int rc = 0;
    if (r->source->origin != NULL) {
        return sb_config_set_text(r, &r->profile->origin, sb_str_from(r->source->origin));
    }
    rc = asprintf(&r->profile->origin, "%s:%u", r->source->file_name, line);
    if (rc < 0) {
        r->profile->origin = NULL;
        return sb_err_oom(r->err);
    }
    return 0;
}

static int read_profile(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    if (!expect_profile_name(r, node->key) ||
        !sb_config_expect_kind(r, node, "profile", SB_YAML_MAP)) {
        return 0;
    }
    r->profile = (struct sb_profile *)calloc(1, sizeof *r->profile);
    if (r->profile == NULL) {
        return sb_err_oom(r->err);
    }
    r->at = &r->config->profiles[r->config->n_profiles++];
    *r->at = (struct sb_config_profile){.profile = r->profile, .at = sb_config_place_of(node->key)};
    if (sb_config_set_text(r, &r->profile->name, node->key->text) < 0 ||
        set_origin(r, node->key->line) < 0) {
        return -1;
    }
    return SB_CONFIG_READ_MAP(r, node, profile_keys);
}

static int read_profiles(struct sb_config_reader *r, const struct sb_yaml_node *map)
{
    size_t n = 0;
    for (const struct sb_yaml_node *node = map->first; node != NULL; node = node->next) {
        n++;
    }
    if (n > PROFILES_MAX) {
        SB_CONFIG_PROBLEM(r, map, "more than %d profiles", PROFILES_MAX);
        return 0;
    }
    r->config->profiles = (struct sb_config_profile *)calloc(n + 1, sizeof r->config->profiles[0]);
    if (r->config->profiles == NULL) {
        return sb_err_oom(r->err);
    }
    for (const struct sb_yaml_node *node = map->first; node != NULL; node = node->next) {
        if (read_profile(r, node) < 0) {
            return -1;
        }
    }
    return 0;
}

static int read_default(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    r->config->default_at = sb_config_place_of(node);
    return expect_profile_name(r, node)
               ? sb_config_set_text(r, &r->config->default_profile, node->text)
               : 0;
}

static const struct sb_config_key top_keys[] = {
    {"profiles", SB_YAML_MAP, NULL, read_profiles},
    {"default_profile", SB_YAML_SCALAR, NULL, read_default},
    {"auth", SB_YAML_MAP, NULL, sb_config_auth_read},
    {"tenants", SB_YAML_LIST, NULL, sb_config_tenants_read},
};

static int read_top(struct sb_config_reader *r, const struct sb_yaml_node *root)
{
    if (root == NULL || sb_yaml_is_null(root)) {
        return 0;
    }
    return sb_config_expect_kind(r, root, "the file", SB_YAML_MAP)
               ? SB_CONFIG_READ_MAP(r, root, top_keys)
               : 0;
}

int sb_config_parse(struct sb_str text,
                    const struct sb_config_source *source,
                    struct sb_problems *problems,
                    struct sb_config *ret_config,
                    struct sb_err *err)
{
    SB_CLEANUP(sb_yaml_freep) struct sb_yaml *doc = NULL;
    SB_CLEANUP(sb_config_done) struct sb_config config = {0};
    if (sb_yaml_parse(text, problems, &doc, err) < 0) {
        return -1;
    }
    struct sb_config_reader r = {
        .source = source, .problems = problems, .config = &config, .err = err};
    if (read_top(&r, sb_yaml_root(doc)) < 0) {
        return -1;
    }
    if (problems->n > 0) {
        sb_problems_sort(problems);
        return sb_problems_err(problems, source->file_name, err);
    }
    *ret_config = config;
    config = (struct sb_config){0};
    return 0;
}

void sb_config_done(struct sb_config *config)
{
    for (size_t i = 0; i < config->n_profiles; i++) {
        sb_profile_free(config->profiles[i].profile);
    }
    free(config->profiles);
    free(config->default_profile);
    sb_auth_config_done(&config->auth);
    *config = (struct sb_config){0};
}
