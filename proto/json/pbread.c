#include "proto/json/pbread.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/err.h"
#include "base/json_scan.h"
#include "google/protobuf/field_mask.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "proto/json/pbstore.h"
#include "proto/json/pbtype.h"

enum { MAX_DEPTH = 24, MAX_VALUES = 50000, MAX_NUMBER = 24 };

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
static size_t enter(struct sb_pbplace *place, const char *name)
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

static void leave(struct sb_pbplace *place, size_t before)
{
    place->len = before;
    place->pointer[before] = '\0';
}

/* ---- JSON. Its depth is bounded by the scan. NOLINTBEGIN(misc-no-recursion) ---- */

static int read_members(const cJSON *json,
                        ProtobufCMessage *message,
                        struct sb_pbplace *place,
                        struct sb_err *err);

static int read_message(const ProtobufCFieldDescriptor *field,
                        const cJSON *json,
                        void *at,
                        struct sb_pbplace *place,
                        struct sb_err *err)
{
    const ProtobufCMessageDescriptor *type = field->descriptor;
    if (type == &google__protobuf__timestamp__descriptor) {
        if (!cJSON_IsString(json)) {
            return sb_pbplace_refuse(place, err, "must be a time as text");
        }
        return sb_pbstore_time(sb_str_from(json->valuestring), at, place, err);
    }
    ProtobufCMessage *made = sb_pbread_new(type, err);
    if (made == NULL) {
        return -1;
    }
    sb_pbstore_pointer(at, made); /* freed with the whole, whatever follows */
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
                      struct sb_pbplace *place,
                      struct sb_err *err)
{
    switch ((int)field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
        if (!cJSON_IsNumber(json)) {
            return sb_pbplace_refuse(place, err, "must be a number");
        }
        return sb_pbstore_whole(field->type, json->valuedouble, at, place, err);
    case PROTOBUF_C_TYPE_DOUBLE:
        if (!cJSON_IsNumber(json)) {
            return sb_pbplace_refuse(place, err, "must be a number");
        }
        SB_PBSTORE(double, at, json->valuedouble);
        return 0;
    case PROTOBUF_C_TYPE_BOOL:
        if (!cJSON_IsBool(json)) {
            return sb_pbplace_refuse(place, err, "must be true or false");
        }
        SB_PBSTORE(protobuf_c_boolean, at, cJSON_IsTrue(json));
        return 0;
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
        if (!cJSON_IsString(json)) {
            return sb_pbplace_refuse(place, err, "must be a text");
        }
        return sb_pbstore_text(field, sb_str_from(json->valuestring), at, place, err);
    case PROTOBUF_C_TYPE_MESSAGE:
        return read_message(field, json, at, place, err);
    default:
        return sb_pbplace_refuse(place, err, "cannot be set here");
    }
}

static int read_entry(const ProtobufCFieldDescriptor *field,
                      const cJSON *json,
                      void *at,
                      struct sb_pbplace *place,
                      struct sb_err *err)
{
    const ProtobufCMessageDescriptor *type = field->descriptor;
    char *entry = sb_pbstore_entry(type, sb_str_from(json->string), at, place, err);
    if (entry == NULL) {
        return -1;
    }
    return read_value(&type->fields[1], json, entry + type->fields[1].offset, place, err);
}

static int read_repeated(ProtobufCMessage *message,
                         const ProtobufCFieldDescriptor *field,
                         const cJSON *json,
                         struct sb_pbplace *place,
                         struct sb_err *err)
{
    bool is_map = sb_pbtype_is_map(field);
    if (is_map ? !cJSON_IsObject(json) : !cJSON_IsArray(json)) {
        return sb_pbplace_refuse(place, err, is_map ? "must be an object" : "must be a list");
    }
    size_t n = 0;
    size_t *count = NULL;
    for (const cJSON *item = json->child; item != NULL; item = item->next) {
        n++;
    }
    char *items = sb_pbstore_list(message, field, n, &count, err);
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
    const void *value = sb_pbstore_pointed(at);
    return value != NULL && value != field->default_value;
}

static int read_member(ProtobufCMessage *message,
                       const ProtobufCFieldDescriptor *field,
                       const cJSON *json,
                       struct sb_pbplace *place,
                       struct sb_err *err)
{
    char *base = (char *)message;
    if (cJSON_IsNull(json)) {
        return sb_pbplace_refuse(place, err, "must not be null; leave it out");
    }
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        return read_repeated(message, field, json, place, err);
    }
    if (is_set(message, field)) {
        return sb_pbplace_refuse(place, err, "is said by the path already");
    }
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        uint32_t chosen = 0;
        memcpy(&chosen, base + field->quantifier_offset, sizeof chosen);
        if (chosen != 0) {
            return sb_pbplace_refuse(place, err, "excludes the other member that is set beside it");
        }
        SB_PBSTORE(uint32_t, base + field->quantifier_offset, field->id);
    }
    return read_value(field, json, base + field->offset, place, err);
}

static int read_members(const cJSON *json,
                        ProtobufCMessage *message,
                        struct sb_pbplace *place,
                        struct sb_err *err)
{
    if (!cJSON_IsObject(json)) {
        return sb_pbplace_refuse(place, err, "must be an object");
    }
    for (const cJSON *item = json->child; item != NULL; item = item->next) {
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field_by_name(message->descriptor, item->string);
        size_t before = enter(place, item->string);
        if (field == NULL) {
            return sb_pbplace_refuse(place, err, "is not known here");
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
    struct sb_pbplace place = {.pointer = ret_pointer};
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
