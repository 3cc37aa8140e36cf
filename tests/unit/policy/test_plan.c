#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/worker/policy/plan.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/profiles.h"
#include "service/worker/policy/request.h"

static void free_plan(Spawn__V1__Plan **plan)
{
    if (*plan != NULL) {
        spawn__v1__plan__free_unpacked(*plan, NULL);
    }
}

/* The plan for a profile, with a workspace when its source is given. */
static Spawn__V1__Plan *make(const char *profile, const char *workspace, bool is_writable)
{
    struct sb_err err = {0};
    SB_CLEANUP(sb_profiles_freep) struct sb_profiles *profiles = NULL;
    SB_CLEANUP(sb_request_freep) struct sb_request *request = NULL;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = NULL;
    assert_int_equal(sb_profiles_new(&profiles, &err), 0);
    assert_int_equal(sb_request_make(NULL, "sandbox", &request, &err), 0);
    request->profile = strdup(profile);
    if (workspace != NULL) {
        SB_CLEANUP(sb_freep) char *source = strdup(workspace);
        char target[] = "/workspace";
        struct sb_mount mount = {.source = source, .target = target, .is_writable = is_writable};
        assert_int_equal(sb_mounts_set(&request->mounts, &mount, &err), 0);
    }
    assert_int_equal(sb_policy_make(profiles, request, &policy, &err), 0);
    Spawn__V1__Plan *plan = NULL;
    assert_int_equal(sb_plan_make(policy, "sb_x", 7, &plan, &err), 0);
    return plan;
}

static uint64_t rlimit_of(const Spawn__V1__Plan *plan, int resource)
{
    for (size_t i = 0; i < plan->n_rlimits; i++) {
        if (plan->rlimits[i]->resource == (uint32_t)resource) {
            return plan->rlimits[i]->value;
        }
    }
    return UINT64_MAX;
}

static void carries_the_limits_of_the_policy(void **state)
{
    (void)state;
    SB_CLEANUP(free_plan) Spawn__V1__Plan *plan = make("strict", NULL, false);
    assert_string_equal(plan->sandbox_id, "sb_x");
    assert_string_equal(plan->hostname, "sandbox");
    assert_int_equal(plan->filter_id, 7);
    assert_int_equal(plan->disk_bytes, 64 << 20);
    assert_int_equal(plan->inodes, 4096);
    assert_int_equal(rlimit_of(plan, RLIMIT_NPROC), 64);
    assert_int_equal(rlimit_of(plan, RLIMIT_NOFILE), 256);
    assert_int_equal(rlimit_of(plan, RLIMIT_FSIZE), 64 << 20);
    assert_int_equal(rlimit_of(plan, RLIMIT_MSGQUEUE), 0);
    assert_int_equal(rlimit_of(plan, RLIMIT_AS), UINT64_MAX);
}

static void lays_out_each_kind_of_file_system(void **state)
{
    (void)state;
    static const struct {
        const char *profile;
        const char *workspace;
        Spawn__V1__Root root;
        Spawn__V1__Workspace kind;
        bool is_read_only;
    } rows[] = {
        {"python-dev", NULL, SPAWN__V1__ROOT__ROOT_SYSTEM, SPAWN__V1__WORKSPACE__WORKSPACE_TMPFS,
         false},
        {"strict", NULL, SPAWN__V1__ROOT__ROOT_SYSTEM, SPAWN__V1__WORKSPACE__WORKSPACE_TMPFS, true},
        {"minimal", NULL, SPAWN__V1__ROOT__ROOT_MINIMAL,
         SPAWN__V1__WORKSPACE__WORKSPACE_UNSPECIFIED, true},
        {"strict", "/w", SPAWN__V1__ROOT__ROOT_SYSTEM, SPAWN__V1__WORKSPACE__WORKSPACE_MOUNT, true},
        {"minimal", "/w", SPAWN__V1__ROOT__ROOT_MINIMAL, SPAWN__V1__WORKSPACE__WORKSPACE_MOUNT,
         true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        SB_CLEANUP(free_plan)
        Spawn__V1__Plan *plan = make(rows[i].profile, rows[i].workspace, false);
        assert_int_equal(plan->root, rows[i].root);
        assert_int_equal(plan->workspace, rows[i].kind);
        assert_int_equal(plan->workspace_read_only, rows[i].is_read_only);
        assert_int_equal(plan->n_mounts, rows[i].workspace != NULL);
    }
}

static void carries_mounts_with_their_mode(void **state)
{
    (void)state;
    SB_CLEANUP(free_plan) Spawn__V1__Plan *plan = make("go-dev", "/home/u/w", true);
    assert_int_equal(plan->n_mounts, 1);
    assert_string_equal(plan->mounts[0]->source, "/home/u/w");
    assert_string_equal(plan->mounts[0]->target, "/workspace");
    assert_true(plan->mounts[0]->writable);
    assert_false(plan->workspace_read_only);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_the_limits_of_the_policy),
        cmocka_unit_test(lays_out_each_kind_of_file_system),
        cmocka_unit_test(carries_mounts_with_their_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
