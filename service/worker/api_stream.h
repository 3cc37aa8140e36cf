#pragma once
/** StartExec, InteractExec, AttachExec. Handlers for the table in api_sandbox.c. */
#include "aisbx/v1/sandbox_service.rpc.h"

void sb_api_stream_start_exec(struct sb_rpc_call *call,
                              const Aisbx__V1__StartExecRequest *req,
                              void *svc);
void sb_api_stream_attach(struct sb_rpc_call *call,
                          const Aisbx__V1__AttachExecRequest *req,
                          void *svc);
/** Of both. */
void sb_api_stream_drained(struct sb_rpc_call *call, void *svc);
void sb_api_stream_done(struct sb_rpc_call *call, bool cancelled, void *svc);

void sb_api_stream_interact(struct sb_rpc_call *call, void *svc);
void sb_api_stream_interact_message(struct sb_rpc_call *call,
                                    const Aisbx__V1__InteractExecRequest *msg,
                                    void *svc);
void sb_api_stream_interact_half_close(struct sb_rpc_call *call, void *svc);
