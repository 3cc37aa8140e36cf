#pragma once
/** WorkerService. */
#include "aisbx/v1/worker_service.rpc.h"

extern const struct aisbx__v1__worker_service__server sb_api_worker_service;
