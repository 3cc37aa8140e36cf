/* Fields set from texts of a URL: parameters, and segments of its path. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "proto/json/json_node.h"
#include "proto/json/pbread.h"
#include "proto/json/pbstore.h"
#include "proto/json/pbtype.h"

/* ---- parameters ---- */

static const ProtobufCFieldDescriptor *field_of(const ProtobufCMessageDescriptor *type,
                                                struct sb_str name)
{
    char text[64];
    if (name.len >= sizeof text) {
        return NULL;
    }
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    return protobuf_c_message_descriptor_get_field_by_name(type, text);
}

static bool is_time(const ProtobufCFieldDescriptor *field)
{
    return field->descriptor == &google__protobuf__timestamp__descriptor;
}

/* Follows "a.b", and "file" to "file.path"; makes the message on the way when @message is given. */
static const ProtobufCFieldDescriptor *find_param(const ProtobufCMessageDescriptor *type,
                                                  struct sb_str name,
                                                  ProtobufCMessage **message,
                                                  struct sb_err *err)
{
    struct sb_str first = name;
    struct sb_str rest = {NULL, 0};
    (void)sb_str_split(name, '.', &first, &rest);
    const ProtobufCFieldDescriptor *field = field_of(type, first);
    if (field == NULL || field->type != PROTOBUF_C_TYPE_MESSAGE ||
        field->label == PROTOBUF_C_LABEL_REPEATED || is_time(field)) {
        return rest.ptr != NULL ? NULL : field;
    }
    const ProtobufCFieldDescriptor *inner =
        field_of(field->descriptor, rest.ptr == NULL ? SB_STR("path") : rest);
    if (inner == NULL || inner->type == PROTOBUF_C_TYPE_MESSAGE) {
        return NULL;
    }
    if (message == NULL) {
        return inner;
    }
    char *at = (char *)*message + field->offset;
    ProtobufCMessage *made = sb_pbstore_pointed(at);
    if (made == NULL) {
        made = sb_pbread_new(field->descriptor, err);
        sb_pbstore_pointer(at, made);
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
    return field->type != PROTOBUF_C_TYPE_MESSAGE || is_time(field);
}

bool sb_pbread_has_param(const ProtobufCMessageDescriptor *type, struct sb_str name)
{
    struct sb_err ignored;
    return fits_param(find_param(type, name, NULL, &ignored));
}

static int store_param(const ProtobufCFieldDescriptor *field,
                       struct sb_str text,
                       void *at,
                       const struct sb_pbplace *place,
                       struct sb_err *err)
{
    bool is_negative = text.len > 1 && text.ptr[0] == '-';
    uint64_t number = 0;
    switch ((int)field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        if (!sb_str_eq(text, SB_STR("true")) && !sb_str_eq(text, SB_STR("false"))) {
            return sb_pbplace_refuse(place, err, "must be true or false");
        }
        SB_PBSTORE(protobuf_c_boolean, at, text.ptr[0] == 't');
        return 0;
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_STRING:
        return sb_pbstore_text(field, text, at, place, err);
    case PROTOBUF_C_TYPE_MESSAGE:
        return sb_pbstore_time(text, at, place, err);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
        if (sb_num_u64(is_negative ? sb_str_skip(text, 1) : text, 0,
                       (uint64_t)SB_JSON_NODE_EXACT_MAX, &number, err) < 0) {
            return sb_pbplace_refuse(place, err, "must be a whole number");
        }
        return sb_pbstore_whole(field->type, is_negative ? -(double)number : (double)number, at,
                                place, err);
    default:
        return sb_pbplace_refuse(place, err, "cannot be a parameter");
    }
}

static int store_pair(const ProtobufCFieldDescriptor *field,
                      struct sb_str text,
                      void *at,
                      const struct sb_pbplace *place,
                      struct sb_err *err)
{
    const ProtobufCMessageDescriptor *type = field->descriptor;
    struct sb_str key;
    struct sb_str value;
    if (!sb_str_split(text, '=', &key, &value)) {
        return sb_pbplace_refuse(place, err, "must be key=value,key=value");
    }
    char *entry = sb_pbstore_entry(type, key, at, place, err);
    if (entry == NULL) {
        return -1;
    }
    return sb_pbstore_text(&type->fields[1], value, entry + type->fields[1].offset, place, err);
}

static int store_list(ProtobufCMessage *message,
                      const ProtobufCFieldDescriptor *field,
                      struct sb_str text,
                      const struct sb_pbplace *place,
                      struct sb_err *err)
{
    size_t n = 1;
    size_t *count = NULL;
    struct sb_str piece;
    bool is_map = sb_pbtype_is_map(field);
    for (size_t i = 0; i < text.len; i++) {
        n += text.ptr[i] == ',';
    }
    char *items = sb_pbstore_list(message, field, n, &count, err);
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
    struct sb_pbplace place = {.pointer = text, .len = (size_t)len};
    sb_err_clear(err);
    const ProtobufCFieldDescriptor *field = find_param(message->descriptor, name, &message, err);
    if (!fits_param(field)) {
        return err->code != SB_OK ? -1 : sb_pbplace_refuse(&place, err, "is no parameter here");
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
    struct sb_pbplace place = {.pointer = text, .len = strlen(text)};
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
        SB_PBSTORE(uint32_t, (char *)message + field->quantifier_offset, field->id);
    }
    return sb_pbstore_text(field, value, (char *)message + field->offset, &place, err);
}
