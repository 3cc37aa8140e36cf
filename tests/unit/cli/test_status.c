#include <signal.h>
#include <string.h>

#include "base/out.h"
#include "cli/status.h"
#include "testing.h"

#define KIND(name) AISBX__V1__VERDICT_KIND__VERDICT_KIND_##name

static void each_verdict_has_its_status(void **state)
{
    static const struct {
        Aisbx__V1__VerdictKind kind;
        int exit_code;
        int signal;
        int status;
    } rows[] = {
        {KIND(EXITED), 0, 0, 0},
        {KIND(EXITED), 3, 0, 3},
        {KIND(EXITED), 255, 0, 255},
        {KIND(SIGNALED), 0, SIGSEGV, 139},
        {KIND(TIMED_OUT), 0, SIGKILL, 124},
        {KIND(OOM_KILLED), 0, SIGKILL, 137},
        {KIND(PIDS_EXHAUSTED), 2, 0, 2},
        {KIND(PIDS_EXHAUSTED), 0, SIGABRT, 134},
        {KIND(DISK_FULL), 1, 0, 1},
        {KIND(OUTPUT_TRUNCATED), 0, 0, 0},
        {KIND(OUTPUT_TRUNCATED), 3, 0, 3},
        {KIND(POLICY_KILLED), 0, SIGSYS, 159},
        {KIND(POLICY_KILLED), 0, 0, 159},
        {KIND(CANCELLED), 0, 0, 137},
        {KIND(WORKER_LOST), 0, 0, 125},
        {KIND(START_FAILED), 126, 0, 126},
        {KIND(START_FAILED), 127, 0, 127},
        {KIND(START_FAILED), 0, 0, 125},
        {KIND(UNSPECIFIED), 0, 0, 125},
        {(Aisbx__V1__VerdictKind)4711, 0, 0, 125},
        {(Aisbx__V1__VerdictKind)-1, 0, 0, 125},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Aisbx__V1__Verdict verdict = AISBX__V1__VERDICT__INIT;
        verdict.kind = rows[i].kind;
        verdict.exit_code = rows[i].exit_code;
        verdict.signal = rows[i].signal;
        assert_int_equal(sb_status_of(&verdict), rows[i].status);
    }
}

static void every_verdict_of_the_contract_is_known(void **state)
{
    (void)state;
    for (unsigned i = 0; i < aisbx__v1__verdict_kind__descriptor.n_values; i++) {
        Aisbx__V1__Verdict verdict = AISBX__V1__VERDICT__INIT;
        verdict.kind = (Aisbx__V1__VerdictKind)aisbx__v1__verdict_kind__descriptor.values[i].value;
        verdict.exit_code = 9;
        bool is_ours = verdict.kind == KIND(UNSPECIFIED) || verdict.kind == KIND(WORKER_LOST);
        assert_int_equal(sb_status_of(&verdict) == 125, is_ours);
    }
}

static void a_program_without_verdict_is_ours(void **state)
{
    (void)state;
    assert_int_equal(sb_status_of(NULL), 125);
}

static void the_line_for_people_names_cause_and_usage(void **state)
{
    Aisbx__V1__Verdict verdict = AISBX__V1__VERDICT__INIT;
    Aisbx__V1__Usage usage = AISBX__V1__USAGE__INIT;
    struct sb_out out;
    (void)state;
    usage.wall_ms = 1234;
    usage.cpu_user_us = 900500;
    usage.memory_peak_bytes = 31 << 20;
    usage.memory_peak_source = (char[]){"rusage"};
    verdict.kind = KIND(TIMED_OUT);
    verdict.signal = 9;
    verdict.usage = &usage;
    verdict.killed_processes = 3;
    sb_out_init(&out, -1);
    sb_status_put(&out, &verdict);
    assert_string_equal(sb_buf_cstr(&out.buf),
                        "timed_out signal 9, wall 1.234s, cpu 0.900s user 0.000s system, memory "
                        "peak 31MiB (rusage), 3 processes killed");
    sb_out_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_verdict_has_its_status),
        cmocka_unit_test(every_verdict_of_the_contract_is_known),
        cmocka_unit_test(a_program_without_verdict_is_ours),
        cmocka_unit_test(the_line_for_people_names_cause_and_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
