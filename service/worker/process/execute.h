#pragma once
/** process.v1 Execute; for the table in process.c. */
#include "process/v1/process.rpc.h"

void sb_execute_start(struct sb_rpc_call *call, const Process__V1__ExecuteRequest *req, void *svc);
void sb_execute_done(struct sb_rpc_call *call, bool cancelled, void *svc);
