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
#include "service/worker/policy/config.h"
#include "service/worker/policy/problems.h"

static const struct sb_config_source source = {.file_name = "config.yaml", .base_dir = "/conf"};

/* Parses text that must be refused, and compares the first problem, as people see it. */
static void assert_refused(struct sb_str text, const char *message)
{
    struct sb_problems problems = {0};
    struct sb_config config = {0};
    struct sb_err err = {0};
    assert_int_equal(sb_config_parse(text, &source, &problems, &config, &err), -1);
    assert_int_equal(err.code, SB_INVALID);
    assert_true(problems.n > 0);
    problems.n = 1;
    problems.dropped = 0;
    (void)sb_problems_err(&problems, source.file_name, &err);
    assert_string_equal(err.text, message);
}

static void parse(const char *text, struct sb_config *ret_config)
{
    struct sb_problems problems = {0};
    struct sb_err err = {0};
    if (sb_config_parse(sb_str_from(text), &source, &problems, ret_config, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

#define IN_PROFILE(rest) "profiles:\n  mine:\n    " rest

static const struct {
    const char *text;
    const char *message;
} refused[] = {
    /* keys */
    {"profils: {}", "config.yaml:1:1: unknown key \"profils\"; did you mean \"profiles\"?"},
    {IN_PROFILE("memroy: 1g"), "config.yaml:3:5: unknown key \"memroy\"; did you mean \"memory\"?"},
    {IN_PROFILE("limits: {pidz: 1}"),
     "config.yaml:3:14: unknown key \"pidz\"; did you mean \"pids\"?"},
    {IN_PROFILE("network: {enabledd: true}"),
     "config.yaml:3:15: unknown key \"enabledd\"; did you mean \"enabled\"?"},
    {IN_PROFILE("mounts: [{source: /a, target: /b, mod: ro}]"),
     "config.yaml:3:39: unknown key \"mod\"; did you mean \"mode\"?"},
    {IN_PROFILE("zzzzzzzz: 1"),
     "config.yaml:3:5: unknown key \"zzzzzzzz\"; known here are: name, description, extends, "
     "abstract, driver, cpu, memory, limits, network, filesystem, mounts, environment, secrets, "
     "packages, preload, seccomp"},
    {IN_PROFILE("cpu: 1\n    cpu: 2"),
     "config.yaml:4:5: key \"cpu\" is said twice; first in line 3"},
    /* kinds */
    {"profiles: []", "config.yaml:1:11: profiles: expected a map, found a list"},
    {"profiles:", "config.yaml:1:10: profiles: expected a map, found nothing"},
    {"- a", "config.yaml:1:1: the file: expected a map, found a list"},
    {IN_PROFILE("memory: [1]"), "config.yaml:3:13: memory: expected a value, found a list"},
    {IN_PROFILE("environment: {A: {B: c}}"),
     "config.yaml:3:22: environment: expected a value, found a map"},
    {IN_PROFILE("mounts: [x]"), "config.yaml:3:14: mount: expected a map, found a value"},
    /* units and ranges */
    {IN_PROFILE("memory: 512q"),
     "config.yaml:3:13: memory: \"512q\" is not a size; write bytes or a unit of 1024: 1048576, "
     "64k, 512MiB, 1.5g"},
    {IN_PROFILE("memory: 1m"),
     "config.yaml:3:13: memory: \"1m\" is too small; the minimum is 4MiB"},
    {IN_PROFILE("cpu: many"),
     "config.yaml:3:10: cpu: \"many\" is not a number of CPUs; write up to three decimals: "
     "2, 0.5, 1.25"},
    {IN_PROFILE("limits: {wall: 30}"),
     "config.yaml:3:20: wall: \"30\" is not a duration; write a unit (ms, s, m, h): 250ms, 30s, "
     "1h30m"},
    {IN_PROFILE("limits: {timeout: 2d}"),
     "config.yaml:3:23: timeout: \"2d\" is not a duration; write a unit (ms, s, m, h): 250ms, "
     "30s, 1h30m"},
    {IN_PROFILE("limits: {pids: 0}"),
     "config.yaml:3:20: pids: \"0\" is too small; the minimum is 1"},
    {IN_PROFILE("cpu: 1\n    limits: {cpu: 2}"), "config.yaml:4:19: \"cpu\" is said twice"},
    {IN_PROFILE("limits: {wall: 1s, timeout: 2s}"), "config.yaml:3:33: \"wall\" is said twice"},
    /* choices */
    {IN_PROFILE("driver: docker"),
     "config.yaml:3:13: driver: \"docker\" is not one of \"native\", \"bwrap\", \"chroot\", "
     "\"lima\""},
    {IN_PROFILE("driver: ''"),
     "config.yaml:3:13: driver: \"\" is not one of \"native\", \"bwrap\", \"chroot\", \"lima\""},
    {IN_PROFILE("filesystem: readonly"),
     "config.yaml:3:17: filesystem: \"readonly\" is not one of \"restricted\", \"read-only\", "
     "\"minimal\""},
    {IN_PROFILE("network: {enabled: perhaps}"),
     "config.yaml:3:24: enabled: \"perhaps\" is not one of \"true\", \"false\""},
    {IN_PROFILE("network: {mode: full}"),
     "config.yaml:3:21: mode: \"full\" is not one of \"none\", \"limited\""},
    {IN_PROFILE("network: {enabled: false, mode: limited}"),
     "config.yaml:3:37: \"enabled\" and \"mode\" say different things"},
    {IN_PROFILE("network: {allow: [\"a b\"]}"),
     "config.yaml:3:23: rule \"a b\": not a host name, \"*.\" and a host name, an address or a "
     "CIDR range"},
    /* mounts */
    {IN_PROFILE("mounts: [{target: /data}]"), "config.yaml:3:14: the mount has no \"source\""},
    {IN_PROFILE("mounts: [{source: ./x}]"), "config.yaml:3:14: the mount has no \"target\""},
    {IN_PROFILE("mounts: [{source: ~/x, target: /x}]"),
     "config.yaml:3:23: source: \"~\" is not expanded; write the directory itself"},
    {IN_PROFILE("mounts: [{source: /x, target: /usr/x}]"),
     "config.yaml:3:35: target: \"/usr/x\" is in the system directory /usr"},
    {IN_PROFILE("mounts: [{source: /x, target: /a/../b}]"),
     "config.yaml:3:35: target: \"/a/../b\" has an empty, \".\" or \"..\" part, or a control "
     "character"},
    {IN_PROFILE("mounts: [{source: /x, target: data}]"),
     "config.yaml:3:35: target: \"data\" is not an absolute path"},
    {IN_PROFILE("mounts: [{source: /x, target: /x, mode: rwx}]"),
     "config.yaml:3:45: mode: \"rwx\" is not one of \"ro\", \"rw\", \"overlay\""},
    {IN_PROFILE("mounts: [{source: /x, target: /x, mode: overlay}]"),
     "config.yaml:3:14: the mount at \"/x\" cannot be an overlay: /workspace alone can"},
    {IN_PROFILE("mounts: [{source: /x, target: /x}, {source: /y, target: /x}]"),
     "config.yaml:3:40: there is a mount at \"/x\" already"},
    /* names and texts */
    {"profiles: {Mine: {}}",
     "config.yaml:1:12: \"Mine\" is not a profile name: a small letter, then small letters, "
     "digits, \"-\" and \"_\", 63 at most"},
    {IN_PROFILE("environment: {\"A=B\": 1}"),
     "config.yaml:3:19: environment: \"A=B\" is not a variable name (empty, or with \"=\" or "
     "NUL)"},
    {IN_PROFILE("seccomp: pyton"),
     "config.yaml:3:14: seccomp: there is no list \"pyton\"; did you mean \"python\"? (a file has "
     "a \"/\" or ends in .json)"},
    {IN_PROFILE("description: \"a\\nb\""),
     "config.yaml:3:18: one line of 1 to 200 characters is expected"},
    /* YAML itself */
    {"a: &x 1", "config.yaml:1:4: anchors and aliases (& and *) are not allowed"},
    {"a: *x", "config.yaml:1:4: anchors and aliases (& and *) are not allowed"},
    {"a: !!str 1", "config.yaml:1:4: tags (!) are not allowed"},
    {"--- {}\n--- {}", "config.yaml:2:1: only one document is allowed"},
    {"? {a: b}\n: c", "config.yaml:1:3: a key must be a plain word"},
    {"a: [[[[[[[[1]]]]]]]]", "config.yaml:1:11: nested too deeply"},
    {"a: \"\\0\"", "config.yaml:1:4: a NUL character is not allowed"},
    {"a: b\nc: \"\xff\"", "config.yaml:2:5: not UTF-8"},
    {"a: [1", "config.yaml:2:1: did not find expected ',' or ']'"},
};

static void each_mistake_is_named_with_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        assert_refused(sb_str_from(refused[i].text), refused[i].message);
    }
}

static void all_mistakes_of_a_file_are_told_in_its_order(void **state)
{
    (void)state;
    struct sb_problems problems = {0};
    struct sb_config config = {0};
    struct sb_err err = {0};
    assert_int_equal(sb_config_parse(SB_STR("profiles:\n"
                                            "  a: {memroy: 1}\n"
                                            "  b: {cpu: x, mounts: [{target: /etc}]}\n"),
                                     &source, &problems, &config, &err),
                     -1);
    assert_int_equal(problems.n, 4);
    static const unsigned places[][2] = {{2, 7}, {3, 12}, {3, 24}, {3, 33}};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(problems.items[i].line, places[i][0]);
        assert_int_equal(problems.items[i].column, places[i][1]);
    }
    assert_string_equal(err.text, "config.yaml:2:7: unknown key \"memroy\"; did you mean "
                                  "\"memory\"? (and 3 more problems)");
}

static void only_twenty_mistakes_are_kept_and_the_rest_counted(void **state)
{
    (void)state;
    char text[1024] = "profiles: {a: {";
    size_t len = strlen(text);
    for (int i = 0; i < 25; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, "x%02d: 1, ", i);
    }
    (void)snprintf(text + len, sizeof text - len, "}}");
    struct sb_problems problems = {0};
    struct sb_config config = {0};
    struct sb_err err = {0};
    assert_int_equal(sb_config_parse(sb_str_from(text), &source, &problems, &config, &err), -1);
    assert_int_equal(problems.n, SB_PROBLEMS_MAX);
    assert_int_equal(problems.dropped, 5);
}

static void reads_every_key_of_the_documented_shape(void **state)
{
    (void)state;
    SB_CLEANUP(sb_config_done) struct sb_config config = {0};
    parse("profiles:\n"
          "  my-custom-profile:\n"
          "    name: my-custom-profile\n"
          "    driver: bwrap\n"
          "    cpu: \"1\"\n"
          "    memory: \"512m\"\n"
          "    network:\n"
          "      enabled: false\n"
          "    mounts:\n"
          "      - source: ./workspace\n"
          "        target: /workspace\n"
          "        mode: rw\n"
          "      - {source: /data/../srv//x, target: /srv, mode: ro}\n"
          "    environment:\n"
          "      TERM: xterm\n"
          "    seccomp: profiles/custom.json\n"
          "default_profile: my-custom-profile\n",
          &config);
    assert_int_equal(config.n_profiles, 1);
    const struct sb_profile *profile = config.profiles[0].profile;
    assert_string_equal(profile->name, "my-custom-profile");
    assert_int_equal(profile->driver, SB_DRIVER_BWRAP);
    assert_int_equal(profile->limits.cpu_millis, 1000);
    assert_int_equal(profile->limits.mem_bytes, 512 << 20);
    assert_int_equal(profile->network.mode, SB_NETWORK_NONE);
    assert_int_equal(profile->mounts.n, 2);
    assert_string_equal(profile->mounts.items[0].source, "/conf/workspace");
    assert_true(profile->mounts.items[0].is_writable);
    assert_string_equal(profile->mounts.items[1].source, "/srv/x");
    assert_false(profile->mounts.items[1].is_writable);
    assert_string_equal(sb_pairs_get(&profile->env, SB_STR("TERM")), "xterm");
    assert_string_equal(profile->seccomp, "profiles/custom.json");
    assert_string_equal(profile->seccomp_path, "/conf/profiles/custom.json");
    assert_string_equal(profile->origin, "config.yaml:2");
    assert_string_equal(config.default_profile, "my-custom-profile");
}

static void reads_the_keys_beyond_that_shape(void **state)
{
    (void)state;
    SB_CLEANUP(sb_config_done) struct sb_config config = {0};
    parse(
        "profiles:\n"
        "  p:\n"
        "    extends: strict\n"
        "    description: For me\n"
        "    abstract: true\n"
        "    limits: {pids: 9, timeout: 90s, disk: 1m, inodes: 99, file_size: 2m,\n"
        "             open_files: 64, output: 1k, cpu: 0.5, memory: 8m,\n"
        "             io_read: 1m, io_write: 2k, io_read_ops: 5, io_write_ops: 6, io_weight: 50}\n"
        "    network: {mode: limited, allow: [\"*.example.org:443\"], deny: [10.0.0.0/8],\n"
        "              max_connections: 8, max_bytes: 1m}\n"
        "    filesystem: minimal\n"
        "    seccomp: base\n",
        &config);
    const struct sb_profile *p = config.profiles[0].profile;
    assert_string_equal(p->extends, "strict");
    assert_string_equal(p->description, "For me");
    assert_true(p->is_hidden);
    const struct sb_limits limits = {.cpu_millis = 500,
                                     .mem_bytes = 8 << 20,
                                     .pids = 9,
                                     .wall_ms = 90000,
                                     .disk_bytes = 1 << 20,
                                     .inodes = 99,
                                     .file_bytes = 2 << 20,
                                     .open_files = 64,
                                     .output_bytes = 1024,
                                     .io_read_bytes = 1 << 20,
                                     .io_write_bytes = 2048,
                                     .io_read_ops = 5,
                                     .io_write_ops = 6,
                                     .io_weight = 50};
    assert_memory_equal(&p->limits, &limits, sizeof limits);
    assert_int_equal(p->network.mode, SB_NETWORK_LIMITED);
    assert_string_equal(p->network.allow.items[0], "*.example.org:443");
    assert_string_equal(p->network.deny.items[0], "10.0.0.0/8");
    assert_int_equal(p->network.max_connections, 8);
    assert_int_equal(p->network.max_bytes, 1 << 20);
    assert_int_equal(p->filesystem, SB_FILESYSTEM_MINIMAL);
    assert_null(p->seccomp_path);
}

static void takes_a_title_of_its_own_as_the_description(void **state)
{
    (void)state;
    SB_CLEANUP(sb_config_done) struct sb_config config = {0};
    parse("profiles: {p: {name: My own profile}}", &config);
    assert_string_equal(config.profiles[0].profile->name, "p");
    assert_string_equal(config.profiles[0].profile->description, "My own profile");
}

static void takes_an_empty_file_as_no_profiles(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "# nothing\n", "---\n", "{}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        SB_CLEANUP(sb_config_done) struct sb_config config = {0};
        parse(texts[i], &config);
        assert_int_equal(config.n_profiles, 0);
    }
}

static void refuses_a_file_longer_than_one_mebibyte(void **state)
{
    (void)state;
    size_t len = (1U << 20) + 1;
    char *text = (char *)malloc(len);
    assert_non_null(text);
    memset(text, ' ', len);
    assert_refused(sb_str_of(text, len), "config.yaml:1:1: longer than 1048576 bytes");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mistake_is_named_with_its_place),
        cmocka_unit_test(all_mistakes_of_a_file_are_told_in_its_order),
        cmocka_unit_test(only_twenty_mistakes_are_kept_and_the_rest_counted),
        cmocka_unit_test(reads_every_key_of_the_documented_shape),
        cmocka_unit_test(reads_the_keys_beyond_that_shape),
        cmocka_unit_test(takes_a_title_of_its_own_as_the_description),
        cmocka_unit_test(takes_an_empty_file_as_no_profiles),
        cmocka_unit_test(refuses_a_file_longer_than_one_mebibyte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
