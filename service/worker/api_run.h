#pragma once
/** Run: a program from start to end in one call. Handlers for the table in api_sandbox.c. */
#include "aisbx/v1/sandbox_service.rpc.h"

void sb_api_run_start(struct sb_rpc_call *call, const Aisbx__V1__RunRequest *req, void *svc);
void sb_api_run_done(struct sb_rpc_call *call, bool cancelled, void *svc);
