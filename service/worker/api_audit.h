#pragma once
#include "aisbx/v1/worker_service.rpc.h"

void sb_api_audit_list(struct sb_rpc_call *call,
                       const Aisbx__V1__ListAuditRecordsRequest *req,
                       void *svc);
