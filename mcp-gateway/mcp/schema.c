#include "mcp-gateway/mcp/schema.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/err.h"
#include "base/near.h"
#include "base/str.h"

enum { PATH_SIZE = 128, MAX_NAMES = 64 };

struct place {
    char path[PATH_SIZE];
};

static int
check(const cJSON *schema, const cJSON *value, const struct place *place, struct sb_err *err);

/* ---- types ---- */

static bool is_integer(const cJSON *value)
{
    return cJSON_IsNumber(value) && trunc(value->valuedouble) == value->valuedouble;
}

static bool is_boolean(const cJSON *value)
{
    return cJSON_IsBool(value) != 0;
}

static bool is_string(const cJSON *value)
{
    return cJSON_IsString(value) != 0;
}

static bool is_number(const cJSON *value)
{
    return cJSON_IsNumber(value) != 0;
}

static bool is_object(const cJSON *value)
{
    return cJSON_IsObject(value) != 0;
}

static bool is_array(const cJSON *value)
{
    return cJSON_IsArray(value) != 0;
}

static bool is_null(const cJSON *value)
{
    return cJSON_IsNull(value) != 0;
}

static const struct {
    const char *name;
    bool (*is)(const cJSON *value);
} types[] = {
    {"string", is_string}, {"integer", is_integer}, {"number", is_number}, {"boolean", is_boolean},
    {"object", is_object}, {"array", is_array},     {"null", is_null},
};

static bool is_of_type(const cJSON *value, const cJSON *type)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (cJSON_IsString(type) && strcmp(type->valuestring, types[i].name) == 0) {
            return types[i].is(value);
        }
    }
    return false;
}

static int
check_type(const cJSON *want, const cJSON *value, const struct place *place, struct sb_err *err)
{
    char names[64] = "";
    size_t len = 0;
    const cJSON *one = cJSON_IsArray(want) ? want->child : want;
    for (; one != NULL; one = cJSON_IsArray(want) ? one->next : NULL) {
        if (is_of_type(value, one)) {
            return 0;
        }
        if (len < sizeof names) {
            len += (size_t)snprintf(names + len, sizeof names - len, "%s%s", len == 0 ? "" : " or ",
                                    one->valuestring);
        }
    }
    return sb_err_set(err, SB_INVALID, "%s: must be of type %s", place->path, names);
}

/* ---- bounds ---- */

static size_t utf8_length(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++) {
        n += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return n;
}

static bool measure(const cJSON *value, const char *what, double *ret_size)
{
    if (strcmp(what, "imum") == 0 && cJSON_IsNumber(value)) {
        *ret_size = value->valuedouble;
    } else if (strcmp(what, "Length") == 0 && cJSON_IsString(value)) {
        *ret_size = (double)utf8_length(value->valuestring);
    } else if (strcmp(what, "Items") == 0 && cJSON_IsArray(value)) {
        *ret_size = cJSON_GetArraySize(value);
    } else {
        return false;
    }
    return true;
}

static int
check_bounds(const cJSON *schema, const cJSON *value, const struct place *place, struct sb_err *err)
{
    static const struct {
        const char *least;
        const char *most;
        const char *what;
        const char *unit;
    } bounds[] = {
        {"minimum", "maximum", "imum", ""},
        {"minLength", "maxLength", "Length", " characters"},
        {"minItems", "maxItems", "Items", " items"},
    };
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        double size = 0;
        if (!measure(value, bounds[i].what, &size)) {
            continue;
        }
        const cJSON *least = cJSON_GetObjectItemCaseSensitive(schema, bounds[i].least);
        const cJSON *most = cJSON_GetObjectItemCaseSensitive(schema, bounds[i].most);
        if (cJSON_IsNumber(least) && size < least->valuedouble) {
            return sb_err_set(err, SB_INVALID, "%s: must be at least %.15g%s", place->path,
                              least->valuedouble, bounds[i].unit);
        }
        if (cJSON_IsNumber(most) && size > most->valuedouble) {
            return sb_err_set(err, SB_INVALID, "%s: must be at most %.15g%s", place->path,
                              most->valuedouble, bounds[i].unit);
        }
    }
    return 0;
}

static int check_choice(const cJSON *choices,
                        const cJSON *value,
                        const struct place *place,
                        struct sb_err *err)
{
    char text[256] = "";
    size_t len = 0;
    const cJSON *choice = NULL;
    cJSON_ArrayForEach(choice, choices)
    {
        if (cJSON_Compare(choice, value, 1)) {
            return 0;
        }
        if (cJSON_IsString(choice) && len < sizeof text) {
            len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", len == 0 ? "" : ", ",
                                    choice->valuestring);
        }
    }
    return sb_err_set(err, SB_INVALID, "%s: must be one of %s", place->path, text);
}

/* ---- what is inside: as deep as the schema, which is ours. NOLINTBEGIN(misc-no-recursion) ---- */

static int
unknown(const cJSON *properties, const cJSON *member, const struct place *place, struct sb_err *err)
{
    const char *names[MAX_NAMES];
    size_t n = 0;
    const cJSON *property = NULL;
    cJSON_ArrayForEach(property, properties)
    {
        if (n < MAX_NAMES) {
            names[n++] = property->string;
        }
    }
    const char *near = sb_near_find(sb_str_from(member->string), names, n);
    return sb_err_set(err, SB_INVALID, "%s: has no \"%.64s\"%s%s%s", place->path, member->string,
                      near == NULL ? "" : "; did you mean \"", near == NULL ? "" : near,
                      near == NULL ? "" : "\"?");
}

static int check_members(const cJSON *schema,
                         const cJSON *value,
                         const struct place *place,
                         struct sb_err *err)
{
    const cJSON *properties = cJSON_GetObjectItemCaseSensitive(schema, "properties");
    const cJSON *name = NULL;
    cJSON_ArrayForEach(name, cJSON_GetObjectItemCaseSensitive(schema, "required"))
    {
        if (cJSON_GetObjectItemCaseSensitive(value, name->valuestring) == NULL) {
            return sb_err_set(err, SB_INVALID, "%s: needs \"%s\"", place->path, name->valuestring);
        }
    }
    bool is_closed =
        cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(schema, "additionalProperties"));
    const cJSON *member = NULL;
    cJSON_ArrayForEach(member, value)
    {
        const cJSON *property = cJSON_GetObjectItemCaseSensitive(properties, member->string);
        if (property == NULL) {
            if (is_closed) {
                return unknown(properties, member, place, err);
            }
            continue;
        }
        struct place inner;
        (void)snprintf(inner.path, sizeof inner.path, "%.60s.%.60s", place->path, member->string);
        if (check(property, member, &inner, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
check_items(const cJSON *items, const cJSON *value, const struct place *place, struct sb_err *err)
{
    size_t i = 0;
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, value)
    {
        struct place inner;
        (void)snprintf(inner.path, sizeof inner.path, "%.100s[%zu]", place->path, i++);
        if (check(items, item, &inner, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
check(const cJSON *schema, const cJSON *value, const struct place *place, struct sb_err *err)
{
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(schema, "type");
    const cJSON *choices = cJSON_GetObjectItemCaseSensitive(schema, "enum");
    const cJSON *constant = cJSON_GetObjectItemCaseSensitive(schema, "const");
    const cJSON *items = cJSON_GetObjectItemCaseSensitive(schema, "items");
    if (type != NULL && check_type(type, value, place, err) < 0) {
        return -1;
    }
    if (choices != NULL && check_choice(choices, value, place, err) < 0) {
        return -1;
    }
    if (constant != NULL && !cJSON_Compare(constant, value, 1)) {
        return sb_err_set(err, SB_INVALID, "%s: has not the one value it may have", place->path);
    }
    if (check_bounds(schema, value, place, err) < 0) {
        return -1;
    }
    if (cJSON_IsObject(value)) {
        return check_members(schema, value, place, err);
    }
    return items != NULL && cJSON_IsArray(value) ? check_items(items, value, place, err) : 0;
}

/* NOLINTEND(misc-no-recursion) */

int sb_schema_check(const struct cJSON *schema, const struct cJSON *value, struct sb_err *err)
{
    const struct place place = {"arguments"};
    return check(schema, value, &place, err);
}
