#pragma once
#include <protobuf-c/protobuf-c.h>

struct sb_json;

/** Writes any message of the contract as a JSON object, by its descriptor: proto field names; every
 *  scalar and list, also when empty, so that scripts find the same members each time; a message
 *  that is not set is left out; enum values in lower case without the name of their type
 *  (VERDICT_KIND_TIMED_OUT is "timed_out"); maps as objects; Timestamp as RFC 3339 text. */
void sb_pbjson_message(struct sb_json *json, const char *key, const ProtobufCMessage *message);

/** "timed_out" for VERDICT_KIND_TIMED_OUT; the number as text for a value this program does not
 *  know. Static storage, or @scratch. */
const char *sb_pbjson_enum(const ProtobufCEnumDescriptor *type, int value, char scratch[64]);
