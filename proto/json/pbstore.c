#include "proto/json/pbstore.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "proto/json/json_node.h"
#include "proto/json/pbjson.h"
#include "proto/json/pbread.h"
#include "proto/json/pbtype.h"
#include "proto/json/when.h"

int sb_pbplace_refuse(const struct sb_pbplace *place, struct sb_err *err, const char *what)
{
    return sb_err_set(err, SB_INVALID, "%s: %s", place->len == 0 ? "the body" : place->pointer,
                      what);
}

void sb_pbstore_pointer(void *at, const void *pointer)
{
    memcpy(at, &pointer, sizeof pointer);
}

void *sb_pbstore_pointed(const void *at)
{
    void *pointer = NULL;
    memcpy(&pointer, at, sizeof pointer);
    return pointer;
}

int sb_pbstore_whole(
    ProtobufCType type, double value, void *at, const struct sb_pbplace *place, struct sb_err *err)
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
        return sb_pbplace_refuse(place, err, what);
    }
    if (type == PROTOBUF_C_TYPE_INT32) {
        SB_PBSTORE(int32_t, at, (int32_t)value);
    } else if (type == PROTOBUF_C_TYPE_INT64) {
        SB_PBSTORE(int64_t, at, (int64_t)value);
    } else if (type == PROTOBUF_C_TYPE_UINT32) {
        SB_PBSTORE(uint32_t, at, (uint32_t)value);
    } else {
        SB_PBSTORE(uint64_t, at, (uint64_t)value);
    }
    return 0;
}

static int store_enum(const ProtobufCEnumDescriptor *type,
                      struct sb_str text,
                      void *at,
                      const struct sb_pbplace *place,
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
            SB_PBSTORE(int, at, value);
            return 0;
        }
        if (len < sizeof words) {
            len += (size_t)snprintf(words + len, sizeof words - len, " %s", word);
        }
    }
    return sb_pbplace_refuse(place, err, words);
}

int sb_pbstore_text(const ProtobufCFieldDescriptor *field,
                    struct sb_str text,
                    void *at,
                    const struct sb_pbplace *place,
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
        SB_PBSTORE(ProtobufCBinaryData, at,
                   ((ProtobufCBinaryData){.len = text.len, .data = (uint8_t *)copy}));
    } else {
        sb_pbstore_pointer(at, copy);
    }
    return 0;
}

int sb_pbstore_time(struct sb_str text,
                    void *at,
                    const struct sb_pbplace *place,
                    struct sb_err *err)
{
    int64_t seconds = 0;
    int32_t nanos = 0;
    if (!sb_when_parse(text, &seconds, &nanos)) {
        return sb_pbplace_refuse(place, err, "must be a time like 2026-01-31T23:59:59Z");
    }
    ProtobufCMessage *made = sb_pbread_new(&google__protobuf__timestamp__descriptor, err);
    if (made == NULL) {
        return -1;
    }
    ((Google__Protobuf__Timestamp *)(void *)made)->seconds = seconds;
    ((Google__Protobuf__Timestamp *)(void *)made)->nanos = nanos;
    sb_pbstore_pointer(at, made);
    return 0;
}

char *sb_pbstore_list(ProtobufCMessage *message,
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
    sb_pbstore_pointer((char *)message + field->offset, items);
    *ret_count = (size_t *)(void *)((char *)message + field->quantifier_offset);
    **ret_count = 0;
    return items;
}

char *sb_pbstore_entry(const ProtobufCMessageDescriptor *type,
                       struct sb_str key,
                       void *at,
                       const struct sb_pbplace *place,
                       struct sb_err *err)
{
    ProtobufCMessage *entry = sb_pbread_new(type, err);
    if (entry == NULL) {
        return NULL;
    }
    sb_pbstore_pointer(at, entry);
    int result =
        sb_pbstore_text(&type->fields[0], key, (char *)entry + type->fields[0].offset, place, err);
    return result < 0 ? NULL : (char *)entry;
}
