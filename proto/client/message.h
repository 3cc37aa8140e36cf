#pragma once
#include <protobuf-c/protobuf-c.h>

struct sb_err;

/** A deep copy, freed with protobuf_c_message_free_unpacked. NULL with SB_EXHAUSTED, or when
 *  @message is NULL (no error then). */
ProtobufCMessage *sb_message_copy(const ProtobufCMessage *message, struct sb_err *err);

/** For SB_CLEANUP on a pointer to any generated message. */
void sb_message_freep(void *owner);
