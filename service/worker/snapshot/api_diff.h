#pragma once
/** DiffFiles, and CommitFiles, which is not built. */
#include <stdbool.h>

#include "aisbx/v1/file_service.pb-c.h"

struct sb_rpc_call;

void sb_api_diff_start(struct sb_rpc_call *call, const Aisbx__V1__DiffFilesRequest *req, void *svc);
void sb_api_diff_drained(struct sb_rpc_call *call, void *svc);
void sb_api_commit_refuse(struct sb_rpc_call *call,
                          const Aisbx__V1__CommitFilesRequest *req,
                          void *svc);
void sb_api_diff_done(struct sb_rpc_call *call, bool cancelled, void *svc);
