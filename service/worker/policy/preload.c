#include "service/worker/policy/preload.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "service/worker/policy/config_read.h"
#include "service/worker/policy/profile.h"

static const struct sb_str node_prefix = SB_STR("node:");

static bool is_small(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_word(char c)
{
    return is_small(c) || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Words with @separator between them, none of which begins with a digit. */
static bool is_words(struct sb_str name, char separator)
{
    bool begins = true;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (begins ? !is_word(c) || (c >= '0' && c <= '9') : !is_word(c) && c != separator) {
            return false;
        }
        begins = c == separator;
    }
    return !begins;
}

static bool has_node_prefix(struct sb_str name)
{
    return name.len >= node_prefix.len && memcmp(name.ptr, node_prefix.ptr, node_prefix.len) == 0;
}

int sb_preload_check(struct sb_str name, struct sb_err *err)
{
    bool is_node = has_node_prefix(name);
    struct sb_str words = is_node ? sb_str_skip(name, node_prefix.len) : name;
    if (name.len > SB_PRELOAD_NAME_MAX || !is_words(words, is_node ? '/' : '.')) {
        return sb_err_set(err, SB_INVALID,
                          "\"%.*s\" is not the name of a module: \"json\" or \"xml.dom\" of "
                          "python, \"node:http\" of node, %d characters at most",
                          SB_STR_ARG(sb_str_head(name, SB_PRELOAD_NAME_MAX)), SB_PRELOAD_NAME_MAX);
    }
    return 0;
}

bool sb_preload_is_node(const char *name)
{
    return has_node_prefix(sb_str_from(name));
}

static bool has(const struct sb_strings *names, struct sb_str name)
{
    for (size_t i = 0; i < names->n; i++) {
        if (sb_str_eq(sb_str_from(names->items[i]), name)) {
            return true;
        }
    }
    return false;
}

int sb_preload_read(struct sb_config_reader *r, const struct sb_yaml_node *list)
{
    struct sb_strings *names = &r->profile->preload;
    r->profile->has_preload = true;
    for (const struct sb_yaml_node *node = list->first; node != NULL; node = node->next) {
        if (!sb_config_expect_kind(r, node, "module", SB_YAML_SCALAR)) {
            continue;
        }
        if (names->n == SB_PRELOAD_MAX) {
            SB_CONFIG_PROBLEM(r, node, "preload: more than %d modules", SB_PRELOAD_MAX);
            return 0;
        }
        if (sb_preload_check(node->text, r->err) < 0) {
            SB_CONFIG_PROBLEM(r, node, "preload: %s", r->err->text);
        } else if (has(names, node->text)) {
            SB_CONFIG_PROBLEM(r, node, "preload: \"%.*s\" is said twice", SB_STR_ARG(node->text));
        } else if (sb_strings_add(names, node->text, r->err) < 0) {
            return -1;
        }
    }
    return 0;
}

int sb_preload_yaml(const struct sb_strings *names, struct sb_buf *out)
{
    int rc = sb_buf_printf(out, "    preload: [");
    for (size_t i = 0; rc == 0 && i < names->n; i++) {
        rc = sb_buf_printf(out, "%s\"%s\"", i == 0 ? "" : ", ", names->items[i]);
    }
    return rc < 0 ? -1 : sb_buf_printf(out, "]\n");
}
