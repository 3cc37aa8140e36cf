#pragma once
/** WatchLoad. Handlers for the table in api_worker.c. */
#include "aisbx/v1/worker_service.rpc.h"

void sb_api_load_start(struct sb_rpc_call *call, const Aisbx__V1__WatchLoadRequest *req, void *svc);
void sb_api_load_drained(struct sb_rpc_call *call, void *svc);
void sb_api_load_done(struct sb_rpc_call *call, bool cancelled, void *svc);
