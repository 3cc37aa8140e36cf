#pragma once
#include <stdint.h>

struct sb_auth_config;
struct sb_err;
struct sb_limits;
struct sb_rate;
struct sb_registry;

/** May the tenant have one sandbox more, with those limits? What is alive counts, in whatever
 *  state.
 *  @ret_rate  filled when it may not: the quota, what is left of it, and when the next of the
 *  tenant's sandboxes ends by its ttl.
 *  Errors: SB_EXHAUSTED: which quota, how much is used, what would free it. */
int sb_quota_check(const struct sb_registry *registry,
                   const struct sb_auth_config *config,
                   const char *tenant,
                   const struct sb_limits *wanted,
                   struct sb_rate *ret_rate,
                   struct sb_err *err);
