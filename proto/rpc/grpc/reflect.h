#pragma once
/** Server reflection, grpc.reflection.v1 and v1alpha. Loop thread. */

#include "proto/rpc/rpc.h"

struct sb_grpc_reflect;

/** Registers both services and describes them and the health service. Errors: SB_EXHAUSTED,
 *  SB_EXISTS. */
int sb_grpc_reflect_new(struct sb_rpc_server *server,
                        struct sb_grpc_reflect **ret_reflect,
                        struct sb_err *err);
/** After the last call has ended. */
void sb_grpc_reflect_free(struct sb_grpc_reflect *reflect);

/** @descriptors  static lifetime; adding them twice is harmless. */
void sb_grpc_reflect_add(struct sb_grpc_reflect *reflect,
                         const struct sb_rpc_descriptors *descriptors);
