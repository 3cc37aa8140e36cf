#include "mcp-gateway/fleet/pbpath.h"

#include <string.h>

#include "base/str.h"
#include "google/protobuf/timestamp.pb-c.h"

enum { NAME_MAX_BYTES = 64 };

static const ProtobufCFieldDescriptor *find(const ProtobufCMessage *message, struct sb_str name)
{
    char text[NAME_MAX_BYTES];
    if (name.len >= sizeof text) {
        return NULL;
    }
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, text);
    bool is_other = field != NULL && (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
                    *(const uint32_t *)(const void *)((const char *)message +
                                                      field->quantifier_offset) != field->id;
    return is_other ? NULL : field;
}

/* Where the last field of a path lies; NULL: nowhere, or it is of another type. */
static const void *walk(const ProtobufCMessage *message, const char *path, ProtobufCType type)
{
    struct sb_str rest = sb_str_from(path);
    struct sb_str name;
    const ProtobufCFieldDescriptor *field = NULL;
    while (message != NULL && sb_str_next(&rest, '.', &name)) {
        field = find(message, name);
        if (field == NULL || field->label == PROTOBUF_C_LABEL_REPEATED) {
            return NULL;
        }
        const void *at = (const char *)message + field->offset;
        if (rest.ptr == NULL) {
            return field->type == type ? at : NULL;
        }
        message =
            field->type == PROTOBUF_C_TYPE_MESSAGE ? *(const ProtobufCMessage *const *)at : NULL;
    }
    return NULL;
}

const char *sb_pbpath_text(const ProtobufCMessage *message, const char *path)
{
    const void *at = walk(message, path, PROTOBUF_C_TYPE_STRING);
    return at == NULL ? NULL : *(const char *const *)at;
}

bool sb_pbpath_bool(const ProtobufCMessage *message, const char *path)
{
    const void *at = walk(message, path, PROTOBUF_C_TYPE_BOOL);
    return at != NULL && *(const protobuf_c_boolean *)at;
}

int64_t sb_pbpath_time(const ProtobufCMessage *message, const char *path)
{
    const void *at = walk(message, path, PROTOBUF_C_TYPE_MESSAGE);
    const Google__Protobuf__Timestamp *time =
        at == NULL ? NULL : *(const Google__Protobuf__Timestamp *const *)at;
    return time == NULL || time->base.descriptor != &google__protobuf__timestamp__descriptor
               ? 0
               : time->seconds * 1000000000 + time->nanos;
}

ProtobufCMessage ***sb_pbpath_list(ProtobufCMessage *message, const char *name, size_t **ret_n)
{
    const ProtobufCFieldDescriptor *field = find(message, sb_str_from(name));
    if (field == NULL || field->label != PROTOBUF_C_LABEL_REPEATED ||
        field->type != PROTOBUF_C_TYPE_MESSAGE) {
        return NULL;
    }
    *ret_n = (size_t *)(void *)((char *)message + field->quantifier_offset);
    return (ProtobufCMessage ***)(void *)((char *)message + field->offset);
}

void *sb_pbpath_field(ProtobufCMessage *message, const char *name)
{
    const ProtobufCFieldDescriptor *field = find(message, sb_str_from(name));
    return field == NULL || field->label == PROTOBUF_C_LABEL_REPEATED
               ? NULL
               : (char *)message + field->offset;
}
