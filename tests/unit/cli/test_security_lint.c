#include <string.h>

#include "cli/security/finding.h"
#include "cli/security/lint.h"
#include "testing.h"

/* A reply about one profile, with one of each of what rules look at. */
struct rig {
    Aisbx__V1__ExplainProfileResponse reply;
    Aisbx__V1__Profile profile;
    Aisbx__V1__Network network;
    Aisbx__V1__Limits limits;
    Aisbx__V1__Mount mount;
    Aisbx__V1__Mount *mounts[1];
    Aisbx__V1__Profile__EnvEntry entry;
    Aisbx__V1__Profile__EnvEntry *env[1];
    Aisbx__V1__ProfileAnswer answer;
    Aisbx__V1__ProfileAnswer *answers[1];
    char *allow[1];
    struct sb_findings findings;
};

static char *text(const char *constant)
{
    char *borrowed = NULL;
    memcpy(&borrowed, &constant, sizeof borrowed);
    return borrowed;
}

static void rig_init(struct rig *rig)
{
    memset(rig, 0, sizeof *rig);
    aisbx__v1__explain_profile_response__init(&rig->reply);
    aisbx__v1__profile__init(&rig->profile);
    aisbx__v1__network__init(&rig->network);
    aisbx__v1__limits__init(&rig->limits);
    aisbx__v1__mount__init(&rig->mount);
    aisbx__v1__profile__env_entry__init(&rig->entry);
    aisbx__v1__profile_answer__init(&rig->answer);
    rig->profile.name = text("mine");
    rig->profile.origin = text("config.yaml:2");
    rig->profile.driver = text("native");
    rig->profile.network = &rig->network;
    rig->profile.limits = &rig->limits;
    rig->profile.mounts = rig->mounts;
    rig->mounts[0] = &rig->mount;
    rig->profile.env = rig->env;
    rig->env[0] = &rig->entry;
    rig->reply.profile = &rig->profile;
    rig->reply.syscalls = rig->answers;
    rig->answers[0] = &rig->answer;
    rig->network.mode = AISBX__V1__NETWORK_MODE__NETWORK_MODE_LIMITED;
    rig->network.allow = rig->allow;
}

/* The one finding of that name must have that level; NULL: there is none at all. */
static void finds(struct rig *rig, const char *name, enum sb_finding_level level)
{
    rig->findings.n = 0;
    sb_lint_profile(&rig->reply, &rig->findings);
    if (name == NULL) {
        assert_int_equal(rig->findings.n, 0);
        return;
    }
    for (size_t i = 0; i < rig->findings.n; i++) {
        if (strcmp(rig->findings.items[i].name, name) == 0) {
            assert_int_equal(rig->findings.items[i].level, level);
            assert_non_null(strstr(rig->findings.items[i].detail, "mine: "));
            assert_non_null(strstr(rig->findings.items[i].detail, "config.yaml:2"));
            assert_true(rig->findings.items[i].fix[0] != '\0');
            return;
        }
    }
    fail_msg("no finding %s", name);
}

static void mounts(struct rig *rig, const char *source, Aisbx__V1__MountMode mode)
{
    rig->profile.n_mounts = 1;
    rig->mount.source = text(source);
    rig->mount.target = text("/data");
    rig->mount.mode = mode;
}

#define RO AISBX__V1__MOUNT_MODE__MOUNT_MODE_RO
#define RW AISBX__V1__MOUNT_MODE__MOUNT_MODE_RW

static void a_plain_profile_gives_nothing_to_say(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    finds(&rig, NULL, SB_FINDING_PASS);
    mounts(&rig, "/tmp", RW);
    rig.network.n_allow = 1;
    rig.allow[0] = text("pypi.org:443");
    rig.profile.n_env = 1;
    rig.entry.key = text("LANG");
    rig.entry.value = text("C");
    finds(&rig, NULL, SB_FINDING_PASS);
}

static void the_host_s_system_and_homes_are_no_data(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    mounts(&rig, "/etc/ssh", RO);
    finds(&rig, "system mount", SB_FINDING_WARN);
    mounts(&rig, "/", RW);
    finds(&rig, "system mount", SB_FINDING_FAIL);
    mounts(&rig, "/home/me", RO);
    finds(&rig, "home mount", SB_FINDING_WARN);
    mounts(&rig, "/root", RW);
    finds(&rig, "home mount", SB_FINDING_FAIL);
    mounts(&rig, "/home/me/.ssh/keys", RO);
    finds(&rig, "mount of secrets", SB_FINDING_FAIL);
    mounts(&rig, "/run/docker.sock", RO);
    finds(&rig, "mount of sockets", SB_FINDING_FAIL);
    mounts(&rig, "/no/such/directory", RO);
    finds(&rig, "mount source", SB_FINDING_WARN);
}

static void network_rules_that_reach_too_far_are_told(void **state)
{
    static const struct {
        const char *text;
        const char *name;
        enum sb_finding_level level;
    } rows[] = {
        {"*.com", "wide network rule", SB_FINDING_WARN},
        {"*.com:443", "wide network rule", SB_FINDING_WARN},
        {"*.co.uk", "wide network rule", SB_FINDING_WARN},
        {"*.GitHub.io:443", "wide network rule", SB_FINDING_WARN},
        {"*.s3.amazonaws.com", "wide network rule", SB_FINDING_WARN},
        {"*.intranet", "wide network rule", SB_FINDING_WARN},
        {"*.example.co.uk:443", NULL, SB_FINDING_PASS},
        {"*.me.github.io:443", NULL, SB_FINDING_PASS},
        {"8.0.0.0/8", "wide network rule", SB_FINDING_WARN},
        {"169.254.169.254:80", "network to here", SB_FINDING_WARN},
        {"172.17.0.1:80", "network to here", SB_FINDING_WARN},
        {"100.64.0.1", "network to here", SB_FINDING_WARN},
        {"[fc00::1]", "network to here", SB_FINDING_WARN},
        {"10.example.com:443", NULL, SB_FINDING_PASS},
        {"0.0.0.0/0", "wide network rule", SB_FINDING_WARN},
        {"LOCALHOST:80", "network to here", SB_FINDING_WARN},
        {"[fe80::1]:80", "network to here", SB_FINDING_WARN},
        {"example.org", "network port", SB_FINDING_NOTE},
        {"[2606:4700::1]", "network port", SB_FINDING_NOTE},
        {"*.example.org:443", NULL, SB_FINDING_PASS},
        {"8.8.8.0/24", NULL, SB_FINDING_PASS},
        {"[2606:4700::1]:443", NULL, SB_FINDING_PASS},
    };
    struct rig rig;
    (void)state;
    rig_init(&rig);
    rig.network.n_allow = 1;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rig.allow[0] = text(rows[i].text);
        finds(&rig, rows[i].name, rows[i].level);
    }
    rig.network.mode = AISBX__V1__NETWORK_MODE__NETWORK_MODE_NONE;
    finds(&rig, "network rules", SB_FINDING_NOTE);
}

static void the_worst_is_never_left_out(void **state)
{
    (void)state;
    static struct sb_findings findings;
    findings = (struct sb_findings){0};
    for (int i = 0; i < SB_FINDING_MAX + 6; i++) {
        sb_finding_add(&findings, "mild", SB_FINDING_NOTE, "", "number %d", i);
    }
    sb_finding_add(&findings, "bad", SB_FINDING_FAIL, "", "the last");
    assert_int_equal(findings.n, SB_FINDING_MAX);
    assert_int_equal(findings.n_more, 7);
    assert_int_equal(sb_finding_worst(&findings), SB_FINDING_FAIL);
    assert_string_equal(findings.items[SB_FINDING_MAX - 1].detail, "the last");
    assert_string_equal(findings.items[SB_FINDING_MAX - 2].detail, "number 62");
}

static void secrets_in_the_environment_are_told_without_their_value(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    rig.profile.n_env = 1;
    rig.entry.key = text("GITHUB_TOKEN");
    rig.entry.value = text("ghp_hidden");
    finds(&rig, "secret in environment", SB_FINDING_WARN);
    assert_null(strstr(rig.findings.items[0].detail, "ghp_hidden"));
}

static void lists_wider_than_any_of_ours_are_told(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    rig.reply.n_syscalls = 1;
    rig.answer.subject = text("shmget");
    rig.answer.answer = text("refused");
    finds(&rig, NULL, SB_FINDING_PASS);
    rig.answer.answer = text("allowed");
    rig.answer.decided_by = text("seccomp list x: a rule of it names the call");
    finds(&rig, "wide system call", SB_FINDING_WARN);
    rig.answer.decided_by = text("no rule of it names the call, and its default is to allow; x");
    finds(&rig, "open system calls", SB_FINDING_FAIL);
}

static void a_weak_driver_and_boundless_limits_are_told(void **state)
{
    struct rig rig;
    (void)state;
    rig_init(&rig);
    rig.profile.driver = text("chroot");
    finds(&rig, "weak driver", SB_FINDING_WARN);
    rig_init(&rig);
    rig.limits.memory_bytes = UINT64_MAX;
    finds(&rig, "memory limit", SB_FINDING_NOTE);
    rig_init(&rig);
    rig.limits.pids = 100000;
    finds(&rig, "process limit", SB_FINDING_NOTE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_profile_gives_nothing_to_say),
        cmocka_unit_test(the_host_s_system_and_homes_are_no_data),
        cmocka_unit_test(network_rules_that_reach_too_far_are_told),
        cmocka_unit_test(the_worst_is_never_left_out),
        cmocka_unit_test(secrets_in_the_environment_are_told_without_their_value),
        cmocka_unit_test(lists_wider_than_any_of_ours_are_told),
        cmocka_unit_test(a_weak_driver_and_boundless_limits_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
