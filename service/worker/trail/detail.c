#include "service/worker/trail/detail.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/out.h"

enum { NAME_MAX_BYTES = 128, DEPTH_MAX = 8 };

/** One value of a field; of a list the i-th. */
struct value {
    const ProtobufCFieldDescriptor *field;
    const void *at;
};

static bool is_chosen(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *field)
{
    return (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0 ||
           *(const uint32_t *)(const void *)((const char *)msg + field->quantifier_offset) ==
               field->id;
}

static const ProtobufCFieldDescriptor *find(const ProtobufCMessage *msg, struct sb_str name)
{
    char text[NAME_MAX_BYTES];
    if (name.len >= sizeof text) {
        return NULL;
    }
    (void)snprintf(text, sizeof text, "%.*s", SB_STR_ARG(name));
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(msg->descriptor, text);
    return field != NULL && is_chosen(msg, field) ? field : NULL;
}

static size_t count(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *field)
{
    return field->label != PROTOBUF_C_LABEL_REPEATED
               ? 1
               : *(const size_t *)(const void *)((const char *)msg + field->quantifier_offset);
}

static size_t size_of(const ProtobufCFieldDescriptor *field)
{
    switch ((int)field->type) {
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    default:
        return 4;
    }
}

static const void *at(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *field, size_t i)
{
    const char *member = (const char *)msg + field->offset;
    return field->label != PROTOBUF_C_LABEL_REPEATED
               ? member
               : *(const char *const *)(const void *)member + i * size_of(field);
}

static const ProtobufCMessage *
child(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *field, size_t i)
{
    return *(const ProtobufCMessage *const *)at(msg, field, i);
}

/* ---- writing ---- */

struct writer {
    struct sb_json *json;
    const char *name; /* of the whole path */
    bool is_list;     /* then brackets are open */
    size_t n;
};

static void write_text(struct sb_json *json, const char *key, struct sb_str text)
{
    char cut[SB_DETAIL_TEXT_MAX + 4];
    if (text.len <= SB_DETAIL_TEXT_MAX) {
        sb_json_str(json, key, text);
        return;
    }
    size_t len = SB_DETAIL_TEXT_MAX;
    while (len > 0 && ((unsigned char)text.ptr[len] & 0xc0) == 0x80) {
        len--; /* not within a character */
    }
    memcpy(cut, text.ptr, len);
    memcpy(cut + len, "...", 3);
    sb_json_str(json, key, sb_str_of(cut, len + 3));
}

/** False: empty, and left out when it is no item of a list. */
static bool is_empty(const struct value *value)
{
    static const char zero[8];
    switch ((int)value->field->type) {
    case PROTOBUF_C_TYPE_STRING: {
        const char *text = *(const char *const *)value->at;
        return text == NULL || text[0] == '\0';
    }
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)value->at)->len == 0;
    default:
        return memcmp(value->at, zero, size_of(value->field)) == 0;
    }
}

static void write_enum(struct sb_json *json, const char *key, const struct value *value)
{
    const ProtobufCEnumDescriptor *desc = value->field->descriptor;
    int number = *(const int *)value->at;
    const ProtobufCEnumValue *known = protobuf_c_enum_descriptor_get_value(desc, number);
    if (known == NULL) {
        sb_json_i64(json, key, number);
    } else {
        sb_json_cstr(json, key, known->name);
    }
}

static void write_value(struct sb_json *json, const char *key, const struct value *value)
{
    switch ((int)value->field->type) {
    case PROTOBUF_C_TYPE_STRING:
        write_text(json, key, sb_str_from(*(const char *const *)value->at));
        break;
    case PROTOBUF_C_TYPE_BYTES:
        sb_json_u64(json, key, ((const ProtobufCBinaryData *)value->at)->len);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        sb_json_bool(json, key, *(const protobuf_c_boolean *)value->at != 0);
        break;
    case PROTOBUF_C_TYPE_ENUM:
        write_enum(json, key, value);
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        sb_json_u64(json, key, *(const uint64_t *)value->at);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        sb_json_i64(json, key, *(const int64_t *)value->at);
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        sb_json_u64(json, key, *(const uint32_t *)value->at);
        break;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        sb_json_i64(json, key, *(const int32_t *)value->at);
        break;
    default:
        break; /* no such field is named in a table */
    }
}

static void put(struct writer *writer, const struct value *value, bool is_item)
{
    if (!is_item && is_empty(value)) {
        return;
    }
    if (is_item && !writer->is_list) {
        sb_json_open(writer->json, NULL, '[');
        writer->is_list = true;
    }
    bool is_full = writer->json->out->buf.len > SB_DETAIL_MAX / 2;
    if (writer->n++ < SB_DETAIL_ITEMS_MAX && !is_full) {
        write_value(writer->json, NULL, value);
    }
}

/** True: there is something at that path. Depth is that of a path of a table. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static void
walk(struct writer *writer, const ProtobufCMessage *msg, struct sb_str path, bool is_item)
{
    struct sb_str name = path;
    struct sb_str rest = {NULL, 0};
    (void)sb_str_split(path, '.', &name, &rest);
    const ProtobufCFieldDescriptor *field = find(msg, name);
    if (field == NULL) {
        return;
    }
    is_item = is_item || field->label == PROTOBUF_C_LABEL_REPEATED;
    size_t n = count(msg, field);
    for (size_t i = 0; i < n; i++) {
        if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
            const ProtobufCMessage *next = child(msg, field, i);
            if (next != NULL && rest.len > 0) {
                walk(writer, next, rest, is_item);
            }
        } else {
            const struct value value = {field, at(msg, field, i)};
            put(writer, &value, is_item);
        }
    }
}

static void write_path(struct sb_json *json, const ProtobufCMessage *msg, struct sb_str path)
{
    char more[NAME_MAX_BYTES];
    struct sb_out *out = json->out;
    size_t start = out->buf.len;
    bool needed_comma = json->needs_comma;
    struct writer writer = {.json = json};
    sb_json_key(json, path);
    size_t after_key = out->buf.len;
    walk(&writer, msg, path, false);
    if (out->buf.len == after_key) { /* nothing there */
        sb_buf_truncate(&out->buf, start);
        json->needs_comma = needed_comma;
        return;
    }
    if (writer.is_list) {
        sb_json_close(json, ']');
    }
    if (writer.n > SB_DETAIL_ITEMS_MAX) {
        (void)snprintf(more, sizeof more, "%.*s.more", SB_STR_ARG(sb_str_head(path, 100)));
        sb_json_key(json, sb_str_from(more));
        sb_json_u64(json, NULL, writer.n);
    }
}

void sb_detail_write(struct sb_json *json, const ProtobufCMessage *msg, const char *paths)
{
    struct sb_str rest = sb_str_from(paths);
    struct sb_str path;
    while (sb_str_next(&rest, ' ', &path)) {
        if (path.len > 0) {
            write_path(json, msg, path);
        }
    }
}

const char *sb_detail_text(const ProtobufCMessage *msg, const char *path)
{
    struct sb_str rest = sb_str_from(path);
    struct sb_str name;
    while (msg != NULL && sb_str_next(&rest, '.', &name)) {
        const ProtobufCFieldDescriptor *field = find(msg, name);
        if (field == NULL || field->label == PROTOBUF_C_LABEL_REPEATED) {
            return NULL;
        }
        if (field->type == PROTOBUF_C_TYPE_STRING && rest.ptr == NULL) {
            return *(const char *const *)at(msg, field, 0);
        }
        msg = field->type == PROTOBUF_C_TYPE_MESSAGE ? child(msg, field, 0) : NULL;
    }
    return NULL;
}

const ProtobufCMessage *sb_detail_message(const ProtobufCMessage *msg, const char *name)
{
    const ProtobufCFieldDescriptor *field = find(msg, sb_str_from(name));
    return field == NULL || field->type != PROTOBUF_C_TYPE_MESSAGE ||
                   field->label == PROTOBUF_C_LABEL_REPEATED
               ? NULL
               : child(msg, field, 0);
}

bool sb_detail_has(const ProtobufCMessage *msg, const char *name)
{
    const ProtobufCFieldDescriptor *field = find(msg, sb_str_from(name));
    if (field == NULL) {
        return false;
    }
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        return true; /* chosen */
    }
    const struct value value = {field, at(msg, field, 0)};
    return count(msg, field) > 0 && !is_empty(&value);
}
