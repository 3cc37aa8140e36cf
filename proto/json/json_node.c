#include "proto/json/json_node.h"

#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/err.h"
#include "base/near.h"
#include "base/str.h"

int sb_json_node_refuse(const struct sb_json_node *node, struct sb_err *err, const char *what)
{
    return sb_err_set(err, SB_INVALID, "%s: %s", node->path[0] == '\0' ? "file" : node->path, what);
}

bool sb_json_node_is_absent(const struct sb_json_node *node)
{
    return node->json == NULL || cJSON_IsNull(node->json);
}

struct sb_json_node sb_json_node_member(const struct sb_json_node *parent, const char *key)
{
    struct sb_json_node node = {.json = cJSON_GetObjectItemCaseSensitive(parent->json, key)};
    (void)snprintf(node.path, sizeof node.path, "%.60s%s%s", parent->path,
                   parent->path[0] == '\0' ? "" : ".", key);
    return node;
}

struct sb_json_node
sb_json_node_element(const struct sb_json_node *parent, const cJSON *json, size_t i)
{
    struct sb_json_node node = {.json = json};
    (void)snprintf(node.path, sizeof node.path, "%.60s[%zu]", parent->path, i);
    return node;
}

int sb_json_node_check_keys(const struct sb_json_node *node,
                            const char *const *keys,
                            size_t n,
                            struct sb_err *err)
{
    if (!cJSON_IsObject(node->json)) {
        return sb_json_node_refuse(node, err, "an object is expected");
    }
    for (const cJSON *json = node->json->child; json != NULL; json = json->next) {
        size_t i = 0;
        while (i < n && strcmp(json->string, keys[i]) != 0) {
            i++;
        }
        if (i < n) {
            continue;
        }
        const char *nearest = sb_near_find(sb_str_from(json->string), keys, n);
        return sb_err_set(err, SB_INVALID, "%s%sunknown key \"%.64s\"%s%s%s", node->path,
                          node->path[0] == '\0' ? "" : ": ", json->string,
                          nearest == NULL ? "" : "; did you mean \"",
                          nearest == NULL ? "" : nearest, nearest == NULL ? "" : "\"?");
    }
    return 0;
}

int sb_json_node_read_choice(const struct sb_json_node *node,
                             const struct sb_json_choice *table,
                             size_t n,
                             int *ret_value,
                             struct sb_err *err)
{
    const char *names[16];
    if (!cJSON_IsString(node->json)) {
        return sb_json_node_refuse(node, err, "a name in quotes is expected");
    }
    const char *text = node->json->valuestring;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(table[i].name, text) == 0) {
            *ret_value = table[i].value;
            return 0;
        }
        names[i] = table[i].name;
    }
    const char *nearest = sb_near_find(sb_str_from(text), names, n);
    return sb_err_set(err, SB_INVALID, "%s: unknown \"%.64s\"%s%s%s", node->path, text,
                      nearest == NULL ? "" : "; did you mean \"", nearest == NULL ? "" : nearest,
                      nearest == NULL ? "" : "\"?");
}

int sb_json_node_read_number(const struct sb_json_node *node,
                             double max,
                             uint64_t *ret_value,
                             struct sb_err *err)
{
    double value = cJSON_IsNumber(node->json) ? node->json->valuedouble : -1;
    if (!(value >= 0 && value <= max) || (double)(uint64_t)value != value) {
        return sb_err_set(err, SB_INVALID, "%s: a whole number of 0 to %.0f is expected",
                          node->path, max);
    }
    *ret_value = (uint64_t)value;
    return 0;
}

int sb_json_node_expect_list(const struct sb_json_node *node, struct sb_err *err)
{
    return cJSON_IsArray(node->json) ? 0 : sb_json_node_refuse(node, err, "a list is expected");
}

/* True in *ret_found when one of the strings of the list is text. */
int sb_json_node_list_has(const struct sb_json_node *list,
                          const char *text,
                          bool *ret_found,
                          struct sb_err *err)
{
    size_t i = 0;
    *ret_found = false;
    if (sb_json_node_expect_list(list, err) < 0) {
        return -1;
    }
    for (const cJSON *json = list->json->child; json != NULL; json = json->next) {
        struct sb_json_node at = sb_json_node_element(list, json, i++);
        if (!cJSON_IsString(json)) {
            return sb_json_node_refuse(&at, err, "a name in quotes is expected");
        }
        *ret_found = *ret_found || strcmp(json->valuestring, text) == 0;
    }
    return 0;
}
