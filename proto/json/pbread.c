#include "proto/json/pbread.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/err.h"
#include "base/json_scan.h"
#include "base/num.h"
#include "google/protobuf/field_mask.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "proto/json/json_node.h"
#include "proto/json/pbjson.h"
#include "proto/json/pbtype.h"
#include "proto/json/when.h"

enum { MAX_DEPTH = 24, MAX_VALUES = 50000, MAX_NUMBER = 24 };

/* Where we are, for the message. */
struct place {
    char *pointer;
    size_t len;
};

ProtobufCMessage *sb_pbread_new(const ProtobufCMessageDescriptor *type, struct sb_err *err)
{
    ProtobufCMessage *made = calloc(1, type->sizeof_message);
    if (made == NULL) {
        (void)sb_err_oom(err);
        return NULL;
    }
    protobuf_c_message_init(type, made);
    return made;
}

/* Appends "/name", with ~ and / escaped; returns the length before. */
static size_t enter(struct place *place, const char *name)
{
    size_t before = place->len;
    size_t at = before;
    const size_t end = SB_PBREAD_POINTER_SIZE - 3;
    if (at < end) {
        place->pointer[at++] = '/';
    }
    for (const char *c = name; *c != '\0' && at < end; c++) {
        if (*c == '~' || *c == '/') {
            place->pointer[at++] = '~';
            place->pointer[at++] = *c == '~' ? '0' : '1';
        } else {
            place->pointer[at++] = *c;
        }
    }
    place->pointer[at] = '\0';
    place->len = at;
    return before;
}

static void leave(struct place *place, size_t before)
{
    place->len = before;
    place->pointer[before] = '\0';
}

static int refuse(const struct place *place, struct sb_err *err, const char *what)
{
    return sb_err_set(err, SB_INVALID, "%s: %s", place->len == 0 ? "the body" : place->pointer,
                      what);
}

#define STORE(type, at, value)                                                                     \
    do {                                                                                           \
        type stored_ = (value);                                                                    \
        memcpy((at), &stored_, sizeof stored_);                                                    \
    } while (0)

static void store_pointer(void *at, const void *pointer)
{
    memcpy(at, &pointer, sizeof pointer);
}

static void *load_pointer(const void *at)
{
    void *pointer = NULL;
    memcpy(&pointer, at, sizeof pointer);
    return pointer;
}

/* ---- scalars ---- */

static int store_whole(
    ProtobufCType type, double value, void *at, const struct place *place, struct sb_err *err)
{
    static const struct {
        double min;
        double max;
    } ranges[] = {
        [PROTOBUF_C_TYPE_INT32] = {-2147483648.0, 2147483647.0},
        [PROTOBUF_C_TYPE_INT64] = {-SB_JSON_NODE_EXACT_MAX, SB_JSON_NODE_EXACT_MAX},
        [PROTOBUF_C_TYPE_UINT32] = {0, 4294967295.0},
        [PROTOBUF_C_TYPE_UINT64] = {0, SB_JSON_NODE_EXACT_MAX},
    };
    if (!(value >= ranges[type].min && value <= ranges[type].max) || value != trunc(value)) {
        char what[96];
        (void)snprintf(what, sizeof what, "must be a whole number from %.0f to %.0f",
                       ranges[type].min, ranges[type].max);
        return refuse(place, err, what);
    }
    if (type == PROTOBUF_C_TYPE_INT32) {
        STORE(int32_t, at, (int32_t)value);
    } else if (type == PROTOBUF_C_TYPE_INT64) {
        STORE(int64_t, at, (int64_t)value);
    } else if (type == PROTOBUF_C_TYPE_UINT32) {
        STORE(uint32_t, at, (uint32_t)value);
    } else {
        STORE(uint64_t, at, (uint64_t)value);
    }
    return 0;
}

static int store_enum(const ProtobufCEnumDescriptor *type,
                      struct sb_str text,
                      void *at,
                      const struct place *place,
                      struct sb_err *err)
{
    char words[320] = "must be one of";
    size_t len = strlen(words);
    char scratch[64];
    for (unsigned i = 0; i < type->n_values; i++) {
        int value = type->values[i].value;
        const char *word = sb_pbjson_enum(type, value, scratch);
        if (value == 0) {
            continue;
        }
        if (sb_str_eq(text, sb_str_from(word))) {
            STORE(int, at, value);
            return 0;
        }
        if (len < sizeof words) {
            len += (size_t)snprintf(words + len, sizeof words - len, " %s", word);
        }
    }
    return refuse(place, err, words);
}

static int store_text(const ProtobufCFieldDescriptor *field,
                      struct sb_str text,
                      void *at,
                      const struct place *place,
                      struct sb_err *err)
{
    if (field->type == PROTOBUF_C_TYPE_ENUM) {
        return store_enum(field->descriptor, text, at, place, err);
    }
    char *copy = sb_str_dup(text.ptr == NULL ? SB_STR("") : text);
    if (copy == NULL) {
        return sb_err_oom(err);
    }
    if (field->type == PROTOBUF_C_TYPE_BYTES) {
        STORE(ProtobufCBinaryData, at,
              ((ProtobufCBinaryData){.len = text.len, .data = (uint8_t *)copy}));
    } else {
        store_pointer(at, copy);
    }
    return 0;
}

static int store_time(struct sb_str text, void *at, const struct place *place, struct sb_err *err)
{
    int64_t seconds = 0;
    int32_t nanos = 0;
    if (!sb_when_parse(text, &seconds, &nanos)) {
        return refuse(place, err, "must be a time like 2026-01-31T23:59:59Z");
    }
    ProtobufCMessage *made = sb_pbread_new(&google__protobuf__timestamp__descriptor, err);
    if (made == NULL) {
        return -1;
    }
    ((Google__Protobuf__Timestamp *)(void *)made)->seconds = seconds;
    ((Google__Protobuf__Timestamp *)(void *)made)->nanos = nanos;
    store_pointer(at, made);
    return 0;
}

/* ---- JSON. Its depth is bounded by the scan. NOLINTBEGIN(misc-no-recursion) ---- */

static int
read_members(const cJSON *json, ProtobufCMessage *message, struct place *place, struct sb_err *err);

static int read_message(const ProtobufCFieldDescriptor *field,
                        const cJSON *json,
                        void *at,
                        struct place *place,
                        struct sb_err *err)
{
    const ProtobufCMessageDescriptor *type = field->descriptor;
    if (type == &google__protobuf__timestamp__descriptor) {
        if (!cJSON_IsString(json)) {
            return refuse(place, err, "must be a time as text");
        }
        return store_time(sb_str_from(json->valuestring), at, place, err);
    }
    ProtobufCMessage *made = sb_pbread_new(type, err);
    if (made == NULL) {
        return -1;
    }
    store_pointer(at, made); /* freed with the whole, whatever follows */
    if (type == &google__protobuf__field_mask__descriptor) {
        cJSON paths = *json;
        char name[] = "paths";
        cJSON mask = {.type = cJSON_Object, .child = &paths};
        paths.string = name;
        paths.next = NULL;
        return read_members(&mask, made, place, err);
    }
    return read_members(json, made, place, err);
}

static int read_value(const ProtobufCFieldDescriptor *field,
                      const cJSON *json,
                      void *at,
                      struct place *place,
                      struct sb_err *err)
{
    switch ((int)field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
        if (!cJSON_IsNumber(json)) {
            return refuse(place, err, "must be a number");
        }
        return store_whole(field->type, json->valuedouble, at, place, err);
    case PROTOBUF_C_TYPE_DOUBLE:
        if (!cJSON_IsNumber(json)) {
            return refuse(place, err, "must be a number");
        }
        STORE(double, at, json->valuedouble);
        return 0;
    case PROTOBUF_C_TYPE_BOOL:
        if (!cJSON_IsBool(json)) {
            return refuse(place, err, "must be true or false");
        }
        STORE(protobuf_c_boolean, at, cJSON_IsTrue(json));
        return 0;
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
        if (!cJSON_IsString(json)) {
            return refuse(place, err, "must be a text");
        }
        return store_text(field, sb_str_from(json->valuestring), at, place, err);
    case PROTOBUF_C_TYPE_MESSAGE:
        return read_message(field, json, at, place, err);
    default:
        return refuse(place, err, "cannot be set here");
    }
}

/* Room for n elements, counted as they are read so that a half-read list can be freed. */
static char *make_list(ProtobufCMessage *message,
                       const ProtobufCFieldDescriptor *field,
                       size_t n,
                       size_t **ret_count,
                       struct sb_err *err)
{
    char *items = calloc(n == 0 ? 1 : n, sb_pbtype_size(field->type));
    if (items == NULL) {
        (void)sb_err_oom(err);
        return NULL;
    }
    store_pointer((char *)message + field->offset, items);
    *ret_count = (size_t *)(void *)((char *)message + field->quantifier_offset);
    **ret_count = 0;
    return items;
}

static int read_entry(const ProtobufCFieldDescriptor *field,
                      const cJSON *json,
                      void *at,
                      struct place *place,
                      struct sb_err *err)
{
    const ProtobufCMessageDescriptor *type = field->descriptor;
    ProtobufCMessage *entry = sb_pbread_new(type, err);
    if (entry == NULL) {
        return -1;
    }
    store_pointer(at, entry);
    if (store_text(&type->fields[0], sb_str_from(json->string),
                   (char *)entry + type->fields[0].offset, place, err) < 0) {
        return -1;
    }
    return read_value(&type->fields[1], json, (char *)entry + type->fields[1].offset, place, err);
}

static int read_repeated(ProtobufCMessage *message,
                         const ProtobufCFieldDescriptor *field,
                         const cJSON *json,
                         struct place *place,
                         struct sb_err *err)
{
    bool is_map = sb_pbtype_is_map(field);
    if (is_map ? !cJSON_IsObject(json) : !cJSON_IsArray(json)) {
        return refuse(place, err, is_map ? "must be an object" : "must be a list");
    }
    size_t n = 0;
    size_t *count = NULL;
    for (const cJSON *item = json->child; item != NULL; item = item->next) {
        n++;
    }
    char *items = make_list(message, field, n, &count, err);
    if (items == NULL) {
        return -1;
    }
    for (const cJSON *item = json->child; item != NULL; item = item->next) {
        char index[MAX_NUMBER];
        (void)snprintf(index, sizeof index, "%zu", *count);
        size_t before = enter(place, is_map ? item->string : index);
        void *at = items + (*count)++ * sb_pbtype_size(field->type);
        int failed = is_map ? read_entry(field, item, at, place, err)
                            : read_value(field, item, at, place, err);
        if (failed < 0) {
            return -1;
        }
        leave(place, before);
    }
    return 0;
}

/* By the path of the request, before its body is read. */
static bool is_set(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const char *at = (const char *)message + field->offset;
    if (field->type != PROTOBUF_C_TYPE_MESSAGE && field->type != PROTOBUF_C_TYPE_STRING) {
        return false;
    }
    const void *value = load_pointer(at);
    return value != NULL && value != field->default_value;
}

static int read_member(ProtobufCMessage *message,
                       const ProtobufCFieldDescriptor *field,
                       const cJSON *json,
                       struct place *place,
                       struct sb_err *err)
{
    char *base = (char *)message;
    if (cJSON_IsNull(json)) {
        return refuse(place, err, "must not be null; leave it out");
    }
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        return read_repeated(message, field, json, place, err);
    }
    if (is_set(message, field)) {
        return refuse(place, err, "is said by the path already");
    }
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        uint32_t chosen = 0;
        memcpy(&chosen, base + field->quantifier_offset, sizeof chosen);
        if (chosen != 0) {
            return refuse(place, err, "excludes the other member that is set beside it");
        }
        STORE(uint32_t, base + field->quantifier_offset, field->id);
    }
    return read_value(field, json, base + field->offset, place, err);
}

static int
read_members(const cJSON *json, ProtobufCMessage *message, struct place *place, struct sb_err *err)
{
    if (!cJSON_IsObject(json)) {
        return refuse(place, err, "must be an object");
    }
    for (const cJSON *item = json->child; item != NULL; item = item->next) {
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field_by_name(message->descriptor, item->string);
        size_t before = enter(place, item->string);
        if (field == NULL) {
            return refuse(place, err, "is not known here");
        }
        if (read_member(message, field, item, place, err) < 0) {
            return -1;
        }
        leave(place, before);
    }
    return 0;
}

/* NOLINTEND(misc-no-recursion) */

int sb_pbread_object(const struct cJSON *json,
                     ProtobufCMessage *message,
                     char ret_pointer[SB_PBREAD_POINTER_SIZE],
                     struct sb_err *err)
{
    struct place place = {.pointer = ret_pointer};
    ret_pointer[0] = '\0';
    return read_members(json, message, &place, err);
}

int sb_pbread_text(struct sb_str text,
                   ProtobufCMessage *message,
                   char ret_pointer[SB_PBREAD_POINTER_SIZE],
                   struct sb_err *err)
{
    const struct sb_json_scan_limits limits = {
        .bytes = text.len, .depth = MAX_DEPTH, .values = MAX_VALUES};
    ret_pointer[0] = '\0';
    if (sb_json_scan(text, &limits, err) < 0) {
        return -1;
    }
    cJSON *json = cJSON_ParseWithLength(text.ptr, text.len);
    if (json == NULL) {
        return sb_err_oom(err);
    }
    int result = sb_pbread_object(json, message, ret_pointer, err);
    cJSON_Delete(json);
    return result;
}

/* ---- parameters ---- */

/* Follows "a.b", and "file" to "file.path"; makes the message on the way when @message is given. */
static const ProtobufCFieldDescriptor *find_param(const ProtobufCMessageDescriptor *type,
                                                  struct sb_str name,
                                                  ProtobufCMessage **message,
                                                  struct sb_err *err)
{
    char text[64];
    struct sb_str first = name;
    struct sb_str rest = {NULL, 0};
    (void)sb_str_split(name, '.', &first, &rest);
    if (first.len >= sizeof text) {
        return NULL;
    }
    memcpy(text, first.ptr, first.len);
    text[first.len] = '\0';
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(type, text);
    if (field == NULL || field->type != PROTOBUF_C_TYPE_MESSAGE ||
        field->label == PROTOBUF_C_LABEL_REPEATED ||
        field->descriptor == &google__protobuf__timestamp__descriptor) {
        return field == NULL || rest.ptr != NULL ? NULL : field;
    }
    const ProtobufCFieldDescriptor *inner = protobuf_c_message_descriptor_get_field_by_name(
        field->descriptor, rest.ptr == NULL ? "path" : "");
    if (rest.ptr != NULL && rest.len < sizeof text) {
        memcpy(text, rest.ptr, rest.len);
        text[rest.len] = '\0';
        inner = protobuf_c_message_descriptor_get_field_by_name(field->descriptor, text);
    }
    if (inner == NULL || inner->type == PROTOBUF_C_TYPE_MESSAGE || message == NULL) {
        return inner != NULL && inner->type == PROTOBUF_C_TYPE_MESSAGE ? NULL : inner;
    }
    char *at = (char *)*message + field->offset;
    ProtobufCMessage *made = load_pointer(at);
    if (made == NULL) {
        made = sb_pbread_new(field->descriptor, err);
        store_pointer(at, made);
    }
    *message = made;
    return made == NULL ? NULL : inner;
}

static bool fits_param(const ProtobufCFieldDescriptor *field)
{
    if (field == NULL || (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 ||
        field->type == PROTOBUF_C_TYPE_BYTES) {
        return false;
    }
    if (sb_pbtype_is_map(field)) {
        const ProtobufCMessageDescriptor *entry = field->descriptor;
        return entry->fields[1].type == PROTOBUF_C_TYPE_STRING;
    }
    return field->type != PROTOBUF_C_TYPE_MESSAGE ||
           field->descriptor == &google__protobuf__timestamp__descriptor;
}

bool sb_pbread_has_param(const ProtobufCMessageDescriptor *type, struct sb_str name)
{
    struct sb_err ignored;
    return fits_param(find_param(type, name, NULL, &ignored));
}

static int store_param(const ProtobufCFieldDescriptor *field,
                       struct sb_str text,
                       void *at,
                       const struct place *place,
                       struct sb_err *err)
{
    bool is_negative = text.len > 1 && text.ptr[0] == '-';
    uint64_t number = 0;
    switch ((int)field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        if (!sb_str_eq(text, SB_STR("true")) && !sb_str_eq(text, SB_STR("false"))) {
            return refuse(place, err, "must be true or false");
        }
        STORE(protobuf_c_boolean, at, text.ptr[0] == 't');
        return 0;
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_STRING:
        return store_text(field, text, at, place, err);
    case PROTOBUF_C_TYPE_MESSAGE:
        return store_time(text, at, place, err);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
        if (sb_num_u64(is_negative ? sb_str_skip(text, 1) : text, 0,
                       (uint64_t)SB_JSON_NODE_EXACT_MAX, &number, err) < 0) {
            return refuse(place, err, "must be a whole number");
        }
        return store_whole(field->type, is_negative ? -(double)number : (double)number, at, place,
                           err);
    default:
        return refuse(place, err, "cannot be a parameter");
    }
}

static int store_pair(const ProtobufCFieldDescriptor *field,
                      struct sb_str text,
                      void *at,
                      const struct place *place,
                      struct sb_err *err)
{
    const ProtobufCMessageDescriptor *type = field->descriptor;
    struct sb_str key;
    struct sb_str value;
    if (!sb_str_split(text, '=', &key, &value)) {
        return refuse(place, err, "must be key=value,key=value");
    }
    ProtobufCMessage *entry = sb_pbread_new(type, err);
    if (entry == NULL) {
        return -1;
    }
    store_pointer(at, entry);
    if (store_text(&type->fields[0], key, (char *)entry + type->fields[0].offset, place, err) < 0) {
        return -1;
    }
    return store_text(&type->fields[1], value, (char *)entry + type->fields[1].offset, place, err);
}

static int store_list(ProtobufCMessage *message,
                      const ProtobufCFieldDescriptor *field,
                      struct sb_str text,
                      const struct place *place,
                      struct sb_err *err)
{
    size_t n = 1;
    size_t *count = NULL;
    struct sb_str piece;
    bool is_map = sb_pbtype_is_map(field);
    for (size_t i = 0; i < text.len; i++) {
        n += text.ptr[i] == ',';
    }
    char *items = make_list(message, field, n, &count, err);
    if (items == NULL) {
        return -1;
    }
    while (sb_str_next(&text, ',', &piece)) {
        void *at = items + (*count)++ * sb_pbtype_size(field->type);
        if ((is_map ? store_pair : store_param)(field, piece, at, place, err) < 0) {
            return -1;
        }
    }
    return 0;
}

int sb_pbread_param(ProtobufCMessage *message,
                    struct sb_str name,
                    struct sb_str value,
                    struct sb_err *err)
{
    char text[SB_PBREAD_POINTER_SIZE];
    int len = snprintf(text, sizeof text, "%.*s", (int)(name.len < 128 ? name.len : 128), name.ptr);
    struct place place = {.pointer = text, .len = (size_t)len};
    sb_err_clear(err);
    const ProtobufCFieldDescriptor *field = find_param(message->descriptor, name, &message, err);
    if (!fits_param(field)) {
        return err->code != SB_OK ? -1 : refuse(&place, err, "is no parameter here");
    }
    if (value.ptr == NULL) {
        value = SB_STR("");
    }
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        return store_list(message, field, value, &place, err);
    }
    return store_param(field, value, (char *)message + field->offset, &place, err);
}

int sb_pbread_bind(ProtobufCMessage *message,
                   struct sb_str name,
                   struct sb_str value,
                   struct sb_err *err)
{
    char text[SB_PBREAD_POINTER_SIZE] = "the path";
    struct place place = {.pointer = text, .len = strlen(text)};
    sb_err_clear(err);
    const ProtobufCFieldDescriptor *field = find_param(message->descriptor, name, &message, err);
    bool is_number = field != NULL && field->type == PROTOBUF_C_TYPE_UINT32;
    if (field == NULL || (field->type != PROTOBUF_C_TYPE_STRING && !is_number) ||
        field->label == PROTOBUF_C_LABEL_REPEATED) {
        return err->code != SB_OK ? -1
                                  : sb_err_set(err, SB_INTERNAL, "no text %.*s", SB_STR_ARG(name));
    }
    if (is_number) {
        return store_param(field, value, (char *)message + field->offset, &place, err);
    }
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        STORE(uint32_t, (char *)message + field->quantifier_offset, field->id);
    }
    return store_text(field, value, (char *)message + field->offset, &place, err);
}
