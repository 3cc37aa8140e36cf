#pragma once
/** Values within a message, by the names of fields: "target.sandbox_id". */
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The text there; NULL: no such field, another one of its oneof, or a message on the way is unset.
 *  Borrowed. */
const char *sb_pbpath_text(const ProtobufCMessage *message, const char *path);
/** The bool there; false also when it is not there. */
bool sb_pbpath_bool(const ProtobufCMessage *message, const char *path);
/** The google.protobuf.Timestamp there, in nanoseconds since 1970; 0: unset. */
int64_t sb_pbpath_time(const ProtobufCMessage *message, const char *path);

/** The list in one field of messages; NULL: none of that name. Both borrowed and writable. */
ProtobufCMessage ***sb_pbpath_list(ProtobufCMessage *message, const char *name, size_t **ret_n);
/** The text, bool or number of one field, for who writes there; NULL: none of that name. */
void *sb_pbpath_field(ProtobufCMessage *message, const char *name);
