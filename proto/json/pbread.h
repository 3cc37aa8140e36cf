#pragma once
/** JSON read into messages of the contract, by their descriptors; the inverse of pbjson.h. */
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "base/str.h"

struct cJSON;
struct sb_err;

#define SB_PBREAD_POINTER_SIZE 256 /* bytes, with the NUL; longer ones are cut */

/** An empty message on the heap, freed with protobuf_c_message_free_unpacked(message, NULL). */
ProtobufCMessage *sb_pbread_new(const ProtobufCMessageDescriptor *type, struct sb_err *err);

/** Reads the members of a JSON object into @message, made by sb_pbread_new; what is not named
 * stays. Strict: a member that is no field, a value of another type or out of range, null, two
 * members of one oneof, or "" where a oneof needs a choice, is an error. Whole numbers up to 2^53
 * - 1. Enums and times as pbjson writes them; bytes are text; a FieldMask is a list of paths.
 *  @json  from a text that sb_json_scan passed (unique keys, no NUL, bounded depth).
 *  @ret_pointer  RFC 6901 pointer to what is wrong, on failure. Errors: SB_INVALID; SB_EXHAUSTED.
 */
int sb_pbread_object(const struct cJSON *json,
                     ProtobufCMessage *message,
                     char ret_pointer[SB_PBREAD_POINTER_SIZE],
                     struct sb_err *err);

/** Parses a text, within the limits of a request, and reads it as sb_pbread_object does. */
int sb_pbread_text(struct sb_str text,
                   ProtobufCMessage *message,
                   char ret_pointer[SB_PBREAD_POINTER_SIZE],
                   struct sb_err *err);

/** Sets one field from a parameter's text: scalars and times as in JSON but without quotes, "true"
 *  and "false"; lists parted by commas; maps of text as "key=value,key=value"; a message with one
 *  text field named "path" (FilePath) by that. "a.b" names field b of message a. False when there
 * is no such field or none that fits into a parameter. */
bool sb_pbread_has_param(const ProtobufCMessageDescriptor *type, struct sb_str name);
int sb_pbread_param(ProtobufCMessage *message,
                    struct sb_str name,
                    struct sb_str value,
                    struct sb_err *err);

/** Sets a field, text (also one of a oneof) or uint32, from a segment of the path. */
int sb_pbread_bind(ProtobufCMessage *message,
                   struct sb_str name,
                   struct sb_str value,
                   struct sb_err *err);
