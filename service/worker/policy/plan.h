#pragma once
#include <stdint.h>

#include "spawn/v1/spawn.pb-c.h"

struct sb_err;
struct sb_policy;

/** What the spawner needs to know of one sandbox.
 *  @filter_id  from the spawner's FilterLoaded for policy->filter.
 *  @ret_plan  for spawn__v1__plan__free_unpacked. Errors: SB_EXHAUSTED. */
int sb_plan_make(const struct sb_policy *policy,
                 const char *sandbox_id,
                 uint64_t filter_id,
                 Spawn__V1__Plan **ret_plan,
                 struct sb_err *err);
