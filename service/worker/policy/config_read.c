#include "service/worker/policy/config_read.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/near.h"

#define KEYS_OF_MAP_MAX 24

struct sb_config_place sb_config_place_of(const struct sb_yaml_node *node)
{
    return (struct sb_config_place){.line = node->line, .column = node->column};
}

int sb_config_set_text(struct sb_config_reader *r, char **member, struct sb_str text)
{
    free(*member);
    *member = sb_str_dup(text);
    return *member == NULL ? sb_err_oom(r->err) : 0;
}

void sb_config_take_error(struct sb_config_reader *r,
                          const struct sb_yaml_node *node,
                          const char *what)
{
    SB_CONFIG_PROBLEM(r, node, "%s: %s", what, r->err->text);
}

int sb_config_note(struct sb_config_reader *r,
                   const char *kind,
                   struct sb_str name,
                   const struct sb_yaml_node *node)
{
    char where[512];
    char key[512];
    if (r->profile == NULL) {
        return 0;
    }
    (void)snprintf(where, sizeof where, "%s%s%s:%u",
                   r->source->origin == NULL ? "" : r->source->origin,
                   r->source->origin == NULL ? "" : " ", r->source->file_name, node->line);
    (void)snprintf(key, sizeof key, "%s%s%.*s", kind == NULL ? "" : kind, kind == NULL ? "" : " ",
                   SB_STR_ARG(name));
    const struct sb_origin origin = {.key = key, .profile = r->profile->name, .where = where};
    return sb_origins_add(&r->profile->origins, &origin, r->err);
}

/* ---- maps ---- */

static void unknown_key(struct sb_config_reader *r,
                        const struct sb_yaml_node *node,
                        const char *const *names,
                        size_t n)
{
    const char *nearest = sb_near_find(node->text, names, n);
    if (nearest != NULL) {
        SB_CONFIG_PROBLEM(r, node, "unknown key \"%.*s\"; did you mean \"%s\"?",
                          SB_STR_ARG(sb_str_head(node->text, 64)), nearest);
        return;
    }
    char known[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < n && used < sizeof known; i++) {
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i == 0 ? "" : ", ",
                                 names[i]);
    }
    SB_CONFIG_PROBLEM(r, node, "unknown key \"%.*s\"; known here are: %s",
                      SB_STR_ARG(sb_str_head(node->text, 64)), known);
}

bool sb_config_expect_kind(struct sb_config_reader *r,
                           const struct sb_yaml_node *node,
                           const char *name,
                           enum sb_yaml_kind kind)
{
    if (node->kind == kind) {
        return true;
    }
    SB_CONFIG_PROBLEM(r, node, "%s: expected %s, found %s", name, sb_yaml_kind_name(kind),
                      sb_yaml_is_null(node) ? "nothing" : sb_yaml_kind_name(node->kind));
    return false;
}

int sb_config_read_map(struct sb_config_reader *r,
                       const struct sb_yaml_node *map,
                       const struct sb_config_key *keys,
                       size_t n)
{
    const char *names[KEYS_OF_MAP_MAX];
    for (size_t i = 0; i < n; i++) {
        names[i] = keys[i].name;
    }
    for (const struct sb_yaml_node *node = map->first; node != NULL; node = node->next) {
        size_t i = 0;
        while (i < n && !sb_str_eq(node->key->text, sb_str_from(keys[i].name))) {
            i++;
        }
        if (i == n) {
            unknown_key(r, node->key, names, n);
        } else if (sb_config_expect_kind(r, node, keys[i].name, keys[i].kind) &&
                   ((keys[i].noted != NULL &&
                     sb_config_note(r, NULL, sb_str_from(keys[i].noted), node->key) < 0) ||
                    keys[i].read(r, node) < 0)) {
            return -1;
        }
    }
    return 0;
}

/* ---- scalars ---- */

unsigned sb_config_read_choice(struct sb_config_reader *r,
                               const struct sb_yaml_node *node,
                               const char *const *names)
{
    char known[128] = "";
    size_t used = 0;
    unsigned n = 1;
    for (; names[n] != NULL; n++) {
        if (sb_str_eq(node->text, sb_str_from(names[n]))) {
            return n;
        }
        used += (size_t)snprintf(known + used, sizeof known - used, "%s\"%s\"", n == 1 ? "" : ", ",
                                 names[n]);
    }
    SB_CONFIG_PROBLEM(r, node, "%.*s: \"%.*s\" is not one of %s", SB_STR_ARG(node->key->text),
                      SB_STR_ARG(sb_str_head(node->text, 64)), known);
    return 0;
}

bool sb_config_read_bool(struct sb_config_reader *r,
                         const struct sb_yaml_node *node,
                         bool *ret_value)
{
    static const char *const words[] = {"", "true", "false", NULL};
    unsigned choice = sb_config_read_choice(r, node, words);
    *ret_value = choice == 1;
    return choice != 0;
}
