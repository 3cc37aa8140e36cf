/** Limits of control groups, and the verdicts that name them. On a host that gives none: that every
 *  verdict says so, and that a floor refuses. */
#include <string.h>
#include <sys/stat.h>

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
        Aisbx__V1__VerdictKind kind = KIND(START_FAILED);
        /* What the bomb left may hold the limit a little longer than it. */
        for (int tries = 0; kind == KIND(START_FAILED) && tries < 200; tries++) {
            Aisbx__V1__RunResponse *run = rig_run(rig->channel, &spec, NULL);
            kind = run->exec->verdict->kind;
            aisbx__v1__run_response__free_unpacked(run, NULL);
        }
        print_message("%s\n", steps[i].script);
        assert_int_equal(kind, steps[i].kind);
    }
}

static const Aisbx__V1__Violation *met(const Aisbx__V1__Verdict *verdict, const char *name)
{
    for (size_t i = 0; i < verdict->n_violations; i++) {
        if (verdict->violations[i]->kind == AISBX__V1__VIOLATION_KIND__VIOLATION_KIND_LIMIT &&
            strcmp(verdict->violations[i]->subject, name) == 0) {
            return verdict->violations[i];
        }
    }
    return NULL;
}

/** Needs no control group. The profile gives 16 MiB and 1024 inodes. */
static void what_fails_without_space_is_disk_full(void **state)
{
    struct rig *rig = *state;
    static const struct {
        const char *script;
        const char *limit;
        const char *source;
        uint64_t used;
        const char *allow_with;
    } rows[] = {
        {"cd /tmp && for i in 1 2 3; do head -c 8000000 /dev/zero >$i || exit 3; done", "disk",
         "statfs.bytes_used:/tmp", 16U << 20, "limits: {disk: 32MiB}"},
        {"cd /dev/shm && i=0; while : >$i; do i=$((i + 1)); done; exit 3", "inodes",
         "statfs.inodes_used:/dev/shm", 1024, "limits: {inodes: 2048}"},
    };
    char id[40];
    rig_create(rig->channel, id, 0, 0);
    for (size_t i = 0; i < 4; i++) {
        const struct rig_spec spec = {.args = {"sh", "-c", rows[i / 2].script},
                                      .sandbox_id = i % 2 == 0 ? NULL : id};
        Aisbx__V1__RunResponse *run = rig_run(rig->channel, &spec, NULL);
        const Aisbx__V1__Verdict *verdict = run->exec->verdict;
        assert_int_equal(verdict->kind, KIND(DISK_FULL));
        assert_int_equal(verdict->exit_code == 0, false);
        assert_int_equal(evidence_of(verdict, rows[i / 2].source), rows[i / 2].used);
        const Aisbx__V1__Violation *violation = met(verdict, rows[i / 2].limit);
        assert_non_null(violation);
        assert_string_equal(violation->allow_with, rows[i / 2].allow_with);
        assert_non_null(strstr(violation->decided_by, "built-in minimal.yaml:"));
        aisbx__v1__run_response__free_unpacked(run, NULL);
        if (i % 2 == 1) {
            const struct rig_spec tidy = {.args = {"sh", "-c", "rm -rf /tmp/* /dev/shm/*; exit 4"},
                                          .sandbox_id = id};
            run = rig_run(rig->channel, &tidy, NULL);
            assert_int_equal(run->exec->verdict->kind, KIND(EXITED));
            aisbx__v1__run_response__free_unpacked(run, NULL);
        }
    }
}

static void a_limit_that_was_met_names_its_line(void **state)
{
    struct rig *rig = *state;
    static const struct {
        const char *script;
        const char *limit;
        const char *decided_by;
    } rows[] = {
        {"head -c 20000000 /dev/zero >/tmp/x", NULL, NULL}, /* of head, not of the main process */
        {"exec head -c 20000000 /dev/zero >/tmp/x", "file_size",
         "limits.file_size: 16MiB (built-in"},
        {"exec sleep 60", "wall", "limits.wall: 300ms (the request)"},
        {"exec head -c 20000000 /dev/zero", "output",
         "limits.output: 1MiB (built-in minimal.yaml:"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct rig_spec spec = {.args = {"sh", "-c", rows[i].script},
                                      .wall_ms = i == 2 ? 300 : 0};
        Aisbx__V1__RunResponse *run = rig_run(rig->channel, &spec, NULL);
        const Aisbx__V1__Violation *violation =
            rows[i].limit == NULL ? NULL : met(run->exec->verdict, rows[i].limit);
        print_message("%s\n", rows[i].script);
        assert_int_equal(violation != NULL, rows[i].limit != NULL);
        if (violation != NULL) {
            assert_memory_equal(violation->decided_by, rows[i].decided_by,
                                strlen(rows[i].decided_by));
            assert_string_equal(violation->profile, "minimal");
        }
        aisbx__v1__run_response__free_unpacked(run, NULL);
    }
}

/** From Linux 6.2 on the directory of a process's descriptors has their number as size. */
static bool tells_open_files(void)
{
    struct stat st;
    return stat("/proc/self/fd", &st) == 0 && st.st_size > 0;
}

/** The kernel counts none of these: init looks once a second. */
static void a_limit_met_for_a_while_is_named_whatever_the_end(void **state)
{
    struct rig *rig = *state;
    static const struct {
        const char *script;
        const char *limit;
        const char *decided_by;
    } rows[] = {
        {"cd /dev/shm; head -c 9000000 /dev/zero >a; head -c 9000000 /dev/zero >b; sleep 3; rm a b",
         "disk", "limits.disk: 16MiB (built-in minimal.yaml:"},
        {"sleep 3 & exec 4<&0 5<&0 6<&0 7<&0 8<&0 9<&0; while exec {fd}</dev/null; do :; done; "
         "exec 3<&0; wait",
         "open_files", "limits.open_files: 128 (built-in minimal.yaml:"},
    };
    enum { N = sizeof rows / sizeof *rows };
    struct rig_stream streams[N] = {{0}};
    struct sb_rpc_channel *channels[N];
    for (size_t i = 0; i < N; i++) { /* side by side: all wait */
        const struct rig_spec spec = {.args = {"bash", "-c", rows[i].script}};
        channels[i] = rig_connect(rig);
        rig_start(&streams[i], channels[i], &spec, false, NULL);
    }
    for (size_t i = 0; i < N; i++) {
        assert_true(rig_until_done(&streams[i]));
        const Aisbx__V1__Verdict *verdict = streams[i].ended->verdict;
        const Aisbx__V1__Violation *violation = met(verdict, rows[i].limit);
        print_message("%s\n", rows[i].script);
        assert_int_equal(verdict->kind, KIND(EXITED));
        assert_int_equal(verdict->exit_code, 0);
        if (i == 0 || tells_open_files()) {
            assert_non_null(violation);
            assert_memory_equal(violation->decided_by, rows[i].decided_by,
                                strlen(rows[i].decided_by));
        }
        rig_stream_free(&streams[i]);
        sb_rpc_channel_free(channels[i]);
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
    assert_non_null(strstr(err.text, "control cgroup"));
}

const struct CMUnitTest limit_tests[] = {
    RIG_SHARED(a_memory_bomb_is_oom_killed),
    RIG_SHARED(a_fork_bomb_exhausts_the_pids),
    RIG_SHARED(a_limit_is_blamed_on_the_exec_that_met_it_only),
    RIG_SHARED(what_fails_without_space_is_disk_full),
    RIG_SHARED(a_limit_that_was_met_names_its_line),
    RIG_SHARED(a_limit_met_for_a_while_is_named_whatever_the_end),
    RIG_SHARED(a_failure_of_its_own_is_not_blamed_on_a_limit),
    RIG_SHARED(a_sandbox_without_limits_of_a_group_is_degraded_and_a_floor_refuses_it),
};
const size_t limit_tests_n = sizeof limit_tests / sizeof *limit_tests;
