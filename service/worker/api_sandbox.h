#pragma once
/** SandboxService. */
#include "aisbx/v1/sandbox_service.rpc.h"

extern const struct aisbx__v1__sandbox_service__server sb_api_sandbox_service;
