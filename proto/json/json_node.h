#pragma once
/** Reading a parsed JSON text with messages that name the place: "syscalls[3].action: ...". */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cJSON;
struct sb_err;

#define SB_JSON_NODE_PATH_SIZE 96
#define SB_JSON_NODE_EXACT_MAX 9007199254740991.0 /* the largest integer a double holds exactly */

/** A value and where it stands; json is borrowed, NULL when there is nothing. */
struct sb_json_node {
    const struct cJSON *json;
    char path[SB_JSON_NODE_PATH_SIZE]; /* "" is the whole text */
};

/** A word and what it means. */
struct sb_json_choice {
    const char *name;
    int value;
};

/** Fills *err: "<path>: <what>", SB_INVALID. Returns -1, as all below on failure. */
int sb_json_node_refuse(const struct sb_json_node *node, struct sb_err *err, const char *what);

/** True for null and for what is not there. */
bool sb_json_node_is_absent(const struct sb_json_node *node);

struct sb_json_node sb_json_node_member(const struct sb_json_node *parent, const char *key);
struct sb_json_node
sb_json_node_element(const struct sb_json_node *parent, const struct cJSON *json, size_t i);

/** Node must be an object with none but these keys. */
int sb_json_node_check_keys(const struct sb_json_node *node,
                            const char *const *keys,
                            size_t n,
                            struct sb_err *err);
int sb_json_node_expect_list(const struct sb_json_node *node, struct sb_err *err);

/** @n  at most 16 */
int sb_json_node_read_choice(const struct sb_json_node *node,
                             const struct sb_json_choice *table,
                             size_t n,
                             int *ret_value,
                             struct sb_err *err);
/** A whole number of 0 to max. */
int sb_json_node_read_number(const struct sb_json_node *node,
                             double max,
                             uint64_t *ret_value,
                             struct sb_err *err);

/** It must be a list of strings; true in *ret_found when text is one of them. */
int sb_json_node_list_has(const struct sb_json_node *list,
                          const char *text,
                          bool *ret_found,
                          struct sb_err *err);
