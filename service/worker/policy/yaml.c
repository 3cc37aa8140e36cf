/* Theory of operation. libyaml turns the text into events; they become a tree that is bounded in
 * size, depth and nodes before anything looks at it. What YAML offers beyond maps, lists and
 * scalars (anchors, aliases, tags, several documents) is refused: no configuration of ours needs
 * it, and aliases are how a kilobyte of YAML becomes a gigabyte. */
#include "service/worker/policy/yaml.h"

#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/map.h"
#include "base/utf8.h"
#include "service/worker/policy/problems.h"

/* A node in the making: the links of the public part are const. */
struct item {
    struct sb_yaml_node node;
    struct item *allocated; /* all of the document, last first */
    struct item *last;      /* child */
};

struct sb_yaml {
    struct item *allocated;
    struct item *root;
    size_t nodes;
};

/* An open map or list. */
struct level {
    struct item *item;
    struct item *key;   /* map: waits for its value */
    struct sb_map keys; /* map: those seen, to the item of each */
};

struct builder {
    struct sb_yaml *doc;
    struct sb_problems *problems;
    struct level levels[SB_YAML_DEPTH_MAX];
    size_t depth;
    size_t documents;
};

static int problem(struct builder *b, yaml_mark_t mark, const char *text, struct sb_err *err)
{
    sb_problems_add(b->problems, (unsigned)mark.line + 1, (unsigned)mark.column + 1, "%s", text);
    return sb_err_set(err, SB_INVALID, "%s", text);
}

/* Links a finished or opened node to its parent. */
static int attach(struct builder *b, struct item *item, struct sb_err *err)
{
    if (b->depth == 0) {
        b->doc->root = item;
        return 0;
    }
    struct level *level = &b->levels[b->depth - 1];
    if (level->item->node.kind == SB_YAML_MAP) {
        if (level->key == NULL) {
            if (item->node.kind != SB_YAML_SCALAR) {
                sb_problems_add(b->problems, item->node.line, item->node.column,
                                "a key must be a plain word");
                return sb_err_set(err, SB_INVALID, "a key must be a plain word");
            }
            level->key = item;
            const struct item *old = (struct item *)sb_map_get(&level->keys, item->node.text);
            if (old != NULL) {
                sb_problems_add(b->problems, item->node.line, item->node.column,
                                "key \"%.*s\" is said twice; first in line %u",
                                SB_STR_ARG(item->node.text), old->node.line);
                return 0;
            }
            return sb_map_put(&level->keys, item->node.text, item, err);
        }
        item->node.key = &level->key->node;
        level->key = NULL;
    }
    struct item *parent = level->item;
    if (parent->last == NULL) {
        parent->node.first = &item->node;
    } else {
        parent->last->node.next = &item->node;
    }
    parent->last = item;
    return 0;
}

static struct item *
new_item(struct builder *b, enum sb_yaml_kind kind, yaml_mark_t mark, struct sb_err *err)
{
    if (b->doc->nodes == SB_YAML_NODES_MAX) {
        (void)problem(b, mark, "too many values in one file", err);
        return NULL;
    }
    struct item *item = (struct item *)calloc(1, sizeof *item);
    if (item == NULL) {
        (void)sb_err_oom(err);
        return NULL;
    }
    b->doc->nodes++;
    item->node.kind = kind;
    item->node.line = (unsigned)mark.line + 1;
    item->node.column = (unsigned)mark.column + 1;
    item->allocated = b->doc->allocated;
    b->doc->allocated = item;
    return item;
}

static int on_scalar(struct builder *b, const yaml_event_t *event, struct sb_err *err)
{
    struct sb_str text = sb_str_of(event->data.scalar.value, event->data.scalar.length);
    if (sb_str_has_nul(text)) {
        return problem(b, event->start_mark, "a NUL character is not allowed", err);
    }
    struct item *item = new_item(b, SB_YAML_SCALAR, event->start_mark, err);
    if (item == NULL) {
        return -1;
    }
    char *copy = sb_str_dup(text);
    if (copy == NULL) {
        return sb_err_oom(err);
    }
    item->node.text = sb_str_of(copy, text.len);
    item->node.is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return attach(b, item, err);
}

static int
on_open(struct builder *b, enum sb_yaml_kind kind, const yaml_event_t *event, struct sb_err *err)
{
    if (b->depth == SB_YAML_DEPTH_MAX) {
        return problem(b, event->start_mark, "nested too deeply", err);
    }
    struct item *item = new_item(b, kind, event->start_mark, err);
    if (item == NULL || attach(b, item, err) < 0) {
        return -1;
    }
    struct level *level = &b->levels[b->depth++];
    *level = (struct level){.item = item};
    sb_map_init(&level->keys, SB_YAML_NODES_MAX);
    return 0;
}

static void on_close(struct builder *b)
{
    b->depth--;
    sb_map_done(&b->levels[b->depth].keys);
}

static const yaml_char_t *anchor_of(const yaml_event_t *event)
{
    switch ((int)event->type) {
    case YAML_SCALAR_EVENT:
        return event->data.scalar.anchor;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor;
    default:
        return NULL;
    }
}

static const yaml_char_t *tag_of(const yaml_event_t *event)
{
    switch ((int)event->type) {
    case YAML_SCALAR_EVENT:
        return event->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.tag;
    default:
        return NULL;
    }
}

static int on_event(struct builder *b, const yaml_event_t *event, struct sb_err *err)
{
    if (event->type == YAML_ALIAS_EVENT || anchor_of(event) != NULL) {
        return problem(b, event->start_mark, "anchors and aliases (& and *) are not allowed", err);
    }
    if (tag_of(event) != NULL) {
        return problem(b, event->start_mark, "tags (!) are not allowed", err);
    }
    switch ((int)event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return b->documents++ == 0
                   ? 0
                   : problem(b, event->start_mark, "only one document is allowed", err);
    case YAML_SCALAR_EVENT:
        return on_scalar(b, event, err);
    case YAML_MAPPING_START_EVENT:
        return on_open(b, SB_YAML_MAP, event, err);
    case YAML_SEQUENCE_START_EVENT:
        return on_open(b, SB_YAML_LIST, event, err);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        on_close(b);
        return 0;
    default:
        return 0;
    }
}

static int on_syntax_error(struct builder *b, const yaml_parser_t *parser, struct sb_err *err)
{
    if (parser->error == YAML_MEMORY_ERROR) {
        return sb_err_oom(err);
    }
    yaml_mark_t mark = parser->problem_mark;
    if (parser->error == YAML_READER_ERROR) {
        mark = parser->mark;
    }
    return problem(b, mark, parser->problem == NULL ? "not YAML" : parser->problem, err);
}

static int run(struct builder *b, yaml_parser_t *parser, struct sb_err *err)
{
    for (bool is_end = false; !is_end;) {
        yaml_event_t event;
        if (yaml_parser_parse(parser, &event) == 0) {
            return on_syntax_error(b, parser, err);
        }
        is_end = event.type == YAML_STREAM_END_EVENT;
        int rc = on_event(b, &event, err);
        yaml_event_delete(&event);
        if (rc < 0) {
            return -1;
        }
    }
    return 0;
}

/* libyaml would say less about text that is not UTF-8, and guess at other encodings. */
static int check_text(struct sb_str text, struct sb_problems *problems, struct sb_err *err)
{
    if (text.len > SB_YAML_BYTES_MAX) {
        sb_problems_add(problems, 1, 1, "longer than %u bytes", SB_YAML_BYTES_MAX);
        return sb_err_set(err, SB_INVALID, "longer than %u bytes", SB_YAML_BYTES_MAX);
    }
    if (sb_utf8_valid(text.ptr, text.len)) {
        return 0;
    }
    unsigned line = 1;
    unsigned column = 1;
    for (struct sb_str rest = text; rest.len > 0; column++) {
        int32_t c = sb_utf8_next(&rest);
        if (c < 0) {
            break;
        }
        if (c == '\n') {
            line++;
            column = 0;
        }
    }
    sb_problems_add(problems, line, column, "not UTF-8");
    return sb_err_set(err, SB_INVALID, "not UTF-8");
}

int sb_yaml_parse(struct sb_str text,
                  struct sb_problems *problems,
                  struct sb_yaml **ret_doc,
                  struct sb_err *err)
{
    if (check_text(text, problems, err) < 0) {
        return -1;
    }
    SB_CLEANUP(sb_yaml_freep) struct sb_yaml *doc = (struct sb_yaml *)calloc(1, sizeof *doc);
    yaml_parser_t parser;
    if (doc == NULL || yaml_parser_initialize(&parser) == 0) {
        // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): its cleanup frees what it holds
        return sb_err_oom(err);
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.ptr == NULL ? "" : text.ptr),
                                 text.len);
    struct builder b = {.doc = doc, .problems = problems};
    size_t before = problems->n;
    int rc = run(&b, &parser, err);
    yaml_parser_delete(&parser);
    while (b.depth > 0) {
        on_close(&b);
    }
    if (rc < 0) {
        return -1;
    }
    if (problems->n > before) {
        return sb_err_set(err, SB_INVALID, "%s", problems->items[before].text);
    }
    *ret_doc = SB_STEAL_PTR(doc);
    return 0;
}

void sb_yaml_free(struct sb_yaml *doc)
{
    if (doc == NULL) {
        return;
    }
    for (struct item *item = doc->allocated; item != NULL;) {
        struct item *next = item->allocated;
        char *text = NULL;
        memcpy(&text, &item->node.text.ptr, sizeof text);
        free(text);
        free(item);
        item = next;
    }
    free(doc);
}

void sb_yaml_freep(struct sb_yaml **doc)
{
    sb_yaml_free(*doc);
}

const struct sb_yaml_node *sb_yaml_root(const struct sb_yaml *doc)
{
    return doc->root == NULL ? NULL : &doc->root->node;
}

const char *sb_yaml_kind_name(enum sb_yaml_kind kind)
{
    static const char *const names[] = {
        [SB_YAML_SCALAR] = "a value", [SB_YAML_MAP] = "a map", [SB_YAML_LIST] = "a list"};
    return names[kind];
}

bool sb_yaml_is_null(const struct sb_yaml_node *node)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    if (node->kind != SB_YAML_SCALAR || !node->is_plain) {
        return false;
    }
    for (size_t i = 0; i < sizeof nulls / sizeof nulls[0]; i++) {
        if (sb_str_eq(node->text, sb_str_from(nulls[i]))) {
            return true;
        }
    }
    return false;
}

static int quote_one(struct sb_buf *out, struct sb_str *rest)
{
    struct sb_str before = *rest;
    int32_t c = sb_utf8_next(rest);
    struct sb_str bytes = sb_str_head(before, before.len - rest->len);
    if (c == '"' || c == '\\') {
        return sb_buf_printf(out, "\\%c", (char)c);
    }
    if (c == '\n') {
        return sb_buf_append(out, "\\n", 2);
    }
    if (c < 0) { /* the caller's text is UTF-8; a stray byte must still not break the file */
        return sb_buf_printf(out, "\\x%02x", (unsigned char)bytes.ptr[0]);
    }
    if (!sb_utf8_printable(c)) {
        return sb_buf_printf(out, c > 0xffff ? "\\U%08x" : "\\u%04x", (unsigned)c);
    }
    return sb_buf_append_str(out, bytes);
}

int sb_yaml_quote(struct sb_buf *out, struct sb_str text, struct sb_err *err)
{
    int rc = sb_buf_append_byte(out, '"');
    for (struct sb_str rest = text; rc == 0 && rest.len > 0;) {
        rc = quote_one(out, &rest);
    }
    if (rc < 0 || sb_buf_append_byte(out, '"') < 0) {
        return sb_err_sys(err, errno, "YAML text");
    }
    return 0;
}
