#include "service/worker/policy/config_packages.h"

#include "base/err.h"
#include "base/field.h"
#include "service/shared/network.h"
#include "service/worker/policy/config_read.h"
#include "service/worker/policy/packages.h"
#include "service/worker/policy/profile.h"

#define AT(member) offsetof(struct sb_profile_packages, member)

static int
read_choice(struct sb_config_reader *r, const struct sb_yaml_node *node, enum sb_choice *member)
{
    bool value = false;
    if (sb_config_read_bool(r, node, &value)) {
        *member = value ? SB_CHOICE_YES : SB_CHOICE_NO;
    }
    return 0;
}

/* ---- one manager ---- */

static int read_registry(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    char rule[SB_NETWORK_RULE_MAX + 1];
    if (sb_packages_url_rule(node->text, rule, sizeof rule, r->err) < 0) {
        SB_CONFIG_PROBLEM(r, node, "registry: %s", r->err->text);
        return 0;
    }
    return sb_config_set_text(r, &r->registry->url, node->text);
}

static int read_hosts(struct sb_config_reader *r, const struct sb_yaml_node *list)
{
    r->registry->has_hosts = true;
    for (const struct sb_yaml_node *node = list->first; node != NULL; node = node->next) {
        struct sb_network_rule rule;
        if (!sb_config_expect_kind(r, node, "host", SB_YAML_SCALAR)) {
            continue;
        }
        if (r->registry->hosts.n == SB_PACKAGES_HOSTS_MAX) {
            SB_CONFIG_PROBLEM(r, node, "more than %d hosts", SB_PACKAGES_HOSTS_MAX);
            return 0;
        }
        if (sb_network_parse_rule(node->text, &rule, r->err) < 0) {
            SB_CONFIG_PROBLEM(r, node, "host \"%.*s\": %s", SB_STR_ARG(sb_str_head(node->text, 64)),
                              r->err->text);
        } else if (sb_strings_add(&r->registry->hosts, node->text, r->err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int read_run_code(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    return read_choice(r, node, &r->registry->runs_code);
}

static const struct sb_config_key source_keys[] = {
    {"registry", SB_YAML_SCALAR, NULL, read_registry},
    {"hosts", SB_YAML_LIST, NULL, read_hosts},
    {"run_code", SB_YAML_SCALAR, NULL, read_run_code},
};

static int read_source(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    for (int i = SB_MANAGER_PIP; i < SB_MANAGER_END_; i++) {
        if (sb_str_eq(node->key->text, sb_str_from(sb_manager_names[i]))) {
            r->registry = &r->profile->packages.sources[i];
        }
    }
    return SB_CONFIG_READ_MAP(r, node, source_keys);
}

/* ---- all of them ---- */

static int read_manager(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    r->profile->packages.manager =
        (enum sb_manager)sb_config_read_choice(r, node, sb_manager_names);
    return 0;
}

static int read_keep(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    return read_choice(r, node, &r->profile->packages.keeps);
}

static int read_time(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    static const struct sb_field fields[] = {
        {SB_STR("keep_for"), SB_FIELD_MILLIS, AT(keep_ms), 1000, 31536000000, NULL,
         "how long what was installed serves", NULL},
        {SB_STR("timeout"), SB_FIELD_MILLIS, AT(timeout_ms), 1000, 3600000, NULL,
         "how long an install may take", NULL},
    };
    if (sb_field_set(fields, sizeof fields / sizeof *fields, node->key->text, node->text,
                     &r->profile->packages, r->err) < 0) {
        SB_CONFIG_PROBLEM(r, node, "%s", r->err->text);
    }
    return 0;
}

static const struct sb_config_key keys[] = {
    {"manager", SB_YAML_SCALAR, NULL, read_manager}, {"pip", SB_YAML_MAP, NULL, read_source},
    {"npm", SB_YAML_MAP, NULL, read_source},         {"keep", SB_YAML_SCALAR, NULL, read_keep},
    {"keep_for", SB_YAML_SCALAR, NULL, read_time},   {"timeout", SB_YAML_SCALAR, NULL, read_time},
};

int sb_config_packages_read(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    return SB_CONFIG_READ_MAP(r, node, keys);
}
