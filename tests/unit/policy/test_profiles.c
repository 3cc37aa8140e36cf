#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/profiles.h"
#include "service/worker/policy/seccomp_json.h"

/* A directory with a configuration file; the whole of it is removed after each test. */
static char dir[64];
static char config_path[128];

static int make_dir(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/test_profiles.XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(config_path, sizeof config_path, "%s/config.yaml", dir);
    return 0;
}

static void path_of(char out[128], const char *name)
{
    (void)snprintf(out, 128, "%s/%s", dir, name);
}

static void write_file(const char *name, const char *text)
{
    char path[128];
    path_of(path, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fputs(text, file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
}

static int remove_dir(void **state)
{
    (void)state;
    static const char *const names[] = {"config.yaml", "custom.json", "aisbx/config.yaml"};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        path_of(path, names[i]);
        (void)unlink(path);
    }
    path_of(path, "aisbx");
    (void)rmdir(path);
    return rmdir(dir);
}

static struct sb_profiles *load(const char *text)
{
    struct sb_profiles *profiles = NULL;
    struct sb_err err = {0};
    assert_int_equal(sb_profiles_new(&profiles, &err), 0);
    if (text != NULL) {
        write_file("config.yaml", text);
        if (sb_profiles_load(profiles, config_path, NULL, &err) < 0) {
            fail_msg("%s", err.text);
        }
    }
    return profiles;
}

static const struct sb_profile *get(const struct sb_profiles *profiles, const char *name)
{
    const struct sb_profile *profile = NULL;
    struct sb_err err = {0};
    if (sb_profiles_get(profiles, sb_str_from(name), &profile, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return profile;
}

/* Loads text that must be refused; the message without the directory. */
static void assert_refused(const char *text, const char *message)
{
    SB_CLEANUP(sb_profiles_freep) struct sb_profiles *profiles = load(NULL);
    struct sb_err err = {0};
    write_file("config.yaml", text);
    assert_int_equal(sb_profiles_load(profiles, config_path, NULL, &err), -1);
    assert_int_equal(err.code, SB_INVALID);
    assert_memory_equal(err.text, dir, strlen(dir));
    assert_string_equal(err.text + strlen(dir) + 1, message);
}

static const struct {
    const char *name;
    enum sb_network_mode network;
    enum sb_filesystem filesystem;
    const char *seccomp;
} builtin[] = {
    {"go-dev", SB_NETWORK_LIMITED, SB_FILESYSTEM_RESTRICTED, "go"},
    {"java-dev", SB_NETWORK_LIMITED, SB_FILESYSTEM_RESTRICTED, "java"},
    {"minimal", SB_NETWORK_NONE, SB_FILESYSTEM_MINIMAL, "shell"},
    {"node-dev", SB_NETWORK_LIMITED, SB_FILESYSTEM_RESTRICTED, "node"},
    {"python-dev", SB_NETWORK_LIMITED, SB_FILESYSTEM_RESTRICTED, "python"},
    {"rust-dev", SB_NETWORK_LIMITED, SB_FILESYSTEM_RESTRICTED, "rust"},
    {"strict", SB_NETWORK_NONE, SB_FILESYSTEM_READ_ONLY, "shell"},
};

static void the_built_in_profiles_are_those_of_the_manual(void **state)
{
    (void)state;
    SB_CLEANUP(sb_profiles_freep) struct sb_profiles *profiles = load(NULL);
    assert_int_equal(sb_profiles_count(profiles), sizeof builtin / sizeof builtin[0]);
    for (size_t i = 0; i < sizeof builtin / sizeof builtin[0]; i++) {
        const struct sb_profile *profile = sb_profiles_at(profiles, i);
        assert_string_equal(profile->name, builtin[i].name);
        assert_int_equal(profile->network.mode, builtin[i].network);
        assert_int_equal(profile->filesystem, builtin[i].filesystem);
        assert_string_equal(profile->seccomp, builtin[i].seccomp);
        assert_int_equal(profile->driver, SB_DRIVER_NATIVE);
        assert_string_equal(profile->origin, "built-in");
        assert_false(sb_profiles_is_configured(profile));
        assert_non_null(profile->description);
    }
    assert_string_equal(sb_profiles_default(profiles), "strict");
}

static void every_built_in_profile_is_complete(void **state)
{
    (void)state;
    SB_CLEANUP(sb_profiles_freep) struct sb_profiles *profiles = load(NULL);
    for (size_t i = 0; i < sb_profiles_count(profiles); i++) {
        const struct sb_profile *profile = sb_profiles_at(profiles, i);
        struct sb_filter *filter = NULL;
        struct sb_err err = {0};
        for (size_t k = 0; k < sb_limits_table_n; k++) {
            assert_true(sb_limits_table[k].is_optional ||
                        sb_limits_get(&profile->limits, &sb_limits_table[k]) > 0);
        }
        assert_string_equal(sb_pairs_get(&profile->env, SB_STR("PATH")),
                            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        assert_string_equal(sb_pairs_get(&profile->env, SB_STR("HOME")), "/tmp");
        assert_string_equal(sb_pairs_get(&profile->env, SB_STR("TMPDIR")), "/tmp");
        assert_string_equal(sb_pairs_get(&profile->env, SB_STR("LANG")), "C.UTF-8");
        assert_null(sb_pairs_get(&profile->env, SB_STR("TERM")));
        assert_int_equal(sb_profiles_filter(profiles, profile, &filter, &err), 0);
        assert_true(filter->message->n_rules > 10);
    }
}

static void a_profile_takes_what_it_does_not_say_from_its_base(void **state)
{
    (void)state;
    SB_CLEANUP(sb_profiles_freep)
    struct sb_profiles *profiles = load("profiles:\n"
                                        "  mine:\n"
                                        "    extends: python-dev\n"
                                        "    memory: 1g\n"
                                        "    network: {allow: []}\n"
                                        "    environment: {LANG: de_DE.UTF-8, MORE: \"1\"}\n");
    const struct sb_profile *base = get(profiles, "python-dev");
    const struct sb_profile *mine = get(profiles, "mine");
    assert_int_equal(mine->limits.mem_bytes, 1 << 30);
    assert_int_equal(mine->limits.pids, base->limits.pids);
    assert_int_equal(mine->network.mode, SB_NETWORK_LIMITED);
    assert_int_equal(base->network.allow.n, 2);
    assert_int_equal(mine->network.allow.n, 0);
    assert_string_equal(mine->seccomp, "python");
    assert_string_equal(sb_pairs_get(&mine->env, SB_STR("LANG")), "de_DE.UTF-8");
    assert_string_equal(sb_pairs_get(&mine->env, SB_STR("MORE")), "1");
    assert_string_equal(sb_pairs_get(&mine->env, SB_STR("HOME")), "/tmp");
    assert_string_equal(mine->extends, "python-dev");
    assert_null(mine->description);
}

static void a_profile_that_extends_nothing_starts_from_base(void **state)
{
    (void)state;
    SB_CLEANUP(sb_profiles_freep) struct sb_profiles *profiles = load("profiles: {mine: {}}");
    const struct sb_profile *mine = get(profiles, "mine");
    assert_int_equal(mine->network.mode, SB_NETWORK_NONE);
    assert_int_equal(mine->filesystem, SB_FILESYSTEM_RESTRICTED);
    assert_string_equal(mine->seccomp, "base");
    assert_null(mine->extends);
}

static void mounts_add_up_and_the_same_target_is_replaced(void **state)
{
    (void)state;
    SB_CLEANUP(sb_profiles_freep)
    struct sb_profiles *profiles =
        load("profiles:\n"
             "  b: {extends: a, mounts: [{source: /new, target: /x, mode: rw}]}\n"
             "  a: {mounts: [{source: /old, target: /x}, {source: data, target: /data}]}\n");
    const struct sb_profile *b = get(profiles, "b");
    assert_int_equal(b->mounts.n, 2);
    const struct sb_mount *x = sb_mounts_find(&b->mounts, SB_STR("/x"));
    assert_string_equal(x->source, "/new");
    assert_true(x->is_writable);
    char data[128];
    path_of(data, "data");
    assert_string_equal(sb_mounts_find(&b->mounts, SB_STR("/data"))->source, data);
}

static void a_configured_profile_may_replace_a_built_in_one(void **state)
{
    (void)state;
    SB_CLEANUP(sb_profiles_freep)
    struct sb_profiles *profiles = load("profiles:\n"
                                        "  strict:\n"
                                        "    extends: strict\n"
                                        "    memory: 64m\n"
                                        "  other: {extends: strict}\n");
    const struct sb_profile *strict = get(profiles, "strict");
    assert_int_equal(strict->limits.mem_bytes, 64 << 20);
    assert_int_equal(strict->filesystem, SB_FILESYSTEM_READ_ONLY);
    assert_int_equal(get(profiles, "other")->limits.mem_bytes, 64 << 20);
    assert_true(sb_profiles_is_configured(strict));
    assert_non_null(strstr(strict->origin, "config.yaml:2"));
    assert_int_equal(sb_profiles_count(profiles), sizeof builtin / sizeof builtin[0] + 1);
}

static void replacing_a_base_does_not_change_built_in_profiles(void **state)
{
    (void)state;
    SB_CLEANUP(sb_profiles_freep)
    struct sb_profiles *profiles = load("profiles:\n"
                                        "  dev: {memory: 8m}\n"
                                        "  base: {memory: 16m, abstract: true}\n"
                                        "  mine: {}\n");
    assert_int_equal(get(profiles, "go-dev")->limits.mem_bytes, UINT64_C(2) << 30);
    assert_int_equal(get(profiles, "dev")->limits.mem_bytes, 8 << 20);
    assert_int_equal(get(profiles, "mine")->limits.mem_bytes, 16 << 20);
}

static void a_circle_is_named(void **state)
{
    (void)state;
    assert_refused("profiles:\n"
                   "  z: {extends: c}\n"
                   "  a: {extends: b}\n"
                   "  b: {extends: c}\n"
                   "  c: {extends: a}\n",
                   "config.yaml:3:3: extends goes in a circle: \"a\" -> \"b\" -> \"c\" -> \"a\"");
    assert_refused("profiles:\n"
                   "  base: {extends: x}\n"
                   "  x: {}\n",
                   "config.yaml:2:3: extends goes in a circle: \"base\" -> \"x\" -> \"base\"");
}

static void what_is_not_there_is_named_with_the_nearest(void **state)
{
    (void)state;
    assert_refused("profiles: {a: {extends: pyhton-dev}}",
                   "config.yaml:1:25: extends: there is no profile \"pyhton-dev\"; did you mean "
                   "\"python-dev\"?");
    assert_refused("default_profile: strikt",
                   "config.yaml:1:18: default_profile: there is no profile \"strikt\"; did you "
                   "mean \"strict\"?");
}

static void a_look_up_suggests_the_nearest_name(void **state)
{
    (void)state;
    SB_CLEANUP(sb_profiles_freep) struct sb_profiles *profiles = load(NULL);
    const struct sb_profile *profile = NULL;
    struct sb_err err = {0};
    assert_int_equal(sb_profiles_get(profiles, SB_STR("go_dev"), &profile, &err), -1);
    assert_int_equal(err.code, SB_NOT_FOUND);
    assert_string_equal(err.text, "there is no profile \"go_dev\"; did you mean \"go-dev\"?");
    assert_int_equal(sb_profiles_get(profiles, SB_STR("dev"), &profile, &err), -1);
    assert_string_equal(err.text,
                        "profile \"dev\" is a base for others, and not for use by itself");
}

static void an_empty_name_is_the_default_profile(void **state)
{
    (void)state;
    SB_CLEANUP(sb_profiles_freep)
    struct sb_profiles *profiles = load("default_profile: go-dev");
    assert_string_equal(get(profiles, "")->name, "go-dev");
    assert_string_equal(sb_profiles_default(profiles), "go-dev");
}

static void a_read_only_profile_cannot_have_a_writable_mount(void **state)
{
    (void)state;
    assert_refused("profiles:\n"
                   "  a:\n"
                   "    extends: strict\n"
                   "    mounts: [{source: /x, target: /x, mode: rw}]\n",
                   "config.yaml:2:3: profile \"a\": the mount at \"/x\" is rw, but the filesystem "
                   "is read-only");
}

static void mounts_must_not_overlap(void **state)
{
    (void)state;
    assert_refused("profiles:\n"
                   "  a:\n"
                   "    mounts: [{source: /x, target: /x}, {source: /y, target: /x/y}]\n",
                   "config.yaml:2:3: profile \"a\": the mounts at \"/x\" and \"/x/y\" overlap");
}

static void a_seccomp_file_is_read_from_beside_the_configuration(void **state)
{
    (void)state;
    write_file("custom.json", "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}");
    SB_CLEANUP(sb_profiles_freep)
    struct sb_profiles *profiles = load("profiles: {a: {seccomp: ./custom.json},\n"
                                        "           b: {extends: a}}\n");
    struct sb_filter *filter = NULL;
    struct sb_err err = {0};
    assert_int_equal(sb_profiles_filter(profiles, get(profiles, "b"), &filter, &err), 0);
    assert_int_equal(filter->message->default_action, SPAWN__V1__ACTION__ACTION_ALLOW);
}

static void a_bad_seccomp_file_is_a_mistake_at_its_place(void **state)
{
    (void)state;
    SB_CLEANUP(sb_profiles_freep) struct sb_profiles *profiles = load(NULL);
    struct sb_problems problems = {0};
    struct sb_err err = {0};
    write_file("custom.json", "{\"defaultAction\":\"SCMP_ACT_ALOW\"}");
    write_file("config.yaml", "profiles:\n"
                              "  a: {seccomp: custom.json}\n"
                              "  b: {seccomp: ./gone.json}\n");
    assert_int_equal(sb_profiles_load(profiles, config_path, &problems, &err), -1);
    assert_int_equal(problems.n, 2);
    assert_int_equal(problems.items[0].line, 2);
    assert_int_equal(problems.items[0].column, 16);
    assert_non_null(strstr(problems.items[0].text, "defaultAction: unknown"));
    assert_int_equal(problems.items[1].line, 3);
    assert_non_null(strstr(problems.items[1].text, "No such file"));
}

static void a_bad_file_leaves_the_set_as_it_was(void **state)
{
    (void)state;
    SB_CLEANUP(sb_profiles_freep)
    struct sb_profiles *profiles = load("profiles: {mine: {memory: 8m}}\n"
                                        "default_profile: mine\n");
    struct sb_err err = {0};
    static const char *const bad[] = {"profiles: {mine: {memory: 9q}}",
                                      "profiles: {a: {extends: b}}", "{", "default_profile: nobody",
                                      "profiles: {a: {seccomp: ./gone.json}}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_file("config.yaml", bad[i]);
        assert_int_equal(sb_profiles_load(profiles, config_path, NULL, &err), -1);
        assert_int_equal(get(profiles, "mine")->limits.mem_bytes, 8 << 20);
        assert_string_equal(sb_profiles_default(profiles), "mine");
    }
    (void)unlink(config_path);
    assert_int_equal(sb_profiles_load(profiles, config_path, NULL, &err), -1);
    assert_int_equal(err.code, SB_NOT_FOUND);
    assert_int_equal(get(profiles, "mine")->limits.mem_bytes, 8 << 20);
    assert_int_equal(sb_profiles_load(profiles, NULL, NULL, &err), 0);
    assert_string_equal(sb_profiles_default(profiles), "strict");
}

static void a_checked_text_reads_no_file(void **state)
{
    (void)state;
    SB_CLEANUP(sb_profiles_freep) struct sb_profiles *profiles = NULL;
    struct sb_problems problems = {0};
    struct sb_filter *filter = NULL;
    struct sb_err err = {0};
    write_file("custom.json", "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}");
    char text[256];
    (void)snprintf(text, sizeof text, "profiles: {a: {seccomp: %s/custom.json}}", dir);
    assert_int_equal(sb_profiles_check(sb_str_from(text), "c.yaml", &problems, &profiles, &err), 0);
    assert_int_equal(sb_profiles_filter(profiles, get(profiles, "a"), &filter, &err), -1);
    assert_int_equal(err.code, SB_PRECONDITION);
}

static void a_resolved_profile_written_as_yaml_reads_back_the_same(void **state)
{
    (void)state;
    SB_CLEANUP(sb_profiles_freep)
    struct sb_profiles *profiles =
        load("profiles:\n"
             "  odd:\n"
             "    extends: go-dev\n"
             "    description: \"a \\\"b\\\" \\\\ #c: \\u00e9\"\n"
             "    cpu: 0.5\n"
             "    mounts: [{source: \"/a b\", target: /x, mode: rw}]\n"
             "    network: {allow: [], deny: [\"*.example.org\"]}\n"
             "    environment: {\"a b\": \"line\\n\\ttab \\u202e\\x7f\", EMPTY: \"\", NULLS: ~}\n");
    for (size_t i = 0; i < sb_profiles_count(profiles); i++) {
        const struct sb_profile *profile = sb_profiles_at(profiles, i);
        SB_CLEANUP(sb_buf_done) struct sb_buf once = SB_BUF_INIT(1 << 20);
        SB_CLEANUP(sb_buf_done) struct sb_buf twice = SB_BUF_INIT(1 << 20);
        SB_CLEANUP(sb_profiles_freep) struct sb_profiles *again = NULL;
        struct sb_problems problems = {0};
        struct sb_err err = {0};
        assert_int_equal(sb_profile_yaml(profile, &once, &err), 0);
        if (sb_profiles_check(sb_buf_str(&once), "x.yaml", &problems, &again, &err) < 0) {
            fail_msg("%s\n%s", err.text, sb_buf_cstr(&once));
        }
        assert_int_equal(sb_profile_yaml(get(again, profile->name), &twice, &err), 0);
        assert_string_equal(sb_buf_cstr(&once), sb_buf_cstr(&twice));
        char a[SB_POLICY_HASH_SIZE];
        char b[SB_POLICY_HASH_SIZE];
        assert_int_equal(sb_policy_profile_hash(profiles, profile, a, &err), 0);
        assert_int_equal(sb_policy_profile_hash(again, get(again, profile->name), b, &err), 0);
        assert_string_equal(a, b);
    }
}

static char *find_config(void)
{
    char *path = NULL;
    struct sb_err err = {0};
    if (sb_profiles_find_config(&path, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return path;
}

static void the_configuration_is_looked_for_in_order(void **state)
{
    (void)state;
    char path[128];
    write_file("config.yaml", "");
    path_of(path, "aisbx");
    assert_int_equal(mkdir(path, 0700), 0);
    write_file("aisbx/config.yaml", "");
    (void)setenv("XDG_CONFIG_HOME", dir, 1);
    (void)setenv("AISBX_CONFIG_PATH", config_path, 1);

    SB_CLEANUP(sb_freep) char *named = find_config();
    assert_string_equal(named, config_path);

    (void)unsetenv("AISBX_CONFIG_PATH");
    SB_CLEANUP(sb_freep) char *own = find_config();
    path_of(path, "aisbx/config.yaml");
    assert_string_equal(own, path);

    (void)unlink(path);
    SB_CLEANUP(sb_freep) char *none = find_config();
    assert_true(none == NULL || strcmp(none, "/etc/aisbx/config.yaml") == 0);
}

static void a_named_configuration_must_be_there(void **state)
{
    (void)state;
    char *path = NULL;
    struct sb_err err = {0};
    (void)setenv("AISBX_CONFIG_PATH", config_path, 1);
    assert_int_equal(sb_profiles_find_config(&path, &err), -1);
    assert_int_equal(err.code, SB_NOT_FOUND);
    (void)unsetenv("AISBX_CONFIG_PATH");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_built_in_profiles_are_those_of_the_manual),
        TEST(every_built_in_profile_is_complete),
        TEST(a_profile_takes_what_it_does_not_say_from_its_base),
        TEST(a_profile_that_extends_nothing_starts_from_base),
        TEST(mounts_add_up_and_the_same_target_is_replaced),
        TEST(a_configured_profile_may_replace_a_built_in_one),
        TEST(replacing_a_base_does_not_change_built_in_profiles),
        TEST(a_circle_is_named),
        TEST(what_is_not_there_is_named_with_the_nearest),
        TEST(a_look_up_suggests_the_nearest_name),
        TEST(an_empty_name_is_the_default_profile),
        TEST(a_read_only_profile_cannot_have_a_writable_mount),
        TEST(mounts_must_not_overlap),
        TEST(a_seccomp_file_is_read_from_beside_the_configuration),
        TEST(a_bad_seccomp_file_is_a_mistake_at_its_place),
        TEST(a_bad_file_leaves_the_set_as_it_was),
        TEST(a_checked_text_reads_no_file),
        TEST(a_resolved_profile_written_as_yaml_reads_back_the_same),
        TEST(the_configuration_is_looked_for_in_order),
        TEST(a_named_configuration_must_be_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
