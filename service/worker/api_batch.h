#pragma once
/** RunBatch. Loop thread. */
#include "aisbx/v1/sandbox_service.rpc.h"

void sb_api_batch_start(struct sb_rpc_call *call, const Aisbx__V1__RunBatchRequest *req, void *svc);
void sb_api_batch_drained(struct sb_rpc_call *call, void *svc);
void sb_api_batch_done(struct sb_rpc_call *call, bool cancelled, void *svc);
