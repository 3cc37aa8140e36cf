#pragma once
/** WorkerService.ExplainProfile: what explain.h says, as messages. */
#include "aisbx/v1/worker_service.pb-c.h"

struct sb_err;
struct sb_profiles;

/** @msg  an empty reply, filled as far as it got. Errors: SB_INVALID naming the field;
 * SB_NOT_FOUND; SB_EXHAUSTED. */
int sb_api_explain(const struct sb_profiles *profiles,
                   const Aisbx__V1__ExplainProfileRequest *request,
                   Aisbx__V1__ExplainProfileResponse *msg,
                   struct sb_err *err);
