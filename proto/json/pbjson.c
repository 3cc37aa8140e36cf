#include "proto/json/pbjson.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "proto/json/pbtype.h"
#include "proto/json/when.h"

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static char to_upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static char to_lower(char c)
{
    return is_upper(c) ? (char)(c - 'A' + 'a') : c;
}

/* Length of "VERDICT_KIND_" when @name begins with the words of the type's name, else 0. */
static size_t prefix_len(const char *type_name, const char *name)
{
    size_t at = 0;
    for (const char *c = type_name; *c != '\0'; c++) {
        bool begins_word = is_upper(*c) && c != type_name;
        if (begins_word && name[at++] != '_') {
            return 0;
        }
        if (name[at++] != to_upper(*c)) {
            return 0;
        }
    }
    return name[at] == '_' ? at + 1 : 0;
}

const char *sb_pbjson_enum(const ProtobufCEnumDescriptor *type, int value, char scratch[64])
{
    const ProtobufCEnumValue *row = protobuf_c_enum_descriptor_get_value(type, value);
    if (row == NULL) {
        (void)snprintf(scratch, 64, "%d", value);
        return scratch;
    }
    const char *name = row->name + prefix_len(type->short_name, row->name);
    size_t i = 0;
    for (; i < 63 && name[i] != '\0'; i++) {
        scratch[i] = to_lower(name[i]);
    }
    scratch[i] = '\0';
    return scratch;
}

static const void *member(const ProtobufCMessage *message, unsigned offset)
{
    return (const char *)message + offset;
}

#define LOAD(type, at)                                                                             \
    __extension__({                                                                                \
        type loaded_;                                                                              \
        memcpy(&loaded_, (at), sizeof(type));                                                      \
        loaded_;                                                                                   \
    })

static void put_enum(struct sb_json *json, const char *key, const void *descriptor, int value)
{
    char scratch[64];
    sb_json_cstr(json, key, sb_pbjson_enum(descriptor, value, scratch));
}

static void put_bytes(struct sb_json *json, const char *key, const void *at)
{
    ProtobufCBinaryData data = LOAD(ProtobufCBinaryData, at);
    sb_json_str(json, key, sb_str_of(data.data, data.len));
}

/* Messages of the contract do not contain themselves, so the depth is theirs.
 * NOLINTBEGIN(misc-no-recursion) */

static void put_sub(struct sb_json *json, const char *key, const void *at)
{
    const ProtobufCMessage *sub = (const ProtobufCMessage *)LOAD(const void *, at);
    if (sub == NULL) {
        return;
    }
    if (sub->descriptor == &google__protobuf__timestamp__descriptor) {
        char text[SB_WHEN_SIZE];
        sb_json_cstr(json, key, sb_when_format(text, (const void *)sub));
        return;
    }
    sb_pbjson_message(json, key, sub);
}

static void put_value(struct sb_json *json,
                      const char *key,
                      const ProtobufCFieldDescriptor *field,
                      const void *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        sb_json_i64(json, key, LOAD(int32_t, at));
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        sb_json_i64(json, key, LOAD(int64_t, at));
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        sb_json_u64(json, key, LOAD(uint32_t, at));
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        sb_json_u64(json, key, LOAD(uint64_t, at));
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        sb_json_double(json, key, (double)LOAD(float, at));
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        sb_json_double(json, key, LOAD(double, at));
        break;
    case PROTOBUF_C_TYPE_BOOL:
        sb_json_bool(json, key, LOAD(protobuf_c_boolean, at) != 0);
        break;
    case PROTOBUF_C_TYPE_ENUM:
        put_enum(json, key, field->descriptor, LOAD(int, at));
        break;
    case PROTOBUF_C_TYPE_STRING:
        sb_json_cstr(json, key, LOAD(const char *, at));
        break;
    case PROTOBUF_C_TYPE_BYTES:
        put_bytes(json, key, at);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        put_sub(json, key, at);
        break;
    default:
        break;
    }
}

static void put_entry(struct sb_json *json, const ProtobufCMessage *entry)
{
    const ProtobufCFieldDescriptor *fields = entry->descriptor->fields;
    sb_json_key(json, sb_str_from(LOAD(const char *, member(entry, fields[0].offset))));
    put_value(json, NULL, &fields[1], member(entry, fields[1].offset));
}

static void put_repeated(struct sb_json *json,
                         const ProtobufCMessage *message,
                         const ProtobufCFieldDescriptor *field)
{
    size_t n = LOAD(size_t, member(message, field->quantifier_offset));
    const char *items = LOAD(const char *, member(message, field->offset));
    bool map = sb_pbtype_is_map(field);
    sb_json_open(json, field->name, map ? '{' : '[');
    for (size_t i = 0; i < n; i++) {
        const char *at = items + i * sb_pbtype_size(field->type);
        if (map) {
            put_entry(json, (const ProtobufCMessage *)LOAD(const void *, at));
        } else {
            put_value(json, NULL, field, at);
        }
    }
    sb_json_close(json, map ? '}' : ']');
}

void sb_pbjson_message(struct sb_json *json, const char *key, const ProtobufCMessage *message)
{
    sb_json_open(json, key, '{');
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            put_repeated(json, message, field);
        } else if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0 ||
                   LOAD(unsigned, member(message, field->quantifier_offset)) == field->id) {
            put_value(json, field->name, field, member(message, field->offset));
        }
    }
    sb_json_close(json, '}');
}

/* NOLINTEND(misc-no-recursion) */
