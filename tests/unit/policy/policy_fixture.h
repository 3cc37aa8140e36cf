#pragma once
/** Profiles, and requests for them that become policies or are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/profiles.h"
#include "service/worker/policy/request.h"

extern struct sb_profiles *policy_profiles;

/** For the whole program. */
int policy_load(void **state);
int policy_unload(void **state);

/** A request for a profile, with nothing else. */
struct sb_request *policy_request(const char *profile);
struct sb_policy *policy_make(const struct sb_request *request);
/** Of such a request. */
struct sb_policy *policy_make_plain(const char *profile);
void assert_policy_refused(const struct sb_request *request,
                           enum sb_code code,
                           const char *message);
