#pragma once
/** WatchSandboxes. Handlers for the table in api_sandbox.c. */
#include "aisbx/v1/sandbox_service.rpc.h"

void sb_api_watch_start(struct sb_rpc_call *call,
                        const Aisbx__V1__WatchSandboxesRequest *req,
                        void *svc);
void sb_api_watch_drained(struct sb_rpc_call *call, void *svc);
void sb_api_watch_done(struct sb_rpc_call *call, bool cancelled, void *svc);
