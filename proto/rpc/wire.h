#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

struct sb_buf;
struct sb_err;

/** Checks the serialized bytes of a message before anything is allocated for it: well-formed,
 * fields of the declared wire types, nested at most SB_RPC_MAX_DEPTH deep, strings in UTF-8 without
 * NUL (protobuf-c checks neither and would cut at the NUL), heap it will take within the budget.
 *  @max_heap_bytes  estimate allowed for the unpacked message.
 *  Errors: SB_INVALID or SB_EXHAUSTED with the field: "command.args[3]: not UTF-8". Any thread. */
int sb_wire_check(const ProtobufCMessageDescriptor *desc,
                  const void *data,
                  size_t len,
                  size_t max_heap_bytes,
                  struct sb_err *err);

/** Checks and unpacks one message of a peer, within SB_RPC_MAX_UNPACKED_BYTES of heap.
 *  *ret_msg: protobuf_c_message_free_unpacked(msg, NULL). Errors: as sb_wire_check. Any thread. */
int sb_rpc_unpack(const ProtobufCMessageDescriptor *desc,
                  const void *data,
                  size_t len,
                  ProtobufCMessage **ret_msg,
                  struct sb_err *err);

/** Appends the serialized message. SB_EXHAUSTED when it does not fit under the buffer's maximum. */
int sb_rpc_pack(const ProtobufCMessage *msg, struct sb_buf *buf, struct sb_err *err);
