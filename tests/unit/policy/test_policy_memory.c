#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "fail_alloc.h"
#include "service/worker/policy/api_profile.h"
#include "service/worker/policy/plan.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/profiles.h"
#include "service/worker/policy/request.h"

#define MOST 20000 /* more allocations than the whole way has */

static const char config[] =
    "profiles:\n"
    "  a:\n"
    "    extends: b\n"
    "    description: text\n"
    "    mounts: [{source: /a, target: /a}, {source: b, target: /workspace, mode: rw}]\n"
    "    environment: {A: \"1\"}\n"
    "    network: {mode: limited, allow: [a.org], deny: [b.org]}\n"
    "  b: {seccomp: python}\n"
    "default_profile: a\n";

static void free_plan(Spawn__V1__Plan **plan)
{
    if (*plan != NULL) {
        spawn__v1__plan__free_unpacked(*plan, NULL);
    }
}

static void free_profile(Aisbx__V1__Profile **profile)
{
    if (*profile != NULL) {
        aisbx__v1__profile__free_unpacked(*profile, NULL);
    }
}

/* From a configuration text to a plan. Returns 0, or -1 with *err. */
static int whole_way(struct sb_err *err)
{
    struct sb_problems problems = {0};
    SB_CLEANUP(sb_profiles_freep) struct sb_profiles *profiles = NULL;
    SB_CLEANUP(sb_request_freep) struct sb_request *request = NULL;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = NULL;
    SB_CLEANUP(free_plan) Spawn__V1__Plan *plan = NULL;
    if (sb_profiles_check(sb_str_from(config), "c.yaml", &problems, &profiles, err) < 0 ||
        sb_request_make(NULL, "sandbox", &request, err) < 0 ||
        sb_policy_make(profiles, request, &policy, err) < 0 ||
        sb_plan_make(policy, "sb_x", 1, &plan, err) < 0) {
        return -1;
    }
    SB_CLEANUP(sb_pairs_done) struct sb_pairs last = {0};
    if (sb_pairs_set(&last, SB_STR("TERM"), SB_STR("xterm"), err) < 0) {
        return -1;
    }
    SB_CLEANUP(sb_freep) char **env = sb_policy_environ(policy, NULL, &last, NULL);
    SB_CLEANUP(free_profile)
    Aisbx__V1__Profile *message = sb_api_profile_make(profiles, sb_profiles_at(profiles, 0));
    return env == NULL || message == NULL ? sb_err_oom(err) : 0;
}

static void every_failed_allocation_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    unsigned n = 1;
    for (; n < MOST; n++) {
        struct sb_err err = {0};
        sb_fail_alloc_at(n);
        int rc = whole_way(&err);
        sb_fail_alloc_at(0);
        if (rc == 0) {
            break;
        }
        assert_int_equal(err.code, SB_EXHAUSTED);
    }
    assert_in_range(n, 100, MOST - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failed_allocation_is_told_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
