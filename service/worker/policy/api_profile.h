#pragma once
/** Messages of the public contract made from profiles and policies. Everything returned is a heap
 *  message for ..._free_unpacked (or for the message it becomes part of); NULL: out of memory. */
#include "aisbx/v1/profile.pb-c.h"
#include "aisbx/v1/sandbox.pb-c.h"
#include "aisbx/v1/worker_service.pb-c.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/problems.h"
#include "service/worker/policy/profiles.h"

Aisbx__V1__Limits *sb_api_profile_limits(const struct sb_limits *limits);
Aisbx__V1__Network *sb_api_profile_network(const struct sb_network *network);

/** n_mounts and mounts of a message: *ret_mounts is NULL when there are none. Returns 0 or -1. */
int sb_api_profile_mounts(const struct sb_mounts *mounts,
                          size_t *ret_n,
                          Aisbx__V1__Mount ***ret_mounts);

/** The profile with its YAML and hash. */
Aisbx__V1__Profile *sb_api_profile_make(const struct sb_profiles *profiles,
                                        const struct sb_profile *profile);

Aisbx__V1__ConfigProblem *sb_api_profile_problem(const struct sb_problem *problem);
