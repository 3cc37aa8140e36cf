#pragma once
#include "aisbx/v1/worker_service.pb-c.h"

struct sb_rpc_call;

/* Of WorkerService. @svc  the struct sb_worker. */
void sb_api_packages_list(struct sb_rpc_call *call,
                          const Aisbx__V1__ListPackagesRequest *req,
                          void *svc);
void sb_api_packages_delete(struct sb_rpc_call *call,
                            const Aisbx__V1__DeletePackagesRequest *req,
                            void *svc);
