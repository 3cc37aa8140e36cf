#pragma once
/** How the maps of a configuration are read: by tables of keys. Which keys there are is config.c's.
 *  A function that returns an int returns -1 only when memory is out; what is wrong with the text
 * is added to the problems. */
#include <stdbool.h>
#include <stddef.h>

#include "service/worker/policy/config.h"
#include "service/worker/policy/problems.h"
#include "service/worker/policy/yaml.h"

struct sb_auth_identity;
struct sb_auth_tenant;
struct sb_profile_secret;
struct sb_registry_source;

struct sb_config_reader {
    const struct sb_config_source *source;
    struct sb_problems *problems;
    struct sb_config *config;
    struct sb_config_profile *at; /* the profile being read */
    struct sb_profile *profile;
    struct sb_mount *mount;           /* the mount being read */
    struct sb_profile_secret *secret; /* the secret being read, and its host */
    const struct sb_yaml_node *secret_host;
    struct sb_registry_source *registry; /* the one being read */
    bool is_secret_tls;
    struct sb_auth_identity *identity; /* the one being read */
    struct sb_auth_tenant *tenant;
    struct sb_err *err;
};

struct sb_config_key {
    const char *name;
    enum sb_yaml_kind kind;
    const char *noted; /* as which setting it is noted; NULL: not at all */
    int (*read)(struct sb_config_reader *r, const struct sb_yaml_node *node);
};

#define SB_CONFIG_PROBLEM(r, node, ...)                                                            \
    sb_problems_add((r)->problems, (node)->line, (node)->column, __VA_ARGS__)

struct sb_config_place sb_config_place_of(const struct sb_yaml_node *node);

/** Puts a copy of text in the place of *member. */
int sb_config_set_text(struct sb_config_reader *r, char **member, struct sb_str text);

/** Text of the problem *r->err, which a checking function left, at node. */
void sb_config_take_error(struct sb_config_reader *r,
                          const struct sb_yaml_node *node,
                          const char *what);

/** Notes who says a setting, and where. @kind  of an entry of a collection; NULL for others */
int sb_config_note(struct sb_config_reader *r,
                   const char *kind,
                   struct sb_str name,
                   const struct sb_yaml_node *node);

bool sb_config_expect_kind(struct sb_config_reader *r,
                           const struct sb_yaml_node *node,
                           const char *name,
                           enum sb_yaml_kind kind);

/** @n  at most 24 */
int sb_config_read_map(struct sb_config_reader *r,
                       const struct sb_yaml_node *map,
                       const struct sb_config_key *keys,
                       size_t n);
#define SB_CONFIG_READ_MAP(r, map, keys)                                                           \
    sb_config_read_map(r, map, keys, sizeof(keys) / sizeof(keys)[0])

/** Index of the text in names ([0] is not a choice); 0 and a problem when it is none of them. */
unsigned sb_config_read_choice(struct sb_config_reader *r,
                               const struct sb_yaml_node *node,
                               const char *const *names);
/** False, and a problem: neither. */
bool sb_config_read_bool(struct sb_config_reader *r,
                         const struct sb_yaml_node *node,
                         bool *ret_value);
