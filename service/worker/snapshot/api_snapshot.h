#pragma once
/** SnapshotSandbox, ListSnapshots, DeleteSnapshot, ForkSandbox, RollbackSandbox. */
#include <stdbool.h>

#include "aisbx/v1/sandbox_service.pb-c.h"

struct sb_rpc_call;

void sb_api_snapshot_take(struct sb_rpc_call *call,
                          const Aisbx__V1__SnapshotSandboxRequest *req,
                          void *svc);
void sb_api_snapshot_done(struct sb_rpc_call *call, bool cancelled, void *svc);
void sb_api_snapshot_list(struct sb_rpc_call *call,
                          const Aisbx__V1__ListSnapshotsRequest *req,
                          void *svc);
void sb_api_snapshot_delete(struct sb_rpc_call *call,
                            const Aisbx__V1__DeleteSnapshotRequest *req,
                            void *svc);

void sb_api_fork_start(struct sb_rpc_call *call,
                       const Aisbx__V1__ForkSandboxRequest *req,
                       void *svc);
void sb_api_fork_done(struct sb_rpc_call *call, bool cancelled, void *svc);

void sb_api_rollback_start(struct sb_rpc_call *call,
                           const Aisbx__V1__RollbackSandboxRequest *req,
                           void *svc);
void sb_api_rollback_done(struct sb_rpc_call *call, bool cancelled, void *svc);
