#include "base/field.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/near.h"
#include "base/num.h"

#define STRING_MAX 4096U /* bytes, for rows that set no maximum */

static void *member_of(const struct sb_field *field, void *target)
{
    return (char *)target + field->offset;
}

static const void *const_member_of(const struct sb_field *field, const void *target)
{
    return (const char *)target + field->offset;
}

/* ---- kinds ---- */

typedef int
parse_fn(struct sb_str, uint64_t min, uint64_t max, uint64_t *ret_value, struct sb_err *err);
typedef const char *format_fn(char out[SB_NUM_TEXT_SIZE], uint64_t value);

static const char *format_u64(char out[SB_NUM_TEXT_SIZE], uint64_t value)
{
    (void)snprintf(out, SB_NUM_TEXT_SIZE, "%llu", (unsigned long long)value);
    return out;
}

static const char *format_mode(char out[SB_NUM_TEXT_SIZE], uint64_t value)
{
    (void)snprintf(out, SB_NUM_TEXT_SIZE, "%04llo", (unsigned long long)value);
    return out;
}

static int
parse_mode(struct sb_str text, uint64_t min, uint64_t max, uint64_t *ret_value, struct sb_err *err)
{
    uint64_t mode = 0;
    bool is_octal = text.len > 0 && text.len <= 8;
    for (size_t i = 0; i < text.len && is_octal; i++) {
        is_octal = text.ptr[i] >= '0' && text.ptr[i] <= '7';
        mode = mode * 8 + (uint64_t)(text.ptr[i] - '0');
    }
    if (!is_octal || mode < min || mode > max) {
        return sb_err_set(err, SB_INVALID, "octal permission bits, e.g. 0660");
    }
    *ret_value = mode;
    return 0;
}

static int
set_bool(const struct sb_field *f, struct sb_str value, void *member, struct sb_err *err);
static int
set_number(const struct sb_field *f, struct sb_str value, void *member, struct sb_err *err);
static int
set_string(const struct sb_field *f, struct sb_str value, void *member, struct sb_err *err);
static int
set_enum(const struct sb_field *f, struct sb_str value, void *member, struct sb_err *err);
static int
add_text(const struct sb_field *f, struct sb_str value, void *member, struct sb_err *err);

static const struct {
    int (*set)(const struct sb_field *f, struct sb_str value, void *member, struct sb_err *err);
    parse_fn *parse;   /* of numbers */
    format_fn *format; /* of numbers */
} kinds[] = {
    [SB_FIELD_BOOL] = {set_bool, NULL, NULL},
    [SB_FIELD_U64] = {set_number, sb_num_u64, format_u64},
    [SB_FIELD_BYTES] = {set_number, sb_num_bytes, sb_num_format_bytes},
    [SB_FIELD_MILLIS] = {set_number, sb_num_millis, sb_num_format_millis},
    [SB_FIELD_CPU] = {set_number, sb_num_cpu, sb_num_format_cpu},
    [SB_FIELD_MODE] = {set_number, parse_mode, format_mode},
    [SB_FIELD_STRING] = {set_string, NULL, NULL},
    [SB_FIELD_ENUM] = {set_enum, NULL, NULL},
    [SB_FIELD_TEXTS] = {add_text, NULL, NULL},
};

static const struct {
    const char *text;
    bool value;
} booleans[] = {
    {"true", true}, {"false", false}, {"yes", true}, {"no", false},
    {"on", true},   {"off", false},   {"1", true},   {"0", false},
};

static int set_bool(const struct sb_field *f, struct sb_str value, void *member, struct sb_err *err)
{
    (void)f;
    for (size_t i = 0; i < sizeof booleans / sizeof booleans[0]; i++) {
        if (sb_str_eq(value, sb_str_from(booleans[i].text))) {
            *(bool *)member = booleans[i].value;
            return 0;
        }
    }
    struct sb_str shown = sb_str_head(value, 64);
    return sb_err_set(err, SB_INVALID, "\"%.*s\" is neither true nor false", SB_STR_ARG(shown));
}

/* "a, b, c" into out, cut to fit. */
static void list_add(char *out, size_t cap, const char *name)
{
    size_t len = strlen(out);
    (void)snprintf(out + len, cap - len, "%s%s", len == 0 ? "" : ", ", name);
}

static int
set_number(const struct sb_field *f, struct sb_str value, void *member, struct sb_err *err)
{
    char words[256] = "";
    for (uint64_t i = 0; f->enum_names != NULL && f->enum_names[i] != NULL; i++) {
        if (sb_str_eq(value, sb_str_from(f->enum_names[i]))) {
            memcpy(member, &i, sizeof i);
            return 0;
        }
        list_add(words, sizeof words, f->enum_names[i]);
    }
    if (kinds[f->kind].parse(value, f->min, f->max, member, err) < 0) {
        return words[0] == '\0' ? -1 : sb_err_set(err, err->code, "%s, or %s", err->text, words);
    }
    return 0;
}

static int
set_string(const struct sb_field *f, struct sb_str value, void *member, struct sb_err *err)
{
    uint64_t max = f->max == 0 ? STRING_MAX : f->max;
    if (value.len < f->min || value.len > max) {
        return sb_err_set(err, SB_INVALID, "text of %zu bytes; %llu to %llu are permitted",
                          value.len, (unsigned long long)f->min, (unsigned long long)max);
    }
    if (sb_str_has_nul(value)) {
        return sb_err_set(err, SB_INVALID, "text with a NUL byte");
    }
    char *copy = sb_str_dup(value);
    if (copy == NULL) {
        return sb_err_oom(err);
    }
    char **owner = member;
    free(*owner);
    *owner = copy;
    return 0;
}

static int add_text(const struct sb_field *f, struct sb_str value, void *member, struct sb_err *err)
{
    struct sb_field_texts *texts = member;
    if (value.len == 0 || sb_str_has_nul(value)) {
        return sb_err_set(err, SB_INVALID, "needs a value");
    }
    if (texts->n >= f->max || texts->n == SB_FIELD_MAX_TEXTS) {
        return sb_err_set(err, SB_INVALID, "more than %llu", (unsigned long long)f->max);
    }
    char *copy = sb_str_dup(value);
    if (copy == NULL) {
        return sb_err_oom(err);
    }
    texts->items[texts->n++] = copy;
    return 0;
}

static int set_enum(const struct sb_field *f, struct sb_str value, void *member, struct sb_err *err)
{
    char choices[256] = "";
    for (int i = 0; f->enum_names[i] != NULL; i++) {
        const char *name = f->enum_names[i];
        if (name[0] == '\0') {
            continue;
        }
        if (sb_str_eq(value, sb_str_from(name))) {
            memcpy(member, &i, sizeof i);
            return 0;
        }
        list_add(choices, sizeof choices, name);
    }
    struct sb_str shown = sb_str_head(value, 64);
    return sb_err_set(err, SB_INVALID, "\"%.*s\" is not one of: %s", SB_STR_ARG(shown), choices);
}

/* ---- tables ---- */

const struct sb_field *sb_field_find(const struct sb_field *table, size_t n, struct sb_str key)
{
    for (size_t i = 0; i < n; i++) {
        if (sb_str_eq(table[i].name, key)) {
            return &table[i];
        }
    }
    return NULL;
}

static int refuse_key(const struct sb_field *table, size_t n, struct sb_str key, struct sb_err *err)
{
    char known[320] = "";
    struct sb_str shown = sb_str_head(key, 64);
    const struct sb_field *nearest = NULL;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        if (sb_near_improves(key, table[i].name, &best)) {
            nearest = &table[i];
        }
        list_add(known, sizeof known, table[i].name.ptr);
    }
    if (nearest != NULL) {
        return sb_err_set(err, SB_INVALID, "there is no \"%.*s\"; did you mean \"%.*s\"?",
                          SB_STR_ARG(shown), SB_STR_ARG(nearest->name));
    }
    return sb_err_set(err, SB_INVALID, "there is no \"%.*s\"; known are: %s", SB_STR_ARG(shown),
                      known);
}

int sb_field_set(const struct sb_field *table,
                 size_t n,
                 struct sb_str key,
                 struct sb_str value,
                 void *target,
                 struct sb_err *err)
{
    const struct sb_field *field = sb_field_find(table, n, key);
    if (field == NULL) {
        return refuse_key(table, n, key, err);
    }
    if (kinds[field->kind].set(field, value, member_of(field, target), err) < 0) {
        return sb_err_wrap(err, "%.*s", SB_STR_ARG(field->name));
    }
    return 0;
}

void sb_field_free(const struct sb_field *table, size_t n, void *target)
{
    for (size_t i = 0; i < n; i++) {
        if (table[i].kind == SB_FIELD_STRING) {
            char **owner = member_of(&table[i], target);
            free(*owner);
            *owner = NULL;
        } else if (table[i].kind == SB_FIELD_TEXTS) {
            struct sb_field_texts *texts = member_of(&table[i], target);
            while (texts->n > 0) {
                free(texts->items[--texts->n]);
            }
        }
    }
}

static const char *text_of(const struct sb_field *field, const void *member, char *number)
{
    uint64_t value = 0;
    int row = 0;
    const char *string = NULL;
    switch (field->kind) {
    case SB_FIELD_BOOL:
        return *(const bool *)member ? "true" : "false";
    case SB_FIELD_STRING:
        memcpy(&string, member, sizeof string);
        return string == NULL ? "" : string;
    case SB_FIELD_ENUM:
        memcpy(&row, member, sizeof row);
        return field->enum_names[row];
    case SB_FIELD_TEXTS:
        return "";
    case SB_FIELD_U64:
    case SB_FIELD_BYTES:
    case SB_FIELD_MILLIS:
    case SB_FIELD_CPU:
    case SB_FIELD_MODE:
        break;
    }
    memcpy(&value, member, sizeof value);
    for (uint64_t i = 0; field->enum_names != NULL && field->enum_names[i] != NULL; i++) {
        if (i == value) {
            return field->enum_names[i];
        }
    }
    return kinds[field->kind].format(number, value);
}

const char *sb_field_format(const struct sb_field *field, const void *target, char *out, size_t cap)
{
    char number[SB_NUM_TEXT_SIZE];
    (void)snprintf(out, cap, "%s", text_of(field, const_member_of(field, target), number));
    return out;
}
