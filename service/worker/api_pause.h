#pragma once
/** PauseSandbox and ResumeSandbox. Loop thread. */
#include "aisbx/v1/sandbox_service.rpc.h"

void sb_api_pause_start(struct sb_rpc_call *call,
                        const Aisbx__V1__PauseSandboxRequest *req,
                        void *svc);
void sb_api_pause_resume(struct sb_rpc_call *call,
                         const Aisbx__V1__ResumeSandboxRequest *req,
                         void *svc);
/** Of both. */
void sb_api_pause_done(struct sb_rpc_call *call, bool cancelled, void *svc);
