#pragma once
/** Between our messages and metadata, and gRPC's byte buffers and slices. No state; any thread. */

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/slice.h>

struct sb_err;
struct sb_rpc_metadata;

/** Initial metadata of an accepted client stream (sb_rpc_call_accept), which tells it from what
 * core makes up for a call that was refused. */
#define SB_GRPC_BYTES_ACCEPTED "x-aisbx-accepted"

/** For the pointers of protobuf-c and of core that lack a const, to what is only read. */
static inline void *sb_grpc_bytes_unconst(const void *ptr)
{
    union {
        const void *in;
        void *out;
    } both = {.in = ptr};
    return both.out;
}

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

/** Copies received metadata into one block for the caller to free; keys and values are
 *  NUL-terminated. *ret_list is NULL when there is none. -1: out of memory. */
int sb_grpc_bytes_metadata(const grpc_metadata_array *array,
                           struct sb_rpc_metadata **ret_list,
                           size_t *ret_n);

/** The value of the first entry with that key, NULL when absent. @ret_len  may be NULL. */
const char *
sb_grpc_bytes_find(const struct sb_rpc_metadata *list, size_t n, const char *key, size_t *ret_len);
