#pragma once
/** Calls on execs that exist. Handlers for the table in api_sandbox.c. */
#include "aisbx/v1/sandbox_service.rpc.h"

void sb_api_exec_get(struct sb_rpc_call *call, const Aisbx__V1__GetExecRequest *req, void *svc);
void sb_api_exec_list(struct sb_rpc_call *call, const Aisbx__V1__ListExecsRequest *req, void *svc);
void sb_api_exec_read(struct sb_rpc_call *call,
                      const Aisbx__V1__ReadExecOutputRequest *req,
                      void *svc);
void sb_api_exec_send_input(struct sb_rpc_call *call,
                            const Aisbx__V1__SendExecInputRequest *req,
                            void *svc);
void sb_api_exec_signal(struct sb_rpc_call *call,
                        const Aisbx__V1__SignalExecRequest *req,
                        void *svc);
void sb_api_exec_cancel(struct sb_rpc_call *call,
                        const Aisbx__V1__CancelExecRequest *req,
                        void *svc);
void sb_api_exec_resize(struct sb_rpc_call *call,
                        const Aisbx__V1__ResizeExecRequest *req,
                        void *svc);
/** Of read and cancel, which may wait. */
void sb_api_exec_wait_done(struct sb_rpc_call *call, bool cancelled, void *svc);
