#include "service/worker/policy/config_secrets.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/shared/egressproto.h"
#include "service/shared/network.h"
#include "service/worker/policy/config_read.h"
#include "service/worker/policy/path.h"
#include "service/worker/policy/profile_secrets.h"

enum { TLS_PORT = 443 };

static bool is_variable(struct sb_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!is_letter && (i == 0 || c < '0' || c > '9')) {
            return false;
        }
    }
    return name.len > 0 && name.len <= SB_SECRET_NAME_MAX;
}

static int read_path(struct sb_config_reader *r, const struct sb_yaml_node *node, char **member)
{
    char *path = NULL;
    if (sb_path_resolve(r->source->base_dir, node->text, &path, r->err) < 0) {
        sb_config_take_error(r, node, "secret");
        return r->err->code == SB_EXHAUSTED ? -1 : 0;
    }
    free(*member);
    *member = path;
    return 0;
}

static int read_file(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    return read_path(r, node, &r->secret->file);
}

static int read_ca_file(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    return read_path(r, node, &r->secret->ca_file);
}

static int read_env(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    if (!is_variable(node->text)) {
        SB_CONFIG_PROBLEM(r, node, "env: the name of an environment variable is expected");
        return 0;
    }
    return sb_config_set_text(r, &r->secret->env, node->text);
}

/* ---- hosts ---- */

static int add_host(struct sb_config_reader *r, const struct sb_yaml_node *node, bool is_tls)
{
    struct sb_network_rule rule;
    struct sb_profile_secret *secret = r->secret;
    if (sb_network_parse_rule(node->text, &rule, r->err) < 0) {
        SB_CONFIG_PROBLEM(r, node, "host \"%.*s\": %s", SB_STR_ARG(sb_str_head(node->text, 64)),
                          r->err->text);
    } else if (rule.port == 0 || (rule.kind == SB_NETWORK_ADDRESS && rule.prefix != 128)) {
        SB_CONFIG_PROBLEM(r, node,
                          "host \"%.*s\": \"host:port\" or \"*.host:port\" is expected: a secret "
                          "is bound to both",
                          SB_STR_ARG(sb_str_head(node->text, 64)));
    } else if (rule.port == TLS_PORT && !is_tls) {
        SB_CONFIG_PROBLEM(r, node,
                          "host \"%.*s\": port 443 takes TLS only, into which a secret is put with "
                          "{host: \"%.*s\", tls: true}",
                          SB_STR_ARG(sb_str_head(node->text, 64)),
                          SB_STR_ARG(sb_str_head(node->text, 64)));
    } else if (secret->plain.n + secret->tls.n == SB_EGRESS_SECRET_HOSTS) {
        SB_CONFIG_PROBLEM(r, node, "more than %d hosts", SB_EGRESS_SECRET_HOSTS);
    } else {
        return sb_strings_add(is_tls ? &secret->tls : &secret->plain, node->text, r->err);
    }
    return 0;
}

static int read_host_name(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    r->secret_host = node;
    return 0;
}

static int read_tls(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    (void)sb_config_read_bool(r, node, &r->is_secret_tls);
    return 0;
}

static const struct sb_config_key host_keys[] = {
    {"host", SB_YAML_SCALAR, NULL, read_host_name},
    {"tls", SB_YAML_SCALAR, NULL, read_tls},
};

static int read_host(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    if (node->kind == SB_YAML_SCALAR) {
        return add_host(r, node, false);
    }
    r->secret_host = NULL;
    r->is_secret_tls = false;
    if (!sb_config_expect_kind(r, node, "host", SB_YAML_MAP)) {
        return 0;
    }
    if (SB_CONFIG_READ_MAP(r, node, host_keys) < 0) {
        return -1;
    }
    if (r->secret_host == NULL) {
        SB_CONFIG_PROBLEM(r, node, "the entry has no \"host\"");
        return 0;
    }
    return add_host(r, r->secret_host, r->is_secret_tls);
}

static int read_hosts(struct sb_config_reader *r, const struct sb_yaml_node *list)
{
    for (const struct sb_yaml_node *node = list->first; node != NULL; node = node->next) {
        if (read_host(r, node) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- secrets ---- */

static const struct sb_config_key secret_keys[] = {
    {"file", SB_YAML_SCALAR, NULL, read_file},
    {"env", SB_YAML_SCALAR, NULL, read_env},
    {"hosts", SB_YAML_LIST, NULL, read_hosts},
    {"ca_file", SB_YAML_SCALAR, NULL, read_ca_file},
};

static void check(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    const struct sb_profile_secret *secret = r->secret;
    size_t n_hosts = secret->plain.n + secret->tls.n;
    bool has_source = secret->file != NULL || secret->env != NULL;
    if (secret->file != NULL && secret->env != NULL) {
        SB_CONFIG_PROBLEM(r, node, "secret %s: either \"file\" or \"env\"", secret->name);
    } else if (n_hosts == 0 && r->problems->n == 0) {
        SB_CONFIG_PROBLEM(r, node, "secret %s: \"hosts\" is missing: whom it is for", secret->name);
    } else if (secret->ca_file != NULL && (secret->tls.n == 0 || !has_source)) {
        SB_CONFIG_PROBLEM(r, node,
                          "secret %s: \"ca_file\" is for hosts with \"tls: true\", where the "
                          "source is said, too",
                          secret->name);
    }
}

static int read_secret(struct sb_config_reader *r, const struct sb_yaml_node *node)
{
    SB_CLEANUP(sb_profile_secret_done)
    struct sb_profile_secret secret = {.line = node->key->line, .column = node->key->column};
    r->secret = &secret;
    if (sb_config_set_text(r, &secret.name, node->key->text) < 0 ||
        sb_config_note(r, "secret", node->key->text, node->key) < 0) {
        return -1;
    }
    secret.is_left_out = sb_yaml_is_null(node);
    if (!secret.is_left_out) {
        if (!sb_config_expect_kind(r, node, "secret", SB_YAML_MAP)) {
            return 0;
        }
        if (SB_CONFIG_READ_MAP(r, node, secret_keys) < 0) {
            return -1;
        }
        check(r, node->key);
    }
    return sb_profile_secrets_add(&r->profile->secrets, &secret, r->err);
}

int sb_config_secrets_read(struct sb_config_reader *r, const struct sb_yaml_node *map)
{
    for (const struct sb_yaml_node *node = map->first; node != NULL; node = node->next) {
        if (r->profile->secrets.n == SB_EGRESS_MAX_SECRETS) {
            SB_CONFIG_PROBLEM(r, node->key, "more than %d secrets", SB_EGRESS_MAX_SECRETS);
            return 0;
        }
        if (!is_variable(node->key->text)) {
            SB_CONFIG_PROBLEM(
                r, node->key,
                "secret \"%.*s\": letters, digits and \"_\" are expected, as it names "
                "an environment variable",
                SB_STR_ARG(sb_str_head(node->key->text, 64)));
        } else if (read_secret(r, node) < 0) {
            return -1;
        }
    }
    return 0;
}
