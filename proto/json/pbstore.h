#pragma once
/** What pbread.c and pbparam.c share: values put into a message, and where that was asked for.
 *
 *  Every function that stores returns -1 with SB_INVALID, which names the place, or SB_EXHAUSTED;
 *  what it put into the message by then is freed with the whole. @at  where the field's value, or
 *  the element of a list, lies. */
#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <string.h>

#include "base/str.h"

struct sb_err;

struct sb_pbplace {
    char *pointer; /* SB_PBREAD_POINTER_SIZE bytes; borrowed */
    size_t len;    /* 0: the whole body */
};

/** Sets the error "PLACE: WHAT"; -1. */
int sb_pbplace_refuse(const struct sb_pbplace *place, struct sb_err *err, const char *what);

#define SB_PBSTORE(type, at, value)                                                                \
    do {                                                                                           \
        type stored_ = (value);                                                                    \
        memcpy((at), &stored_, sizeof stored_);                                                    \
    } while (0)

void sb_pbstore_pointer(void *at, const void *pointer);
/** What sb_pbstore_pointer put there. */
void *sb_pbstore_pointed(const void *at);

/** @type  INT32, INT64, UINT32 or UINT64. */
int sb_pbstore_whole(
    ProtobufCType type, double value, void *at, const struct sb_pbplace *place, struct sb_err *err);
/** @field  STRING, BYTES, or ENUM by the name of a value. */
int sb_pbstore_text(const ProtobufCFieldDescriptor *field,
                    struct sb_str text,
                    void *at,
                    const struct sb_pbplace *place,
                    struct sb_err *err);
/** A new Timestamp from a time of RFC 3339. */
int sb_pbstore_time(struct sb_str text,
                    void *at,
                    const struct sb_pbplace *place,
                    struct sb_err *err);

/** Room for n elements of a repeated field, counted by the caller as they are read so that a
 *  half-read list can be freed. NULL: no memory. */
char *sb_pbstore_list(ProtobufCMessage *message,
                      const ProtobufCFieldDescriptor *field,
                      size_t n,
                      size_t **ret_count,
                      struct sb_err *err);
/** A new entry of a map, with its key; the value is type->fields[1]. NULL: failed. */
char *sb_pbstore_entry(const ProtobufCMessageDescriptor *type,
                       struct sb_str key,
                       void *at,
                       const struct sb_pbplace *place,
                       struct sb_err *err);
