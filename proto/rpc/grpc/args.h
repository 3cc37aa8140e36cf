#pragma once
/** A small list of channel arguments. Strings are borrowed until the list was used. */

#include <grpc/grpc.h>

enum { SB_GRPC_MAX_ARGS = 24 };

struct sb_grpc_args {
    grpc_arg list[SB_GRPC_MAX_ARGS];
    grpc_channel_args args; /* set by sb_grpc_args_get */
    size_t n;
};

void sb_grpc_args_int(struct sb_grpc_args *args, const char *key, int value);
void sb_grpc_args_string(struct sb_grpc_args *args, const char *key, const char *value);

/** @value  borrowed as strings are. */
void sb_grpc_args_pointer(struct sb_grpc_args *args,
                          const char *key,
                          void *value,
                          const grpc_arg_pointer_vtable *vtable);

/** Arguments both ends share: message sizes, windows of a fixed size. Without the latter a peer
 * that stops reading lets core buffer megabytes per stream. @max_message_bytes  either direction.
 */
void sb_grpc_args_common(struct sb_grpc_args *args, size_t max_message_bytes);

/** Valid as long as *args is, and until it is changed. */
const grpc_channel_args *sb_grpc_args_get(struct sb_grpc_args *args);
