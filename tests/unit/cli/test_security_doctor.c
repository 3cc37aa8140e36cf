#include <string.h>

#include "base/out.h"
#include "cli/completion.h"
#include "cli/help.h"
#include "cli/program.h"
#include "cli/security/doctor.h"
#include "cli/security/finding.h"
#include "cli/security/program.h"
#include "cli/verb.h"
#include "testing.h"

/* Exit status when the worker reports one control in that state. */
static int status_with(Aisbx__V1__Control control, Aisbx__V1__ControlState state)
{
    Aisbx__V1__GetInfoResponse info = AISBX__V1__GET_INFO_RESPONSE__INIT;
    Aisbx__V1__ControlStatus status = AISBX__V1__CONTROL_STATUS__INIT;
    Aisbx__V1__ControlStatus *controls[] = {&status};
    struct sb_findings findings = {0};
    status.control = control;
    status.state = state;
    info.controls = controls;
    info.n_controls = 1;
    sb_doctor_controls(&info, &findings);
    assert_int_equal(findings.n, 1);
    return sb_doctor_status(&findings);
}

#define STATUS(control, state)                                                                     \
    status_with(AISBX__V1__CONTROL__CONTROL_##control,                                             \
                AISBX__V1__CONTROL_STATE__CONTROL_STATE_##state)

static void a_wall_that_stands_is_fine(void **state)
{
    (void)state;
    assert_int_equal(STATUS(USER_NAMESPACE, ENFORCED), 0);
    assert_int_equal(STATUS(CGROUP, ENFORCED), 0);
}

static void a_weaker_wall_degrades(void **state)
{
    (void)state;
    assert_int_equal(STATUS(LANDLOCK, DEGRADED), SB_DOCTOR_DEGRADED);
    assert_int_equal(STATUS(DISK_LIMIT, DEGRADED), SB_DOCTOR_DEGRADED);
}

static void sandboxes_run_without_some_walls_only(void **state)
{
    (void)state;
    assert_int_equal(STATUS(CGROUP, ABSENT), SB_DOCTOR_DEGRADED);
    assert_int_equal(STATUS(LANDLOCK, ABSENT), SB_DOCTOR_DEGRADED);
    assert_int_equal(STATUS(DISTINCT_UID, ABSENT), SB_DOCTOR_DEGRADED);
    assert_int_equal(STATUS(USER_NAMESPACE, ABSENT), SB_DOCTOR_UNABLE);
    assert_int_equal(STATUS(SECCOMP, ABSENT), SB_DOCTOR_UNABLE);
    assert_int_equal(STATUS(READ_ONLY_ROOT, ABSENT), SB_DOCTOR_UNABLE);
}

/* @way  of sandboxes from snapshots */
static enum sb_finding_level level_of_snapshots(const char *way)
{
    Aisbx__V1__GetInfoResponse info = AISBX__V1__GET_INFO_RESPONSE__INIT;
    struct sb_findings findings = {0};
    char text[16];
    char why[] = "no overlay";
    (void)strcpy(text, way);
    info.snapshots = text;
    info.snapshots_detail = why;
    sb_doctor_controls(&info, &findings);
    assert_int_equal(findings.n, 1);
    assert_string_equal(findings.items[0].name, "snapshots");
    return findings.items[0].level;
}

static void tells_how_sandboxes_start_from_snapshots(void **state)
{
    (void)state;
    assert_int_equal(level_of_snapshots("overlay"), SB_FINDING_PASS);
    assert_int_equal(level_of_snapshots("copy"), SB_FINDING_NOTE);
    assert_int_equal(level_of_snapshots("none"), SB_FINDING_WARN);
}

static void the_worst_finding_counts(void **state)
{
    struct sb_findings findings = {0};
    (void)state;
    assert_int_equal(sb_doctor_status(&findings), 0);
    sb_finding_add(&findings, "a", SB_FINDING_NOTE, "fix", "noted");
    assert_int_equal(sb_doctor_status(&findings), 0);
    sb_finding_add(&findings, "b", SB_FINDING_FAIL, "fix", "failed");
    sb_finding_add(&findings, "c", SB_FINDING_WARN, NULL, "warned");
    assert_int_equal(sb_doctor_status(&findings), SB_DOCTOR_UNABLE);
}

static void too_much_is_cut(void **state)
{
    static struct sb_findings findings;
    char text[2000];
    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < SB_FINDING_MAX + 10; i++) {
        sb_finding_add(&findings, "a", SB_FINDING_PASS, text, "%s", text);
    }
    assert_int_equal(findings.n, SB_FINDING_MAX);
    assert_int_equal(strlen(findings.items[0].detail), sizeof findings.items[0].detail - 1);
}

static void help_tells_every_exit_status(void **state)
{
    struct sb_out out;
    (void)state;
    sb_out_init(&out, -1);
    sb_help_overview(&out, &sb_security_program);
    sb_help_verb(&out, &sb_security_program, sb_program_next(&sb_security_program, NULL));
    const char *text = sb_buf_cstr(&out.buf);
    assert_non_null(strstr(text, "\n  3 "));
    assert_non_null(strstr(text, "\n  4 "));
    assert_non_null(strstr(text, "Usage: aisbx-security doctor"));
    assert_non_null(strstr(text, "sudo aisbx-security doctor"));
    sb_out_done(&out);
}

static void each_shell_completes_this_program_and_not_the_other(void **state)
{
    (void)state;
    for (size_t s = 0; sb_completion_shells[s] != NULL; s++) {
        struct sb_out out;
        sb_out_init(&out, -1);
        assert_true(
            sb_completion_write(&out, &sb_security_program, sb_str_from(sb_completion_shells[s])));
        const char *text = sb_buf_cstr(&out.buf);
        assert_non_null(strstr(text, "aisbx-security"));
        assert_non_null(strstr(text, "doctor"));
        assert_null(strstr(text, "_aisbx "));
        assert_null(strstr(text, "-c aisbx "));
        sb_out_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wall_that_stands_is_fine),
        cmocka_unit_test(a_weaker_wall_degrades),
        cmocka_unit_test(sandboxes_run_without_some_walls_only),
        cmocka_unit_test(tells_how_sandboxes_start_from_snapshots),
        cmocka_unit_test(the_worst_finding_counts),
        cmocka_unit_test(too_much_is_cut),
        cmocka_unit_test(help_tells_every_exit_status),
        cmocka_unit_test(each_shell_completes_this_program_and_not_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
