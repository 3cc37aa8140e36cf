#include "proto/rpc/grpc/args.h"

#include <assert.h>
#include <limits.h>

#include "proto/rpc/grpc/bytes.h"
#include "proto/rpc/internal.h"

enum { LOOKAHEAD_BYTES = 256 << 10 }; /* what core reads ahead per stream: about 300 KB held */

static grpc_arg *next_arg(struct sb_grpc_args *args, grpc_arg_type type, const char *key)
{
    assert(args->n < SB_GRPC_MAX_ARGS);
    grpc_arg *arg = &args->list[args->n++];
    arg->type = type;
    arg->key = sb_grpc_bytes_unconst(key);
    return arg;
}

void sb_grpc_args_int(struct sb_grpc_args *args, const char *key, int value)
{
    next_arg(args, GRPC_ARG_INTEGER, key)->value.integer = value;
}

void sb_grpc_args_string(struct sb_grpc_args *args, const char *key, const char *value)
{
    next_arg(args, GRPC_ARG_STRING, key)->value.string = sb_grpc_bytes_unconst(value);
}

void sb_grpc_args_pointer(struct sb_grpc_args *args,
                          const char *key,
                          void *value,
                          const grpc_arg_pointer_vtable *vtable)
{
    grpc_arg *arg = next_arg(args, GRPC_ARG_POINTER, key);
    arg->value.pointer.p = value;
    arg->value.pointer.vtable = vtable;
}

void sb_grpc_args_common(struct sb_grpc_args *args, size_t max_message_bytes)
{
    int max = max_message_bytes > INT_MAX ? INT_MAX : (int)max_message_bytes;
    sb_grpc_args_int(args, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, max);
    sb_grpc_args_int(args, GRPC_ARG_MAX_METADATA_SIZE, SB_RPC_MAX_METADATA_BYTES);
    sb_grpc_args_int(args, GRPC_ARG_HTTP2_BDP_PROBE, 0);
    sb_grpc_args_int(args, GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, LOOKAHEAD_BYTES);
}

const grpc_channel_args *sb_grpc_args_get(struct sb_grpc_args *args)
{
    args->args = (grpc_channel_args){.num_args = args->n, .args = args->list};
    return &args->args;
}
