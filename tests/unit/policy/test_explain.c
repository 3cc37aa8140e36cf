#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/worker/policy/explain.h"
#include "service/worker/policy/profiles.h"

static const char config[] = "profiles:\n"
                             "  mine:\n"
                             "    extends: team\n"
                             "    memory: 1GiB\n"
                             "    environment:\n"
                             "      LANG: C\n"
                             "  team:\n"
                             "    extends: python-dev\n"
                             "    limits:\n"
                             "      memory: 2GiB\n"
                             "      timeout: 5m\n"
                             "    network:\n"
                             "      allow: [\"*.example.org:443\", \"10.1.0.0/16\"]\n"
                             "      deny: [\"bad.example.org\"]\n"
                             "    mounts:\n"
                             "      - {source: /srv/data, target: /data}\n"
                             "      - {source: /srv/out, target: /out, mode: rw}\n"
                             "  listed:\n"
                             "    seccomp: ./list.json\n"
                             "  cow:\n"
                             "    mounts: [{source: /srv/w, target: /workspace, mode: overlay}]\n";

static const char list[] =
    "{\"defaultAction\": \"SCMP_ACT_KILL_PROCESS\", \"syscalls\": ["
    "{\"names\": [\"read\", \"getpgid\", \"chmod\"], \"action\": \"SCMP_ACT_ALLOW\"},"
    "{\"names\": [\"getpgid\"], \"action\": \"SCMP_ACT_ERRNO\", \"errnoRet\": 13},"
    "{\"names\": [\"kill\"], \"action\": \"SCMP_ACT_ERRNO\", \"errnoRet\": 2, \"args\": "
    "[{\"index\": 1, \"value\": 9, \"op\": \"SCMP_CMP_EQ\"}]}]}";

struct rig {
    char dir[64];
    struct sb_profiles *profiles;
};

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    static struct rig rig;
    struct sb_err err;
    char path[128];
    (void)snprintf(rig.dir, sizeof rig.dir, "/tmp/aisbx-explain.XXXXXX");
    assert_non_null(mkdtemp(rig.dir));
    write_file(rig.dir, "config.yaml", config);
    write_file(rig.dir, "list.json", list);
    (void)snprintf(path, sizeof path, "%s/config.yaml", rig.dir);
    assert_int_equal(sb_profiles_new(&rig.profiles, &err), 0);
    if (sb_profiles_load(rig.profiles, path, NULL, &err) < 0) {
        fail_msg("%s", err.text);
    }
    *state = &rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    char path[128];
    sb_profiles_free(rig->profiles);
    (void)snprintf(path, sizeof path, "%s/config.yaml", rig->dir);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/list.json", rig->dir);
    (void)unlink(path);
    return rmdir(rig->dir);
}

static const struct sb_profile *profile_of(void **state, const char *name)
{
    struct rig *rig = *state;
    struct sb_err err;
    const struct sb_profile *profile = NULL;
    assert_int_equal(sb_profiles_look(rig->profiles, sb_str_from(name), &profile, &err), 0);
    return profile;
}

/* ---- settings ---- */

struct wanted {
    const char *name;
    char value[256];
    char profile[64];
    char origin[256];
    int n;
};

static int on_setting(const struct sb_setting_told *told, void *user, struct sb_err *err)
{
    struct wanted *wanted = user;
    (void)err;
    if (strcmp(told->name, wanted->name) == 0) {
        (void)snprintf(wanted->value, sizeof wanted->value, "%s", told->value);
        (void)snprintf(wanted->profile, sizeof wanted->profile, "%s", told->profile);
        (void)snprintf(wanted->origin, sizeof wanted->origin, "%s", told->origin);
        wanted->n++;
    }
    assert_true(told->meaning[0] != '\0');
    return 0;
}

static void assert_setting(
    void **state, const char *name, const char *value, const char *profile, const char *origin)
{
    struct wanted wanted = {.name = name};
    struct sb_err err;
    assert_int_equal(sb_explain_settings(profile_of(state, "mine"), on_setting, &wanted, &err), 0);
    assert_int_equal(wanted.n, 1);
    assert_string_equal(wanted.value, value);
    assert_string_equal(wanted.profile, profile);
    size_t len = strlen(wanted.origin);
    assert_true(len >= strlen(origin));
    assert_string_equal(wanted.origin + len - strlen(origin), origin);
}

static void each_setting_comes_from_the_nearest_profile_that_says_it(void **state)
{
    assert_setting(state, "limits.memory", "1GiB", "mine", "/config.yaml:4");
    assert_setting(state, "limits.wall", "5m", "team", "/config.yaml:11");
    assert_setting(state, "network.allow", "[\"*.example.org:443\", \"10.1.0.0/16\"]", "team",
                   "/config.yaml:13");
    assert_setting(state, "mounts./data", "ro from /srv/data", "team", "/config.yaml:16");
    assert_setting(state, "environment.LANG", "C", "mine", "/config.yaml:6");
    assert_setting(state, "seccomp", "python", "python-dev", "built-in python-dev.yaml:23");
    assert_setting(state, "limits.pids", "512", "python-dev", "built-in python-dev.yaml:9");
    assert_setting(state, "filesystem", "restricted", "dev", "built-in dev.yaml:21");
    assert_setting(state, "driver", "native", "base", "built-in base.yaml:7");
}

static void the_chain_is_told_nearest_first(void **state)
{
    static const char *const bases[] = {"team", "python-dev", "dev", "base"};
    const struct sb_profile *profile = profile_of(state, "mine");
    assert_int_equal(profile->bases.n, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(profile->bases.items[i], bases[i]);
    }
}

/* ---- answers ---- */

/* @has  part of decided_by, detail or allow_with */
static void assert_answer(const struct sb_answer *answer, const char *word, const char *has)
{
    assert_string_equal(answer->word, word);
    if (strstr(answer->decided_by, has) == NULL && strstr(answer->detail, has) == NULL &&
        strstr(answer->allow_with, has) == NULL) {
        fail_msg("\"%s\" is not in: %s | %s | %s", has, answer->decided_by, answer->detail,
                 answer->allow_with);
    }
}

static void assert_syscall(
    void **state, const char *profile, const char *call, const char *word, const char *has)
{
    struct rig *rig = *state;
    struct sb_err err;
    struct sb_answer answer;
    assert_int_equal(
        sb_explain_syscall(rig->profiles, profile_of(state, profile), call, &answer, &err), 0);
    assert_answer(&answer, word, has);
}

static void the_floor_decides_before_any_list(void **state)
{
    assert_syscall(state, "mine", "ptrace", "refused", "no profile can allow it");
    assert_syscall(state, "listed", "ptrace", "refused", "EPERM");
    assert_syscall(state, "mine", "clone3", "refused", "ENOSYS");
    assert_syscall(state, "mine", "chmod", "depends", "setuid");
    assert_syscall(state, "listed", "chmod", "depends", "setuid");
    assert_syscall(state, "mine", "prlimit64", "depends", "PID 1");
    assert_syscall(state, "mine", "setsockopt", "depends", "TCP_ULP");
    assert_syscall(state, "mine", "mmap", "depends", "huge pages");
}

static void a_list_says_what_it_allows_refuses_and_does_not_name(void **state)
{
    assert_syscall(state, "mine", "read", "allowed", "seccomp list python");
    assert_syscall(state, "mine", "shmget", "refused", "in place of the rule that refuses it");
    assert_syscall(state, "mine", "personality", "depends", "for some arguments only");
    assert_syscall(state, "listed", "read", "allowed", "config.yaml:19");
    assert_syscall(state, "listed", "getpgid", "refused", "EACCES");
    assert_syscall(state, "listed", "getpgrp", "refused", "the process is killed");
    assert_syscall(state, "listed", "getpgrp", "refused", "with {\"names\": [\"getpgrp\"]");
    assert_syscall(state, "listed", "kill", "depends", "ENOENT for arguments");
    assert_syscall(state, "listed", "wait4", "allowed", "every sandbox needs it");
    assert_syscall(state, "listed", "prctl", "depends", "with some arguments only");
    assert_syscall(state, "mine", "no_such_call", "unknown", "knows no system call");
}

static void
assert_host(void **state, const char *profile, const char *host, const char *word, const char *has)
{
    struct sb_err err;
    struct sb_answer answer;
    assert_int_equal(sb_explain_host(profile_of(state, profile), host, &answer, &err), 0);
    assert_answer(&answer, word, has);
}

static void deny_wins_over_allow_and_what_no_rule_has_is_refused(void **state)
{
    assert_host(state, "mine", "a.example.org:443", "allowed", "\"*.example.org:443\"");
    assert_host(state, "mine", "a.example.org", "allowed", "config.yaml:13");
    assert_host(state, "mine", "bad.example.org:443", "refused",
                "network.deny: \"bad.example.org\"");
    assert_host(state, "mine", "a.example.org:80", "refused", "none of 2 rules matches");
    assert_host(state, "mine", "a.example.org:80", "refused", "allow: [\"a.example.org:80\"]");
    assert_host(state, "mine", "example.org:443", "refused", "none of 2");
    assert_host(state, "mine", "10.1.2.3:22", "allowed", "10.1.0.0/16");
    assert_host(state, "mine", "224.0.0.1:80", "refused", "no rule can allow it");
    assert_host(state, "mine", "::1", "refused", "[\"[::1]:443\"]");
    assert_host(state, "strict", "pypi.org:443", "refused", "network.mode: none");
    assert_host(state, "strict", "pypi.org:443", "refused", "enabled: true");
}

static void a_pattern_or_a_range_is_no_destination(void **state)
{
    static const char *const wrong[] = {"*.example.org", "10.0.0.0/8", "", "a b", "x:0"};
    struct sb_err err;
    struct sb_answer answer;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(sb_explain_host(profile_of(state, "mine"), wrong[i], &answer, &err), -1);
        assert_int_equal(err.code, SB_INVALID);
    }
}

static void
assert_path(void **state, const char *profile, const char *path, const char *word, const char *has)
{
    struct sb_err err;
    struct sb_answer answer;
    assert_int_equal(sb_explain_path(profile_of(state, profile), path, &answer, &err), 0);
    assert_answer(&answer, word, has);
}

static void mounts_workspace_and_built_in_places_are_told_apart(void **state)
{
    assert_path(state, "mine", "/data", "read-only", "mode: rw");
    assert_path(state, "mine", "/out/a/b", "read-write", "config.yaml:17");
    assert_path(state, "cow", "/workspace/x", "read-write", "stays as it is");
    assert_path(state, "mine", "/outer", "hidden", "source: \"/outer\"");
    assert_path(state, "minimal", "/usr", "read-only", "what lies below it");
    assert_path(state, "mine", "/workspace/x", "read-write", "filesystem: restricted");
    assert_path(state, "strict", "/workspace/x", "read-only", "filesystem: restricted");
    assert_path(state, "minimal", "/workspace", "hidden", "there is no workspace");
    assert_path(state, "strict", "/usr/share/x", "read-only", "the host's");
    assert_path(state, "minimal", "/usr/share/x", "hidden", "filesystem: read-only");
    assert_path(state, "minimal", "/usr/bin/env", "read-only", "the host's");
    assert_path(state, "strict", "/etc/shadow", "hidden", "holds no secret");
    assert_path(state, "strict", "/etc/passwd", "read-only", "made for the sandbox");
    assert_path(state, "strict", "/etc/ssl", "read-only", "the host's");
    assert_path(state, "strict", "/etc/ssl/private/key.pem", "hidden", "");
    assert_path(state, "strict", "/tmp/x", "read-write", "limits.disk");
    assert_path(state, "strict", "/sys/kernel", "hidden", "");
    assert_path(state, "strict", "/", "read-only", "");
}

static void only_a_normal_absolute_path_can_be_asked_about(void **state)
{
    static const char *const wrong[] = {"", "x", "/a/../b", "/a//b", "/a/", "/./a"};
    struct sb_err err;
    struct sb_answer answer;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(sb_explain_path(profile_of(state, "mine"), wrong[i], &answer, &err), -1);
        assert_int_equal(err.code, SB_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_setting_comes_from_the_nearest_profile_that_says_it),
        cmocka_unit_test(the_chain_is_told_nearest_first),
        cmocka_unit_test(the_floor_decides_before_any_list),
        cmocka_unit_test(a_list_says_what_it_allows_refuses_and_does_not_name),
        cmocka_unit_test(deny_wins_over_allow_and_what_no_rule_has_is_refused),
        cmocka_unit_test(a_pattern_or_a_range_is_no_destination),
        cmocka_unit_test(mounts_workspace_and_built_in_places_are_told_apart),
        cmocka_unit_test(only_a_normal_absolute_path_can_be_asked_about),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
