#pragma once
#include "aisbx/v1/worker_service.rpc.h"

/** ClaimRequest, see claims.h. */
void sb_api_claim_request(struct sb_rpc_call *call,
                          const Aisbx__V1__ClaimRequestRequest *req,
                          void *svc);
