#pragma once
/** Between protobuf-c messages, gRPC byte buffers and slices. No state; any thread. */

#include <stddef.h>

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>
#include <protobuf-c/protobuf-c.h>

struct sb_err;

/** Packs msg into a new buffer; the caller destroys it. @max_bytes  on the wire.
 *  Errors: SB_EXHAUSTED (too large). */
int sb_grpc_bytes_pack(const ProtobufCMessage *msg,
                       size_t max_bytes,
                       grpc_byte_buffer **ret_buffer,
                       struct sb_err *err);

/** Checks and unpacks; free with protobuf_c_message_free_unpacked(msg, NULL).
 *  Errors: SB_INVALID (malformed, or a limit of proto/rpc/wire.h), SB_EXHAUSTED. */
int sb_grpc_bytes_unpack(const ProtobufCMessageDescriptor *descriptor,
                         grpc_byte_buffer *buffer,
                         ProtobufCMessage **ret_msg,
                         struct sb_err *err);

/** Copies a slice into text, cut to size - 1 bytes, NUL-terminated. */
void sb_grpc_bytes_text(grpc_slice slice, char *text, size_t size);
