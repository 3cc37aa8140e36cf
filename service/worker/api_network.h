#pragma once
/** UpdateNetwork: answered when no connection is left that the new rules forbid. */
#include "aisbx/v1/sandbox_service.rpc.h"

void sb_api_network_update(struct sb_rpc_call *call,
                           const Aisbx__V1__UpdateNetworkRequest *req,
                           void *svc);
void sb_api_network_done(struct sb_rpc_call *call, bool cancelled, void *svc);
