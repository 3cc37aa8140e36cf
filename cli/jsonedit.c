/** Theory of operation. A copy of the text of the same length has its comments and trailing commas
 *  replaced by blanks. That copy must be strict JSON; places found in it are places in the text,
 * and the text is cut and joined there. */
#include "cli/jsonedit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json_scan.h"

enum { MAX_DEPTH = 64, MAX_VALUES = 100000 };

/* ---- what is not strict JSON, made blank ---- */

static size_t string_end(struct sb_str text, size_t at)
{
    for (at++; at < text.len && text.ptr[at] != '"'; at++) {
        at += text.ptr[at] == '\\';
    }
    return at + 1 < text.len ? at + 1 : text.len;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void blank(char *text, size_t from, size_t to)
{
    for (; from < to; from++) {
        text[from] = text[from] == '\n' ? '\n' : ' ';
    }
}

/* Where a comment at that place ends; the place itself when there is none. */
static size_t comment_end(struct sb_str text, size_t at)
{
    struct sb_str rest = sb_str_skip(text, at);
    bool is_line = sb_str_starts_with(rest, SB_STR("//"));
    if (!is_line && !sb_str_starts_with(rest, SB_STR("/*"))) {
        return at;
    }
    const char *end =
        is_line ? memchr(rest.ptr, '\n', rest.len) : memmem(rest.ptr + 2, rest.len - 2, "*/", 2);
    return end == NULL ? text.len : (size_t)(end - text.ptr) + (is_line ? 0 : 2);
}

static void blank_comments(struct sb_str text, char *clean)
{
    for (size_t at = 0; at < text.len;) {
        size_t end = text.ptr[at] == '"' ? string_end(text, at) : comment_end(text, at);
        if (end > at && text.ptr[at] != '"') {
            blank(clean, at, end);
        }
        at = end > at ? end : at + 1;
    }
}

static void blank_commas(struct sb_str text, char *clean)
{
    for (size_t at = 0; at < text.len; at++) {
        if (clean[at] == '"') {
            at = string_end(text, at) - 1;
        } else if (clean[at] == ',') {
            size_t next = at + 1;
            while (next < text.len && is_blank(clean[next])) {
                next++;
            }
            if (next < text.len && (clean[next] == '}' || clean[next] == ']')) {
                clean[at] = ' ';
            }
        }
    }
}

/* @ret_clean  owned; strict JSON, or "{}" padded when there was nothing. */
static int make_clean(struct sb_str text, char **ret_clean, struct sb_err *err)
{
    static const struct sb_json_scan_limits limits = {SB_JSONEDIT_MAX_BYTES, MAX_DEPTH, MAX_VALUES};
    SB_CLEANUP(sb_freep) char *clean = sb_str_dup(text);
    if (clean == NULL) {
        return sb_err_oom(err);
    }
    blank_comments(text, clean);
    blank_commas(text, clean);
    if (sb_json_scan(sb_str_of(clean, text.len), &limits, err) < 0) {
        return -1;
    }
    *ret_clean = SB_STEAL_PTR(clean);
    return 0;
}

/* ---- places in strict JSON ---- */

static size_t skip_blanks(struct sb_str text, size_t at)
{
    while (at < text.len && is_blank(text.ptr[at])) {
        at++;
    }
    return at;
}

static size_t value_end(struct sb_str text, size_t at)
{
    if (text.ptr[at] == '"') {
        return string_end(text, at);
    }
    if (text.ptr[at] != '{' && text.ptr[at] != '[') {
        while (at < text.len && !is_blank(text.ptr[at]) && strchr(",]}", text.ptr[at]) == NULL) {
            at++;
        }
        return at;
    }
    for (unsigned depth = 0; at < text.len; at++) {
        char c = text.ptr[at];
        if (c == '"') {
            at = string_end(text, at) - 1;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            return at + 1;
        }
    }
    return at;
}

/* A member, or where one would be added. */
struct place {
    bool is_found;
    size_t open;     /* the object's brace */
    size_t close;    /* and the other one */
    size_t key;      /* of the member, or of the last one; open when the object is empty */
    size_t value;    /* the same */
    size_t end;      /* behind that value */
    size_t last_end; /* behind the value before; open + 1 when there is none */
    size_t next_key; /* of the member behind; 0 when there is none */
    bool has_members;
};

static int find_member(
    struct sb_str text, size_t open, const char *name, struct place *ret, struct sb_err *err)
{
    if (text.ptr[open] != '{') {
        return sb_err_set(err, SB_INVALID, "an object was expected where \"%s\" belongs", name);
    }
    *ret = (struct place){.open = open, .key = open, .end = open + 1, .last_end = open + 1};
    size_t at = skip_blanks(text, open + 1);
    while (text.ptr[at] != '}') {
        size_t key_end = string_end(text, at);
        struct sb_str key = sb_str_of(text.ptr + at + 1, key_end - at - 2);
        if (ret->is_found) {
            ret->next_key = ret->next_key == 0 ? at : ret->next_key;
        } else {
            ret->last_end = ret->has_members ? ret->end : open + 1;
            ret->is_found = sb_str_eq(key, sb_str_from(name));
            ret->key = at;
            ret->value = skip_blanks(text, skip_blanks(text, key_end) + 1);
            ret->end = value_end(text, ret->value);
            ret->has_members = true;
        }
        at = value_end(text, skip_blanks(text, skip_blanks(text, key_end) + 1));
        at = skip_blanks(text, at);
        at = text.ptr[at] == ',' ? skip_blanks(text, at + 1) : at;
    }
    ret->close = at;
    return 0;
}

/* ---- cutting and joining ---- */

struct edit {
    struct sb_str text;
    struct sb_buf *out;
    bool failed;
};

static void put(struct edit *edit, const char *text)
{
    edit->failed = edit->failed || sb_buf_append_str(edit->out, sb_str_from(text)) < 0;
}

static void put_range(struct edit *edit, size_t from, size_t to)
{
    edit->failed = edit->failed || sb_buf_append(edit->out, edit->text.ptr + from, to - from) < 0;
}

/* The blanks in front of what stands at that place, when it begins its line; else NULL. */
static size_t indent_of(struct sb_str text, size_t at)
{
    size_t from = at;
    while (from > 0 && (text.ptr[from - 1] == ' ' || text.ptr[from - 1] == '\t')) {
        from--;
    }
    return from > 0 && text.ptr[from - 1] == '\n' ? from : at + 1;
}

static void put_member(struct edit *edit, const char *name, struct sb_str value)
{
    put(edit, "\"");
    put(edit, name);
    put(edit, "\": ");
    edit->failed = edit->failed || sb_buf_append_str(edit->out, value) < 0;
}

/* As a member of its own, laid out like the one before it. */
static void
add_member(struct edit *edit, const struct place *place, const char *name, struct sb_str value)
{
    put_range(edit, 0, place->has_members ? place->end : place->open + 1);
    if (place->has_members) {
        size_t indent = indent_of(edit->text, place->key);
        put(edit, indent <= place->key ? ",\n" : ", ");
        if (indent <= place->key) {
            put_range(edit, indent, place->key);
        }
        put_member(edit, name, value);
        put_range(edit, place->end, edit->text.len);
        return;
    }
    size_t line = place->open;
    while (line > 0 && edit->text.ptr[line - 1] != '\n') {
        line--;
    }
    size_t first = line;
    while (edit->text.ptr[first] == ' ' || edit->text.ptr[first] == '\t') {
        first++;
    }
    put(edit, "\n");
    put_range(edit, line, first);
    put(edit, "  ");
    put_member(edit, name, value);
    put(edit, "\n");
    put_range(edit, line, first);
    put_range(edit, place->close, edit->text.len);
}

static int finish(const struct edit *edit, struct sb_err *err)
{
    SB_CLEANUP(sb_freep) char *clean = NULL;
    if (edit->failed) {
        return sb_err_set(err, SB_EXHAUSTED, "the file would become too large");
    }
    return make_clean(sb_buf_str(edit->out), &clean, err);
}

int sb_jsonedit_find(struct sb_str text,
                     const char *object,
                     const char *name,
                     bool *ret_found,
                     struct sb_str *ret_value,
                     struct sb_err *err)
{
    SB_CLEANUP(sb_freep) char *owned = NULL;
    struct place outer;
    struct place inner = {0};
    *ret_found = false;
    if (sb_str_trim(text).len == 0) {
        return 0;
    }
    if (make_clean(text, &owned, err) < 0) {
        return -1;
    }
    struct sb_str clean = sb_str_of(owned, text.len);
    if (find_member(clean, skip_blanks(clean, 0), object, &outer, err) < 0 ||
        (outer.is_found && find_member(clean, outer.value, name, &inner, err) < 0)) {
        return -1;
    }
    if (inner.is_found) {
        *ret_found = true;
        *ret_value = sb_str_of(text.ptr + inner.value, inner.end - inner.value);
    }
    return 0;
}

int sb_jsonedit_set(struct sb_str text,
                    const char *object,
                    const char *name,
                    struct sb_str value,
                    struct sb_buf *out,
                    struct sb_err *err)
{
    SB_CLEANUP(sb_freep) char *owned = NULL;
    SB_CLEANUP(sb_buf_done) struct sb_buf whole = SB_BUF_INIT(SB_JSONEDIT_MAX_BYTES);
    struct place outer;
    struct place inner;
    struct sb_str given = sb_str_trim(text).len == 0 ? SB_STR("{}\n") : text;
    struct edit edit = {.text = given, .out = out};
    if (make_clean(given, &owned, err) < 0) {
        return -1;
    }
    struct sb_str clean = sb_str_of(owned, given.len);
    if (find_member(clean, skip_blanks(clean, 0), object, &outer, err) < 0) {
        return -1;
    }
    if (!outer.is_found) {
        if (sb_buf_printf(&whole, "{\"%s\": %.*s}", name, SB_STR_ARG(value)) < 0) {
            return sb_err_sys(err, errno, "the entry");
        }
        add_member(&edit, &outer, object, sb_buf_str(&whole));
        return finish(&edit, err);
    }
    if (find_member(clean, outer.value, name, &inner, err) < 0) {
        return -1;
    }
    if (!inner.is_found) {
        add_member(&edit, &inner, name, value);
        return finish(&edit, err);
    }
    put_range(&edit, 0, inner.value);
    edit.failed = edit.failed || sb_buf_append_str(out, value) < 0;
    put_range(&edit, inner.end, given.len);
    return finish(&edit, err);
}

int sb_jsonedit_remove(struct sb_str text,
                       const char *object,
                       const char *name,
                       struct sb_buf *out,
                       struct sb_err *err)
{
    SB_CLEANUP(sb_freep) char *owned = NULL;
    struct sb_str value;
    struct place outer;
    struct place inner;
    struct edit edit = {.text = text, .out = out};
    bool is_there = false;
    if (sb_jsonedit_find(text, object, name, &is_there, &value, err) < 0) {
        return -1;
    }
    if (!is_there) {
        return sb_err_set(err, SB_NOT_FOUND, "there is no %s of that name", object);
    }
    if (make_clean(text, &owned, err) < 0) {
        return -1;
    }
    struct sb_str clean = sb_str_of(owned, text.len);
    if (find_member(clean, skip_blanks(clean, 0), object, &outer, err) < 0 ||
        find_member(clean, outer.value, name, &inner, err) < 0) {
        return -1;
    }
    bool is_first = inner.last_end == inner.open + 1;
    size_t from = is_first && inner.next_key != 0 ? inner.key : inner.last_end;
    size_t to = is_first && inner.next_key != 0 ? inner.next_key : inner.end;
    put_range(&edit, 0, from);
    put_range(&edit, to, text.len);
    return finish(&edit, err);
}
