#pragma once
/** ContextService. */
#include "aisbx/v1/context_service.rpc.h"

extern const struct aisbx__v1__context_service__server sb_api_context_service;

/* ---- api_code.c ---- */

void sb_api_code_start(struct sb_rpc_call *call,
                       const Aisbx__V1__ExecuteCodeRequest *req,
                       void *svc);
void sb_api_code_drained(struct sb_rpc_call *call, void *svc);
void sb_api_code_done(struct sb_rpc_call *call, bool cancelled, void *svc);
