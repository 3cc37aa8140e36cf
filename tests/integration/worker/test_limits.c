/** Limits of control groups, and the verdicts that name them. On a host that gives none: that every
 *  verdict says so, and that a floor refuses. */
#include <string.h>

#include "proto/rpc/rpc.h"
#include "rig.h"

#define KIND(name) AISBX__V1__VERDICT_KIND__VERDICT_KIND_##name

/** Takes 200 MB, of the profile's 128 MiB. */
#define MEMORY_BOMB "head -c 200000000 /dev/zero | tail -c 200000000 >/dev/null"
/** Wants 60 processes, of the profile's 32; those it gets end with it, whose pipe they read. */
#define FORK_BOMB                                                                                  \
    "mkfifo /tmp/p; exec 3<>/tmp/p; for i in $(seq 60); do cat </tmp/p 3>&- & done 2>/dev/null"

static bool is_degraded(const Aisbx__V1__Verdict *verdict)
{
    for (size_t i = 0; i < verdict->n_degraded; i++) {
        if (strncmp(verdict->degraded[i], "cgroup:", 7) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_groups(const struct rig *rig)
{
    const struct rig_spec spec = {.args = {"true"}};
    Aisbx__V1__RunResponse *run = rig_run(rig->channel, &spec, NULL);
    bool has = !is_degraded(run->exec->verdict);
    aisbx__v1__run_response__free_unpacked(run, NULL);
    return has;
}

static uint64_t evidence_of(const Aisbx__V1__Verdict *verdict, const char *source)
{
    for (size_t i = 0; i < verdict->n_evidence; i++) {
        if (strstr(verdict->evidence[i]->source, source) != NULL) {
            return verdict->evidence[i]->value;
        }
    }
    return 0;
}

static void a_memory_bomb_is_oom_killed(void **state)
{
    struct rig *rig = *state;
    if (!has_groups(rig)) {
        skip();
    }
    const struct rig_spec spec = {.args = {"sh", "-c", MEMORY_BOMB}};
    Aisbx__V1__RunResponse *run = rig_run(rig->channel, &spec, NULL);
    const Aisbx__V1__Verdict *verdict = run->exec->verdict;
    assert_int_equal(verdict->kind, KIND(OOM_KILLED));
    assert_int_equal(evidence_of(verdict, "oom_kill"), 1);
    assert_string_equal(verdict->usage->memory_peak_source, "cgroup");
    assert_in_range(verdict->usage->memory_peak_bytes, 64U << 20, 128U << 20);
    assert_non_null(strstr(verdict->next_step, "--memory"));
    aisbx__v1__run_response__free_unpacked(run, NULL);
}

static void a_fork_bomb_exhausts_the_pids(void **state)
{
    struct rig *rig = *state;
    if (!has_groups(rig)) {
        skip();
    }
    const struct rig_spec spec = {.args = {"sh", "-c", FORK_BOMB}};
    Aisbx__V1__RunResponse *run = rig_run(rig->channel, &spec, NULL);
    const Aisbx__V1__Verdict *verdict = run->exec->verdict;
    assert_int_equal(verdict->kind, KIND(PIDS_EXHAUSTED));
    assert_true(evidence_of(verdict, "pids.events:max") > 0);
    assert_int_equal(verdict->exit_code, 2);
    aisbx__v1__run_response__free_unpacked(run, NULL);
}

/** In one lasting sandbox: the counters are of all of it, the verdicts of each program. */
static void a_limit_is_blamed_on_the_exec_that_met_it_only(void **state)
{
    struct rig *rig = *state;
    char id[40];
    if (!has_groups(rig)) {
        skip();
    }
    rig_create(rig->channel, id, 0, 0);
    const struct {
        const char *script;
        Aisbx__V1__VerdictKind kind;
    } steps[] = {
        {"exit 3", KIND(EXITED)},       {MEMORY_BOMB, KIND(OOM_KILLED)},
        {"kill -9 $$", KIND(SIGNALED)}, {"rm -f /tmp/p; " FORK_BOMB, KIND(PIDS_EXHAUSTED)},
        {"exit 3", KIND(EXITED)},       {MEMORY_BOMB "; true", KIND(EXITED)},
        {"kill -9 $$", KIND(SIGNALED)},
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        const struct rig_spec spec = {.args = {"sh", "-c", steps[i].script}, .sandbox_id = id};
        Aisbx__V1__RunResponse *run = rig_run(rig->channel, &spec, NULL);
        print_message("%s\n", steps[i].script);
        assert_int_equal(run->exec->verdict->kind, steps[i].kind);
        aisbx__v1__run_response__free_unpacked(run, NULL);
    }
}

static void a_failure_of_its_own_is_not_blamed_on_a_limit(void **state)
{
    struct rig *rig = *state;
    const struct rig_spec spec = {.args = {"sh", "-c", "kill -9 $$"}};
    Aisbx__V1__RunResponse *run = rig_run(rig->channel, &spec, NULL);
    assert_int_equal(run->exec->verdict->kind, KIND(SIGNALED));
    aisbx__v1__run_response__free_unpacked(run, NULL);
}

static void a_sandbox_without_limits_of_a_group_is_degraded_and_a_floor_refuses_it(void **state)
{
    struct rig *rig = *state;
    struct sb_err err;
    if (has_groups(rig)) {
        skip();
    }
    const struct rig_spec spec = {.args = {"true"}};
    Aisbx__V1__RunResponse *run = rig_run(rig->channel, &spec, NULL);
    assert_true(is_degraded(run->exec->verdict));
    assert_string_equal(run->exec->verdict->usage->memory_peak_source, "rusage");
    aisbx__v1__run_response__free_unpacked(run, NULL);

    Aisbx__V1__CreateSandboxRequest request = AISBX__V1__CREATE_SANDBOX_REQUEST__INIT;
    Aisbx__V1__SandboxSpec sandbox = AISBX__V1__SANDBOX_SPEC__INIT;
    Aisbx__V1__Control floor[] = {AISBX__V1__CONTROL__CONTROL_CGROUP};
    Aisbx__V1__CreateSandboxResponse *reply = NULL;
    request.sandbox = &sandbox;
    sandbox.profile = rig_text("minimal");
    sandbox.require = floor;
    sandbox.n_require = 1;
    assert_int_equal(aisbx__v1__sandbox_service__create_sandbox__call(rig->channel, &request, NULL,
                                                                      &reply, &err),
                     -1);
    assert_int_equal(err.code, SB_PRECONDITION);
    assert_non_null(strstr(err.text, "CGROUP"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, rig_setup, rig_teardown)

const struct CMUnitTest limit_tests[] = {
    TEST(a_memory_bomb_is_oom_killed),
    TEST(a_fork_bomb_exhausts_the_pids),
    TEST(a_limit_is_blamed_on_the_exec_that_met_it_only),
    TEST(a_failure_of_its_own_is_not_blamed_on_a_limit),
    TEST(a_sandbox_without_limits_of_a_group_is_degraded_and_a_floor_refuses_it),
};
const size_t limit_tests_n = sizeof limit_tests / sizeof *limit_tests;
