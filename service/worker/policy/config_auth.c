#include "service/worker/policy/config_auth.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/field.h"
#include "service/worker/policy/auth_config.h"
#include "service/worker/policy/config_read.h"

/* ---- auth ---- */

static int read_loopback(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    static const char *const choices[] = {"", "none", "user", NULL};
    r->config->auth.admits_loopback = sb_config_read_choice(r, node, choices) == 2;
    return 0;
}

static int read_match(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    if (node->text.len == 0 || node->text.len > SB_IDENTITY_MAX) {
        SB_CONFIG_PROBLEM(r, node, "match: 1 to %d characters are expected", SB_IDENTITY_MAX);
        return 0;
    }
    return sb_config_set_text(r, &r->identity->match, node->text);
}

static int read_role(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    r->identity->role = (enum sb_role)sb_config_read_choice(r, node, sb_role_names);
    return 0;
}

static bool expect_tenant(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    if (sb_tenant_is_name(node->text) || sb_str_eq(node->text, SB_STR(SB_TENANT_ALL))) {
        return true;
    }
    SB_CONFIG_PROBLEM(r, node,
                      "\"%.*s\" is not a tenant's name: 1 to %d small letters, digits and \"-\", "
                      "or \"*\"",
                      SB_STR_ARG(sb_str_head(node->text, SB_TENANT_SIZE)), SB_TENANT_SIZE - 1);
    return false;
}

static int read_tenant(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    return expect_tenant(r, node) ? sb_config_set_text(r, &r->identity->tenant, node->text) : 0;
}

static const struct sb_config_key identity_keys[] = {
    {"match", SB_YAML_SCALAR, NULL, read_match},
    {"role", SB_YAML_SCALAR, NULL, read_role},
    {"tenant", SB_YAML_SCALAR, NULL, read_tenant},
};

static int check_identity(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    struct sb_auth_identity *identity = r->identity;
    if (identity->match == NULL || identity->role == SB_ROLE_NONE) {
        SB_CONFIG_PROBLEM(r, node, "an identity needs match and role");
        return 0;
    }
    if (identity->tenant == NULL) {
        if (identity->role != SB_ROLE_ADMIN) {
            SB_CONFIG_PROBLEM(r, node, "an identity with role %s needs a tenant",
                              sb_role_names[identity->role]);
            return 0;
        }
        return sb_config_set_text(r, &identity->tenant, SB_STR(SB_TENANT_LOCAL));
    }
    if (strcmp(identity->tenant, SB_TENANT_ALL) == 0 && identity->role != SB_ROLE_AUDITOR) {
        SB_CONFIG_PROBLEM(r, node, "tenant \"*\" is for auditors only");
    }
    return 0;
}

static size_t count(const struct sb_yaml_node *list)
{
    size_t n = 0;
    for (const struct sb_yaml_node *node = list->first; node != NULL; node = node->next) {
        n++;
    }
    return n;
}

static bool is_too_long(struct sb_config_reader *r, const struct sb_yaml_node *list)
{
    if (count(list) <= SB_AUTH_CONFIG_ITEMS) {
        return false;
    }
    SB_CONFIG_PROBLEM(r, list, "more than %d entries", SB_AUTH_CONFIG_ITEMS);
    return true;
}

static int read_identities(struct sb_config_reader *r, const struct sb_yaml_node *list)
{
    struct sb_auth_config *auth = &r->config->auth;
    if (is_too_long(r, list)) {
        return 0;
    }
    auth->has_identities = true;
    auth->identities =
        (struct sb_auth_identity *)calloc(count(list) + 1, sizeof auth->identities[0]);
    if (auth->identities == NULL) {
        return sb_err_oom(r->err);
    }
    for (const struct sb_yaml_node *node = list->first; node != NULL; node = node->next) {
        if (!sb_config_expect_kind(r, node, "identity", SB_YAML_MAP)) {
            continue;
        }
        r->identity = &auth->identities[auth->n_identities++];
        if (SB_CONFIG_READ_MAP(r, node, identity_keys) < 0 || check_identity(r, node) < 0) {
            return -1;
        }
    }
    return 0;
}

static int read_gateways(struct sb_config_reader *r, const struct sb_yaml_node *list)
{
    struct sb_auth_config *auth = &r->config->auth;
    if (is_too_long(r, list)) {
        return 0;
    }
    auth->gateways = (char **)calloc(count(list) + 1, sizeof auth->gateways[0]);
    if (auth->gateways == NULL) {
        return sb_err_oom(r->err);
    }
    for (const struct sb_yaml_node *node = list->first; node != NULL; node = node->next) {
        if (!sb_config_expect_kind(r, node, "gateway", SB_YAML_SCALAR)) {
            continue;
        }
        if (node->text.len == 0 || node->text.len > SB_IDENTITY_MAX ||
            memchr(node->text.ptr, '*', node->text.len) != NULL) {
            SB_CONFIG_PROBLEM(r, node,
                              "gateways: whole names of certificates are expected, of 1 to %d "
                              "characters and without \"*\"",
                              SB_IDENTITY_MAX);
        } else if (sb_config_set_text(r, &auth->gateways[auth->n_gateways++], node->text) < 0) {
            return -1;
        }
    }
    return 0;
}

static const struct sb_config_key auth_keys[] = {
    {"gateways", SB_YAML_LIST, NULL, read_gateways},
    {"loopback", SB_YAML_SCALAR, NULL, read_loopback},
    {"identities", SB_YAML_LIST, NULL, read_identities},
};

int sb_config_auth_read(struct sb_config_reader *r, const struct sb_yaml_node *map)
{
    return SB_CONFIG_READ_MAP(r, map, auth_keys);
}

/* ---- tenants ---- */

#define AT(member) offsetof(struct sb_tenant_limits, member)

static const struct sb_field limit_fields[] = {
    {SB_STR("max_sandboxes"), SB_FIELD_U64, AT(max_sandboxes), 1, 1000000, "sandboxes",
     "alive at once", NULL},
    {SB_STR("max_memory"), SB_FIELD_BYTES, AT(mem_bytes), 1U << 20, 1ULL << 50, "bytes",
     "memory limits of all that are alive", NULL},
    {SB_STR("max_cpu"), SB_FIELD_CPU, AT(cpu_millis), 1, 1000000000, "cores",
     "processor limits of all that are alive", NULL},
    {SB_STR("requests_per_second"), SB_FIELD_U64, AT(rate), 1, SB_TENANT_RATE_MAX, "requests",
     "of all callers of the tenant", NULL},
    {SB_STR("burst"), SB_FIELD_U64, AT(burst), 1, SB_TENANT_RATE_MAX, "requests", "at once", NULL},
    {SB_STR("key_requests_per_second"), SB_FIELD_U64, AT(key_rate), 1, SB_TENANT_RATE_MAX,
     "requests", "of one key", NULL},
    {SB_STR("key_burst"), SB_FIELD_U64, AT(key_burst), 1, SB_TENANT_RATE_MAX, "requests",
     "of one key at once", NULL},
};
enum { N_LIMITS = sizeof limit_fields / sizeof limit_fields[0] };

static int read_limit(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    if (sb_field_set(limit_fields, N_LIMITS, node->key->text, node->text, &r->tenant->limits,
                     r->err) < 0) {
        SB_CONFIG_PROBLEM(r, node, "%s", r->err->text);
    }
    return 0;
}

static bool is_taken(const struct sb_config_reader *r, struct sb_str name)
{
    const struct sb_auth_config *auth = &r->config->auth;
    for (size_t i = 0; i < auth->n_tenants; i++) {
        const char *other = auth->tenants[i].name;
        if (&auth->tenants[i] != r->tenant && other != NULL &&
            sb_str_eq(sb_str_from(other), name)) {
            return true;
        }
    }
    return false;
}

static int read_tenant_name(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    if (!expect_tenant(r, node)) {
        return 0;
    }
    if (is_taken(r, node->text)) {
        SB_CONFIG_PROBLEM(r, node, "there is a tenant \"%.*s\" already", SB_STR_ARG(node->text));
        return 0;
    }
    return sb_config_set_text(r, &r->tenant->name, node->text);
}

static const struct sb_config_key tenant_keys[] = {
    {"name", SB_YAML_SCALAR, NULL, read_tenant_name},
    {"max_sandboxes", SB_YAML_SCALAR, NULL, read_limit},
    {"max_memory", SB_YAML_SCALAR, NULL, read_limit},
    {"max_cpu", SB_YAML_SCALAR, NULL, read_limit},
    {"requests_per_second", SB_YAML_SCALAR, NULL, read_limit},
    {"burst", SB_YAML_SCALAR, NULL, read_limit},
    {"key_requests_per_second", SB_YAML_SCALAR, NULL, read_limit},
    {"key_burst", SB_YAML_SCALAR, NULL, read_limit},
};

int sb_config_tenants_read(struct sb_config_reader *r, const struct sb_yaml_node *list)
{
    struct sb_auth_config *auth = &r->config->auth;
    if (is_too_long(r, list)) {
        return 0;
    }
    auth->tenants = (struct sb_auth_tenant *)calloc(count(list) + 1, sizeof auth->tenants[0]);
    if (auth->tenants == NULL) {
        return sb_err_oom(r->err);
    }
    for (const struct sb_yaml_node *node = list->first; node != NULL; node = node->next) {
        if (!sb_config_expect_kind(r, node, "tenant", SB_YAML_MAP)) {
            continue;
        }
        size_t before = r->problems->n;
        r->tenant = &auth->tenants[auth->n_tenants++];
        if (SB_CONFIG_READ_MAP(r, node, tenant_keys) < 0) {
            return -1;
        }
        if (r->tenant->name == NULL && r->problems->n == before) {
            SB_CONFIG_PROBLEM(r, node, "a tenant needs a name");
        }
    }
    return 0;
}
