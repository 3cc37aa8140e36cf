#include "proto/client/message.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

ProtobufCMessage *sb_message_copy(const ProtobufCMessage *message, struct sb_err *err)
{
    if (message == NULL) {
        return NULL;
    }
    size_t len = protobuf_c_message_get_packed_size(message);
    SB_CLEANUP(sb_freep) uint8_t *packed = malloc(len == 0 ? 1 : len);
    ProtobufCMessage *copy = NULL;
    if (packed != NULL) {
        (void)protobuf_c_message_pack(message, packed);
        copy = protobuf_c_message_unpack(message->descriptor, NULL, len, packed);
    }
    if (copy == NULL) {
        (void)sb_err_oom(err);
    }
    return copy;
}

void sb_message_freep(void *owner)
{
    ProtobufCMessage *message = NULL;
    memcpy(&message, owner, sizeof(void *));
    if (message != NULL) {
        protobuf_c_message_free_unpacked(message, NULL);
    }
}
