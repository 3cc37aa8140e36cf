#pragma once
#include "aisbx/v1/worker_service.rpc.h"

/* WorkerService.GetMetrics. */
void sb_api_metrics_get(struct sb_rpc_call *call,
                        const Aisbx__V1__GetMetricsRequest *req,
                        void *svc);
void sb_api_metrics_done(struct sb_rpc_call *call, bool cancelled, void *svc);
