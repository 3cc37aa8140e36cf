#pragma once
/** The standard health service (grpc.health.v1). Loop thread. */

#include "proto/rpc/rpc.h"

struct sb_grpc_health;

/** Registers the service; every other service counts as healthy as the server ("") until it is set
 *  by itself. @server  borrowed. Errors: SB_EXHAUSTED, SB_EXISTS. */
int sb_grpc_health_new(struct sb_rpc_server *server,
                       struct sb_grpc_health **ret_health,
                       struct sb_err *err);
/** After the last call has ended. */
void sb_grpc_health_free(struct sb_grpc_health *health);

/** Watchers are told at once. While the server ("") is NOT_SERVING every service is. */
void sb_grpc_health_set(struct sb_grpc_health *health,
                        const char *service,
                        enum sb_rpc_health state);
