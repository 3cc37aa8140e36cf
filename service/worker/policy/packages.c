#include "service/worker/policy/packages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "service/shared/network.h"
#include "service/worker/policy/explain.h"
#include "service/worker/policy/network_policy.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/profile.h"
#include "service/worker/policy/request.h"

enum { KEEP_MS = 86400000, TIMEOUT_MS = 300000, LIST_SIZE = 512 };

/* ---- sections of profiles ---- */

void sb_profile_packages_done(struct sb_profile_packages *packages)
{
    for (int i = 0; i < SB_MANAGER_END_; i++) {
        free(packages->sources[i].url);
        sb_strings_done(&packages->sources[i].hosts);
    }
    *packages = (struct sb_profile_packages){0};
}

/* Whoever names another registry does not mean the hosts of the one before. */
static int inherit_source(struct sb_registry_source *source,
                          const struct sb_registry_source *base,
                          struct sb_err *err)
{
    bool is_same = source->url == NULL;
    if (source->runs_code == SB_CHOICE_UNSET) {
        source->runs_code = base->runs_code;
    }
    if (is_same && base->url != NULL) {
        source->url = strdup(base->url);
        if (source->url == NULL) {
            return sb_err_oom(err);
        }
    }
    if (is_same && !source->has_hosts && base->has_hosts) {
        source->has_hosts = true;
        return sb_strings_copy(&source->hosts, &base->hosts, err);
    }
    return 0;
}

int sb_profile_packages_inherit(struct sb_profile_packages *packages,
                                const struct sb_profile_packages *base,
                                struct sb_err *err)
{
    for (int i = 0; i < SB_MANAGER_END_; i++) {
        if (inherit_source(&packages->sources[i], &base->sources[i], err) < 0) {
            return -1;
        }
    }
    packages->manager = packages->manager == SB_MANAGER_UNSET ? base->manager : packages->manager;
    packages->keeps = packages->keeps == SB_CHOICE_UNSET ? base->keeps : packages->keeps;
    packages->keep_ms = packages->keep_ms == 0 ? base->keep_ms : packages->keep_ms;
    packages->timeout_ms = packages->timeout_ms == 0 ? base->timeout_ms : packages->timeout_ms;
    return 0;
}

static int put_choice(struct sb_buf *out, const char *name, enum sb_choice choice)
{
    return choice == SB_CHOICE_UNSET
               ? 0
               : sb_buf_printf(out, "%s: %s\n", name, choice == SB_CHOICE_YES ? "true" : "false");
}

static int put_millis(struct sb_buf *out, const char *name, uint64_t ms)
{
    char text[SB_NUM_TEXT_SIZE];
    return ms == 0 ? 0 : sb_buf_printf(out, "%s: %s\n", name, sb_num_format_millis(text, ms));
}

static int put_source(struct sb_buf *out, const char *name, const struct sb_registry_source *source)
{
    if (source->url == NULL && !source->has_hosts && source->runs_code == SB_CHOICE_UNSET) {
        return 0;
    }
    int rc = sb_buf_printf(out, "      %s:\n", name);
    if (rc == 0 && source->url != NULL) {
        rc = sb_buf_printf(out, "        registry: \"%s\"\n", source->url);
    }
    if (rc == 0 && source->has_hosts) {
        rc = sb_buf_printf(out, "        hosts:%s\n", source->hosts.n == 0 ? " []" : "");
    }
    for (size_t i = 0; rc == 0 && i < source->hosts.n; i++) {
        rc = sb_buf_printf(out, "          - \"%s\"\n", source->hosts.items[i]);
    }
    return rc < 0 ? -1 : put_choice(out, "        run_code", source->runs_code);
}

int sb_profile_packages_yaml(const struct sb_profile_packages *packages, struct sb_buf *out)
{
    size_t before = out->len;
    if (sb_buf_printf(out, "    packages:\n") < 0) {
        return -1;
    }
    size_t empty = out->len;
    if (packages->manager != SB_MANAGER_UNSET &&
        sb_buf_printf(out, "      manager: %s\n", sb_manager_names[packages->manager]) < 0) {
        return -1;
    }
    for (int i = SB_MANAGER_PIP; i < SB_MANAGER_END_; i++) {
        if (put_source(out, sb_manager_names[i], &packages->sources[i]) < 0) {
            return -1;
        }
    }
    if (put_choice(out, "      keep", packages->keeps) < 0 ||
        put_millis(out, "      keep_for", packages->keep_ms) < 0 ||
        put_millis(out, "      timeout", packages->timeout_ms) < 0) {
        return -1;
    }
    if (out->len == empty) {
        sb_buf_truncate(out, before);
    }
    return 0;
}

/* ---- registries ---- */

static bool is_url_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~/%:[]", c) != NULL);
}

int sb_packages_url_rule(struct sb_str url, char *ret_rule, size_t size, struct sb_err *err)
{
    bool is_tls = sb_str_starts_with(url, SB_STR("https://"));
    struct sb_str host = sb_str_skip(url, is_tls ? 8 : 7);
    struct sb_network_rule rule;
    bool is_plain = true;
    for (size_t i = 0; i < url.len; i++) {
        is_plain = is_plain && is_url_character(url.ptr[i]);
    }
    if ((!is_tls && !sb_str_starts_with(url, SB_STR("http://"))) || !is_plain || url.len > 1024) {
        return sb_err_set(err, SB_INVALID,
                          "http://HOST/... or https://HOST/... is expected, without user, query "
                          "and fragment");
    }
    (void)sb_str_split(host, '/', &host, &(struct sb_str){NULL, 0});
    bool is_literal = host.len > 0 && host.ptr[0] == '[';
    bool has_port = host.len > 0 && !is_literal && memchr(host.ptr, ':', host.len) != NULL;
    int n = snprintf(ret_rule, size, "%.*s%s", SB_STR_ARG(host),
                     has_port || is_literal ? ""
                     : is_tls               ? ":443"
                                            : ":80");
    if (n < 0 || (size_t)n >= size) {
        return sb_err_set(err, SB_INVALID, "the host is too long");
    }
    return sb_network_parse_rule(sb_str_from(ret_rule), &rule, err) < 0 || rule.port == 0 ||
                   rule.kind == SB_NETWORK_BELOW
               ? sb_err_set(err, SB_INVALID, "\"%.100s\" is not the host of a registry", ret_rule)
               : 0;
}

/* ---- policies ---- */

void sb_policy_packages_done(struct sb_policy_packages *packages)
{
    for (int i = 0; i < SB_MANAGER_END_; i++) {
        sb_strings_done(&packages->sets[i].names);
        sb_strings_done(&packages->sets[i].hosts);
        free(packages->sets[i].url);
    }
    *packages = (struct sb_policy_packages){0};
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_names(struct sb_policy *policy,
                     const struct sb_profile *profile,
                     const struct sb_request *request,
                     struct sb_err *err)
{
    for (size_t i = 0; i < request->packages.n; i++) {
        enum sb_manager manager = SB_MANAGER_UNSET;
        struct sb_str name;
        if (sb_packages_parse(sb_str_from(request->packages.items[i]), profile->packages.manager,
                              &manager, &name, err) < 0) {
            return sb_err_wrap(err, "%s.packages[%zu]", request->field, i);
        }
        if (sb_strings_add(&policy->packages.sets[manager].names, name, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Sorted and each once, so that the same wish in another order finds the same. */
static void tidy(struct sb_strings *names)
{
    size_t kept = 0;
    if (names->n == 0) {
        return;
    }
    qsort(names->items, names->n, sizeof *names->items, compare);
    for (size_t i = 1; i < names->n; i++) {
        if (strcmp(names->items[i], names->items[kept]) == 0) {
            free(names->items[i]);
        } else {
            names->items[++kept] = names->items[i];
        }
    }
    names->n = kept + 1;
}

static int fill_set(struct sb_package_set *set,
                    const struct sb_profile_packages *said,
                    enum sb_manager manager,
                    struct sb_err *err)
{
    const struct sb_registry_source *source = &said->sources[manager];
    char rule[SB_NETWORK_RULE_MAX + 1];
    if (source->url == NULL) {
        return sb_err_set(err, SB_PRECONDITION,
                          "packages: no registry of %s is known; say one in the profile: packages: "
                          "{%s: {registry: \"https://...\"}}",
                          sb_manager_names[manager], sb_manager_names[manager]);
    }
    set->url = strdup(source->url);
    set->runs_code = source->runs_code == SB_CHOICE_YES;
    set->keeps = said->keeps != SB_CHOICE_NO;
    set->keep_ms = said->keep_ms == 0 ? KEEP_MS : said->keep_ms;
    set->timeout_ms = said->timeout_ms == 0 ? TIMEOUT_MS : said->timeout_ms;
    if (set->url == NULL) {
        return sb_err_oom(err);
    }
    return sb_packages_url_rule(sb_str_from(set->url), rule, sizeof rule, err) < 0 ||
                   sb_strings_add(&set->hosts, sb_str_from(rule), err) < 0
               ? -1
               : sb_strings_copy(&set->hosts, &source->hosts, err);
}

/* All that is missing at once, as the lines that would allow it. */
static int check_reach(const struct sb_policy *policy,
                       const struct sb_profile *profile,
                       enum sb_manager manager,
                       struct sb_err *err)
{
    const struct sb_package_set *set = &policy->packages.sets[manager];
    bool has_network = policy->ceiling.mode == SB_NETWORK_LIMITED;
    char list[LIST_SIZE] = "";
    char where[SB_EXPLAIN_TEXT];
    size_t used = 0;
    for (size_t i = 0; i < set->hosts.n; i++) {
        if (!sb_network_policy_gives(policy, set->hosts.items[i]) && used < sizeof list) {
            used += (size_t)snprintf(list + used, sizeof list - used, "%s\"%s\"",
                                     used == 0 ? "" : ", ", set->hosts.items[i]);
        }
    }
    if (used == 0) {
        return 0;
    }
    struct sb_str key = has_network ? SB_STR("allow") : SB_STR("mode");
    (void)sb_explain_where(profile, NULL, key, where, sizeof where);
    return sb_err_set(err, SB_PRECONDITION,
                      "packages: %s installs from %.100s, which profile \"%s\" does not let a "
                      "sandbox reach (%.80s); to have it: network: {%sallow: [%s]}, %s",
                      sb_manager_names[manager], set->url, policy->profile, where,
                      has_network ? "" : "enabled: true, ", list,
                      has_network ? "beside the rules that are there"
                                  : "in it or in a profile that extends it");
}

static int check_targets(const struct sb_policy *policy,
                         const struct sb_request *request,
                         enum sb_manager manager,
                         struct sb_err *err)
{
    struct sb_str target = sb_str_from(sb_manager_targets[manager]);
    for (size_t i = 0; i < policy->mounts.n; i++) {
        if (sb_mounts_overlap(sb_str_from(policy->mounts.items[i].target), target)) {
            return sb_err_set(err, SB_INVALID,
                              "%s.packages: those of %s are at %s, where the mount at \"%s\" is",
                              request->field, sb_manager_names[manager], target.ptr,
                              policy->mounts.items[i].target);
        }
    }
    return 0;
}

/* ---- environment ---- */

static int
set_first(struct sb_pairs *env, struct sb_str name, const char *first, struct sb_err *err)
{
    const char *rest = sb_pairs_get(env, name);
    char *value = NULL;
    if (asprintf(&value, "%s%s%s", first, rest == NULL ? "" : ":", rest == NULL ? "" : rest) < 0) {
        return sb_err_oom(err);
    }
    int rc = sb_pairs_set(env, name, sb_str_from(value), err);
    free(value);
    return rc;
}

/* What the caller sets itself stands behind, so both are found. */
static int add_env(struct sb_policy *policy, enum sb_manager manager, struct sb_err *err)
{
    static const struct {
        struct sb_str library;
        const char *path;
        const char *programs;
    } rows[SB_MANAGER_END_] = {
        [SB_MANAGER_PIP] = {SB_STR("PYTHONPATH"), "/packages", "/packages/bin"},
        [SB_MANAGER_NPM] = {SB_STR("NODE_PATH"), "/node_modules", "/node_modules/.bin"},
    };
    return set_first(&policy->env, rows[manager].library, rows[manager].path, err) < 0
               ? -1
               : set_first(&policy->env, SB_STR("PATH"), rows[manager].programs, err);
}

int sb_policy_packages_make(struct sb_policy *policy,
                            const struct sb_profile *profile,
                            const struct sb_request *request,
                            struct sb_err *err)
{
    if (add_names(policy, profile, request, err) < 0) {
        return -1;
    }
    for (int i = SB_MANAGER_PIP; i < SB_MANAGER_END_; i++) {
        enum sb_manager manager = (enum sb_manager)i;
        struct sb_package_set *set = &policy->packages.sets[manager];
        tidy(&set->names);
        if (set->names.n > 0 && (fill_set(set, &profile->packages, manager, err) < 0 ||
                                 check_reach(policy, profile, manager, err) < 0 ||
                                 check_targets(policy, request, manager, err) < 0 ||
                                 add_env(policy, manager, err) < 0)) {
            return -1;
        }
    }
    return 0;
}
