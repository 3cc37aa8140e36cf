#pragma once
#include "aisbx/v1/key_service.rpc.h"

struct sb_caller;
struct sb_worker;

/** Keeps when the caller's key was last used, once a minute at most; nothing for other callers. */
void sb_api_key_used(struct sb_worker *worker, const struct sb_caller *caller);

extern const struct aisbx__v1__key_service__server sb_api_key_service;
