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
#include "service/worker/policy/request.h"

static struct sb_request *make(const Aisbx__V1__SandboxSpec *spec)
{
    struct sb_request *request = NULL;
    struct sb_err err = {0};
    if (sb_request_make(spec, "sandbox", &request, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return request;
}

static void assert_refused(const Aisbx__V1__SandboxSpec *spec, const char *message)
{
    struct sb_request *request = NULL;
    struct sb_err err = {0};
    assert_int_equal(sb_request_make(spec, "sandbox", &request, &err), -1);
    assert_int_equal(err.code, SB_INVALID);
    assert_string_equal(err.text, message);
}

static void nothing_asked_is_nothing_said(void **state)
{
    (void)state;
    SB_CLEANUP(sb_request_freep) struct sb_request *request = make(NULL);
    static const struct sb_limits none;
    assert_null(request->profile);
    assert_memory_equal(&request->limits, &none, sizeof none);
    assert_int_equal(request->network.mode, SB_NETWORK_UNSET);
    assert_string_equal(request->hostname, "sandbox");
    assert_int_equal(request->require, 0);
}

static void takes_every_field(void **state)
{
    (void)state;
    Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
    Aisbx__V1__Limits limits = AISBX__V1__LIMITS__INIT;
    Aisbx__V1__Network network = AISBX__V1__NETWORK__INIT;
    Aisbx__V1__Mount mount = AISBX__V1__MOUNT__INIT;
    Aisbx__V1__SandboxSpec__EnvEntry env = AISBX__V1__SANDBOX_SPEC__ENV_ENTRY__INIT;
    Aisbx__V1__SandboxSpec__LabelsEntry label = AISBX__V1__SANDBOX_SPEC__LABELS_ENTRY__INIT;
    char name[] = "python-dev";
    char rule[] = "example.org";
    char source[] = "/home/u/x";
    char target[] = "/workspace";
    char key[] = "LD_PRELOAD";
    char value[] = "a=b";
    char label_key[] = "team/a.b_c-D";
    char label_value[] = "";
    char host[] = "box-1";
    char driver[] = "bwrap";
    char *allow[] = {rule};
    Aisbx__V1__Mount *mounts[] = {&mount};
    Aisbx__V1__SandboxSpec__EnvEntry *envs[] = {&env};
    Aisbx__V1__SandboxSpec__LabelsEntry *labels[] = {&label};
    Aisbx__V1__Control require[] = {AISBX__V1__CONTROL__CONTROL_SECCOMP,
                                    AISBX__V1__CONTROL__CONTROL_CGROUP};
    limits.cpu_millis = 10;
    limits.memory_bytes = 4 << 20;
    limits.pids = 1;
    limits.wall_ms = 1;
    limits.disk_bytes = 64 << 10;
    limits.inodes = 16;
    limits.file_bytes = 4096;
    limits.open_files = 16;
    limits.output_bytes = 1024;
    limits.io_read_bytes = 2048;
    limits.io_write_bytes = 4096;
    limits.io_read_ops = 7;
    limits.io_write_ops = 8;
    limits.io_weight = 9;
    network.mode = AISBX__V1__NETWORK_MODE__NETWORK_MODE_LIMITED;
    network.n_allow = 1;
    network.allow = allow;
    mount.source = source;
    mount.target = target;
    mount.mode = AISBX__V1__MOUNT_MODE__MOUNT_MODE_RW;
    env.key = key;
    env.value = value;
    label.key = label_key;
    label.value = label_value;
    spec.profile = name;
    spec.limits = &limits;
    spec.network = &network;
    spec.n_mounts = 1;
    spec.mounts = mounts;
    spec.n_env = 1;
    spec.env = envs;
    spec.n_labels = 1;
    spec.labels = labels;
    spec.ttl_ms = 5;
    spec.idle_ms = 6;
    spec.n_require = 2;
    spec.require = require;
    spec.hostname = host;
    spec.driver = driver;

    SB_CLEANUP(sb_request_freep) struct sb_request *request = make(&spec);
    const struct sb_limits expected = {10, 4 << 20, 1,    1,    64 << 10, 16, 4096,
                                       16, 1024,    2048, 4096, 7,        8,  9};
    assert_memory_equal(&request->limits, &expected, sizeof expected);
    assert_string_equal(request->profile, "python-dev");
    assert_int_equal(request->network.mode, SB_NETWORK_LIMITED);
    assert_string_equal(request->network.allow.items[0], "example.org");
    assert_string_equal(request->mounts.items[0].target, "/workspace");
    assert_true(request->mounts.items[0].is_writable);
    assert_true(request->mounts.items[0].is_requested);
    assert_string_equal(sb_pairs_get(&request->env, SB_STR("LD_PRELOAD")), "a=b");
    assert_string_equal(sb_pairs_get(&request->labels, SB_STR("team/a.b_c-D")), "");
    assert_int_equal(request->ttl_ms, 5);
    assert_int_equal(request->idle_ms, 6);
    assert_int_equal(request->require, (1U << AISBX__V1__CONTROL__CONTROL_SECCOMP) |
                                           (1U << AISBX__V1__CONTROL__CONTROL_CGROUP));
    assert_string_equal(request->hostname, "box-1");
    assert_int_equal(request->driver, SB_DRIVER_BWRAP);
}

#define AT(member) offsetof(Aisbx__V1__Limits, member)

static void each_limit_has_bounds(void **state)
{
    (void)state;
    static const struct {
        size_t offset;
        uint64_t value;
        const char *message;
    } rows[] = {
        {AT(cpu_millis), 9, "sandbox.limits.cpu_millis: 9 is outside 10..1024000"},
        {AT(cpu_millis), 1024001, "sandbox.limits.cpu_millis: 1024001 is outside 10..1024000"},
        {AT(memory_bytes), 4194303,
         "sandbox.limits.memory_bytes: 4194303 is outside 4194304..1099511627776"},
        {AT(pids), 1048577, "sandbox.limits.pids: 1048577 is outside 1..1048576"},
        {AT(wall_ms), 86400001, "sandbox.limits.wall_ms: 86400001 is outside 1..86400000"},
        {AT(disk_bytes), 65535, "sandbox.limits.disk_bytes: 65535 is outside 65536..1099511627776"},
        {AT(inodes), 15, "sandbox.limits.inodes: 15 is outside 16..100000000"},
        {AT(file_bytes), 4095, "sandbox.limits.file_bytes: 4095 is outside 4096..1099511627776"},
        {AT(open_files), 15, "sandbox.limits.open_files: 15 is outside 16..1048576"},
        {AT(io_weight), 10001, "sandbox.limits.io_weight: 10001 is outside 1..10000"},
        {AT(output_bytes), UINT64_MAX,
         "sandbox.limits.output_bytes: 18446744073709551615 is outside 1024..1073741824"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
        Aisbx__V1__Limits limits = AISBX__V1__LIMITS__INIT;
        memcpy((char *)&limits + rows[i].offset, &rows[i].value, sizeof rows[i].value);
        spec.limits = &limits;
        assert_refused(&spec, rows[i].message);
    }
}

static void a_mount_needs_an_absolute_source_and_a_free_target(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        const char *target;
        int mode;
        const char *message;
    } rows[] = {
        {"x", "/x", 0,
         "sandbox.mounts[0].source: an absolute path of at most 4095 bytes is expected"},
        {"/x", "/", 0, "sandbox.mounts[0].target: the root itself cannot be mounted over"},
        {"/x", "/proc/self", 0,
         "sandbox.mounts[0].target: \"/proc/self\" is in the system directory /proc"},
        {"/x", "/tmp", 0, "sandbox.mounts[0].target: /tmp is the sandbox's own"},
        {"/x", "/x/", 0,
         "sandbox.mounts[0].target: \"/x/\" has an empty, \".\" or \"..\" part, or a control "
         "character"},
        {"/x", "/x\ny", 0,
         "sandbox.mounts[0].target: \"/x\xef\xbf\xbdy\" has an empty, \".\" or \"..\" part, or a "
         "control character"},
        {"/x", "/x", 3, "sandbox.mounts[0].mode: only /workspace can be copy-on-write"},
        {"/x", "/x", 4, "sandbox.mounts[0].mode: unknown mode"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
        Aisbx__V1__Mount mount = AISBX__V1__MOUNT__INIT;
        Aisbx__V1__Mount *mounts[] = {&mount};
        SB_CLEANUP(sb_freep) char *source = strdup(rows[i].source);
        SB_CLEANUP(sb_freep) char *target = strdup(rows[i].target);
        mount.source = source;
        mount.target = target;
        mount.mode = (Aisbx__V1__MountMode)rows[i].mode;
        spec.n_mounts = 1;
        spec.mounts = mounts;
        assert_refused(&spec, rows[i].message);
    }
}

static void two_mounts_cannot_have_one_target(void **state)
{
    (void)state;
    Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
    Aisbx__V1__Mount mount = AISBX__V1__MOUNT__INIT;
    Aisbx__V1__Mount *mounts[] = {&mount, &mount};
    char path[] = "/x";
    mount.source = path;
    mount.target = path;
    spec.n_mounts = 2;
    spec.mounts = mounts;
    assert_refused(&spec, "sandbox.mounts[1].target: another mount has the same target");
}

static void assert_env_refused(const char *name, const char *value, const char *message)
{
    Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
    Aisbx__V1__SandboxSpec__EnvEntry env = AISBX__V1__SANDBOX_SPEC__ENV_ENTRY__INIT;
    Aisbx__V1__SandboxSpec__EnvEntry *envs[] = {&env};
    SB_CLEANUP(sb_freep) char *key_copy = strdup(name);
    SB_CLEANUP(sb_freep) char *value_copy = strdup(value);
    env.key = key_copy;
    env.value = value_copy;
    spec.n_env = 1;
    spec.env = envs;
    assert_refused(&spec, message);
}

static void a_variable_needs_a_name_without_equals_sign(void **state)
{
    (void)state;
    assert_env_refused("A=B", "",
                       "sandbox.env: \"A=B\" is not a variable name (empty, or with \"=\" or NUL)");
    assert_env_refused("", "",
                       "sandbox.env: \"\" is not a variable name (empty, or with \"=\" or NUL)");
}

static void one_variable_has_at_most_32_kib_and_all_together_128(void **state)
{
    (void)state;
    struct sb_err err = {0};
    size_t total = 0;
    size_t len = (32U << 10) - 3; /* with "A", "=" and NUL exactly the most */
    SB_CLEANUP(sb_freep) char *value = (char *)malloc(len + 1);
    assert_non_null(value);
    memset(value, 'x', len + 1);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(
            sb_request_check_env(SB_STR("A"), sb_str_of(value, len), "exec.env", &total, &err), 0);
    }
    assert_int_equal(total, 128 << 10);
    assert_int_equal(sb_request_check_env(SB_STR("A"), SB_STR(""), "exec.env", &total, &err), -1);
    assert_string_equal(err.text, "exec.env: more than 128 KiB together");
    total = 0;
    assert_int_equal(
        sb_request_check_env(SB_STR("A"), sb_str_of(value, len + 1), "exec.env", &total, &err), -1);
    assert_string_equal(err.text, "exec.env: \"A\" is longer than 32 KiB");
    assert_int_equal(sb_request_check_env(SB_STR("A"), SB_STR("b\0c"), "exec.env", &total, &err),
                     -1);
    assert_int_equal(sb_request_check_env(SB_STR("A\0"), SB_STR(""), "exec.env", &total, &err), -1);
}

static void a_host_name_is_a_dns_label(void **state)
{
    (void)state;
    static const char *const names[] = {
        "A",  "a_b", "a.b",
        "-a", "a-",  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
        SB_CLEANUP(sb_freep) char *name = strdup(names[i]);
        spec.hostname = name;
        assert_refused(&spec, "sandbox.hostname: at most 63 characters of [a-z0-9-] are expected, "
                              "none of the ends a \"-\"");
    }
}

static void a_driver_is_one_that_exists(void **state)
{
    (void)state;
    Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
    char docker[] = "docker";
    spec.driver = docker;
    assert_refused(&spec, "sandbox.driver: one of native, bwrap, chroot is expected");
}

static void a_label_is_short_and_plain(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"", "x"},
        {"a b", "x"},
        {"a", "\xc3\xa9"},
        {"a", "x:y"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "x"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
        Aisbx__V1__SandboxSpec__LabelsEntry label = AISBX__V1__SANDBOX_SPEC__LABELS_ENTRY__INIT;
        Aisbx__V1__SandboxSpec__LabelsEntry *labels[] = {&label};
        SB_CLEANUP(sb_freep) char *key = strdup(pairs[i][0]);
        SB_CLEANUP(sb_freep) char *value = strdup(pairs[i][1]);
        struct sb_request *request = NULL;
        struct sb_err err = {0};
        label.key = key;
        label.value = value;
        spec.n_labels = 1;
        spec.labels = labels;
        assert_int_equal(sb_request_make(&spec, "sandbox", &request, &err), -1);
        assert_memory_equal(err.text, "sandbox.labels[\"", 16);
    }
}

static void an_unknown_control_cannot_be_required(void **state)
{
    (void)state;
    Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
    Aisbx__V1__Control require[] = {AISBX__V1__CONTROL__CONTROL_SECCOMP, (Aisbx__V1__Control)60};
    spec.n_require = 2;
    spec.require = require;
    assert_refused(&spec, "sandbox.require[1]: unknown control 60");
    require[1] = AISBX__V1__CONTROL__CONTROL_UNSPECIFIED;
    assert_refused(&spec, "sandbox.require[1]: unknown control 0");
}

static void a_network_rule_is_named_by_its_index(void **state)
{
    (void)state;
    Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
    Aisbx__V1__Network network = AISBX__V1__NETWORK__INIT;
    char good[] = "a.org";
    char bad[] = "a.org:x";
    char *rules[] = {good, bad};
    network.n_deny = 2;
    network.deny = rules;
    spec.network = &network;
    assert_refused(
        &spec,
        "sandbox.network.deny[1] \"a.org:x\": port: \"x\" is not a whole number, such as 42");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_asked_is_nothing_said),
        cmocka_unit_test(takes_every_field),
        cmocka_unit_test(each_limit_has_bounds),
        cmocka_unit_test(a_mount_needs_an_absolute_source_and_a_free_target),
        cmocka_unit_test(two_mounts_cannot_have_one_target),
        cmocka_unit_test(a_variable_needs_a_name_without_equals_sign),
        cmocka_unit_test(one_variable_has_at_most_32_kib_and_all_together_128),
        cmocka_unit_test(a_host_name_is_a_dns_label),
        cmocka_unit_test(a_driver_is_one_that_exists),
        cmocka_unit_test(a_label_is_short_and_plain),
        cmocka_unit_test(an_unknown_control_cannot_be_required),
        cmocka_unit_test(a_network_rule_is_named_by_its_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
