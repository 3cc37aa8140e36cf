/** Secrets of profiles: what a file may say, what is inherited, where values come from. */
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
#include "service/worker/policy/explain.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/profiles.h"
#include "service/worker/policy/request.h"

#define VALUE "the-value-that-nobody-may-see-0123456789"

static char dir[64];

static void path_of(char out[128], const char *name)
{
    (void)snprintf(out, 128, "%s/%s", dir, name);
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    char path[128];
    path_of(path, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static int make_dir(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/test_secrets.XXXXXX");
    assert_non_null(mkdtemp(dir));
    write_file("token", VALUE "\n", 0600);
    return setenv("TEST_SECRET", VALUE, 1);
}

static int remove_dir(void **state)
{
    (void)state;
    static const char *const names[] = {"config.yaml", "token", "ca.pem"};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        path_of(path, names[i]);
        (void)unlink(path);
    }
    return rmdir(dir);
}

/* Loads what a file says; NULL: *ret_err is the first problem. */
static struct sb_profiles *try_load(const char *text, struct sb_err *err)
{
    char path[128];
    struct sb_profiles *profiles = NULL;
    assert_int_equal(sb_profiles_new(&profiles, err), 0);
    write_file("config.yaml", text, 0600);
    path_of(path, "config.yaml");
    if (sb_profiles_load(profiles, path, NULL, err) < 0) {
        sb_profiles_free(profiles);
        return NULL;
    }
    return profiles;
}

static struct sb_profiles *load(const char *text)
{
    struct sb_err err = {0};
    struct sb_profiles *profiles = try_load(text, &err);
    if (profiles == NULL) {
        fail_msg("%s", err.text);
    }
    return profiles;
}

static void refuses(const char *text, const char *message)
{
    struct sb_err err = {0};
    assert_null(try_load(text, &err));
    if (strstr(err.text, message) == NULL) {
        fail_msg("%s", err.text);
    }
}

static const struct sb_profile *get(const struct sb_profiles *profiles, const char *name)
{
    const struct sb_profile *profile = NULL;
    struct sb_err err = {0};
    assert_int_equal(sb_profiles_get(profiles, sb_str_from(name), &profile, &err), 0);
    return profile;
}

static struct sb_request *request_for(const char *profile)
{
    struct sb_request *request = NULL;
    struct sb_err err = {0};
    assert_int_equal(sb_request_make(NULL, "sandbox", &request, &err), 0);
    request->profile = strdup(profile);
    return request;
}

#define IN(secrets)                                                                                \
    "profiles:\n  p:\n    network: {enabled: true, allow: [\"a.org\", \"*.b.org:8080\"], deny: "   \
    "[bad.b.org]}\n    secrets: {" secrets "}\n"

static void what_a_file_may_not_say_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } rows[] = {
        {IN("\"1X\": {env: A, hosts: [\"a.org:80\"]}"), "letters, digits"},
        {IN("X: {env: A, file: b, hosts: [\"a.org:80\"]}"), "either \"file\" or \"env\""},
        {IN("X: {hosts: [\"a.org:80\"]}"), "neither \"file\" nor \"env\", and it is not inherited"},
        {IN("X: {env: A}"), "\"hosts\" is missing"},
        {IN("X: {env: A, value: b, hosts: [\"a.org:80\"]}"), "unknown key \"value\""},
        {IN("X: {env: \"A B\", hosts: [\"a.org:80\"]}"), "name of an environment variable"},
        {IN("X: {env: A, hosts: [a.org]}"), "\"host:port\" or \"*.host:port\" is expected"},
        {IN("X: {env: A, hosts: [\"10.0.0.0/8\"]}"), "\"host:port\" or"},
        {IN("X: {env: A, hosts: [\"a.org:443\"]}"), "port 443 takes TLS only"},
        {IN("X: {env: A, hosts: [{tls: true}]}"), "no \"host\""},
        {IN("X: {env: A, ca_file: x, hosts: [\"a.org:80\"]}"), "\"ca_file\" is for hosts with"},
        {IN("X: {env: A, ca_file: x, hosts: [{host: \"a.org:443\", tls: true}]}, "
            "Y: {env: B, ca_file: y, hosts: [{host: \"a.org:443\", tls: true}]}"),
         "secrets X and Y name two \"ca_file\" for \"a.org:443\""},
        {IN("X: {env: A, ca_file: x, hosts: [{host: \"*.b.org:8080\", tls: true}]}, "
            "Y: {env: B, ca_file: y, hosts: [{host: \"c.b.org:8080\", tls: true}]}"),
         "name two \"ca_file\" for \"c.b.org:8080\""},
        {IN("X: {env: A, hosts: [\"c.org:80\"]}"),
         "secret X: the network does not allow \"c.org:80\""},
        {IN("X: {env: A, hosts: [\"x.b.org:80\"]}"), "does not allow \"x.b.org:80\""},
        {IN("X: {env: A, hosts: [\"bad.b.org:8080\"]}"), "does not allow \"bad.b.org:8080\""},
        {IN("X: {env: A, hosts: [\"a.org:80\"]}}\n    environment: {X: y"), "both a secret and in"},
        {"profiles: {p: {extends: strict, secrets: {X: {env: A, hosts: [\"a.org:80\"]}}}}",
         "does not allow \"a.org:80\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        refuses(rows[i].text, rows[i].message);
    }
}

static void one_ca_file_is_enough_for_a_host(void **state)
{
    (void)state;
    SB_CLEANUP(sb_profiles_freep)
    struct sb_profiles *profiles =
        load(IN("X: {env: A, ca_file: x, hosts: [{host: \"a.org:443\", tls: true}]}, "
                "Y: {env: B, ca_file: x, hosts: [{host: \"a.org:443\", tls: true}]}, "
                "Z: {env: C, hosts: [{host: \"a.org:443\", tls: true}]}, "
                "O: {env: D, ca_file: y, hosts: [{host: \"*.b.org:8080\", tls: true}]}"));
    assert_int_equal(get(profiles, "p")->secrets.n, 4);
}

static void a_value_comes_from_a_file_or_a_variable_of_the_worker(void **state)
{
    (void)state;
    SB_CLEANUP(sb_profiles_freep)
    struct sb_profiles *profiles =
        load(IN("F: {file: token, hosts: [\"a.org:80\", {host: \"a.org:443\", tls: true}]}, "
                "E: {env: TEST_SECRET, hosts: [\"*.b.org:8080\"]}"));
    const struct sb_profile *p = get(profiles, "p");
    assert_int_equal(p->secrets.n, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_null(p->secrets.items[i].failure);
        assert_string_equal(p->secrets.items[i].value, VALUE);
    }
    assert_string_equal(p->secrets.items[0].plain.items[0], "a.org:80");
    assert_string_equal(p->secrets.items[0].tls.items[0], "a.org:443");
}

static void a_source_that_is_not_fit_keeps_sandboxes_from_starting(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        mode_t mode;
        const char *message;
    } rows[] = {
        {VALUE, 0640, "can be used by others (mode 640)"},
        {"short", 0600, "its value has 5 characters"},
        {VALUE "\nmore", 0600, "character 41 of its value is not printable ASCII"},
        {"\xc3\xa4 is not ASCII", 0600, "character 1 of its value is not printable ASCII"},
        {" " VALUE, 0600, "begins or ends with a blank"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_err err = {0};
        struct sb_policy *policy = NULL;
        write_file("token", rows[i].text, rows[i].mode);
        SB_CLEANUP(sb_profiles_freep)
        struct sb_profiles *profiles = load(IN("X: {file: token, hosts: [\"a.org:80\"]}"));
        SB_CLEANUP(sb_request_freep) struct sb_request *request = request_for("p");
        assert_int_equal(sb_policy_make(profiles, request, &policy, &err), -1);
        assert_int_equal(err.code, SB_PRECONDITION);
        assert_non_null(strstr(err.text, "secret X of profile \"p\": "));
        assert_non_null(strstr(err.text, rows[i].message));
        assert_null(strstr(err.text, VALUE));
        /* The profile can be looked at all the same, and used without it. */
        char hash[SB_POLICY_HASH_SIZE];
        assert_int_equal(sb_policy_profile_hash(profiles, get(profiles, "p"), hash, &err), 0);
        assert_int_equal(sb_strings_add(&request->without_secrets, SB_STR("X"), &err), 0);
        assert_int_equal(sb_policy_make(profiles, request, &policy, &err), 0);
        sb_policy_free(policy);
    }
}

#define BAD_CERTIFICATE "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"

/* The proxy would end, and with it the network of all sandboxes. */
static void certificates_that_cannot_be_read_keep_sandboxes_from_starting(void **state)
{
    (void)state;
    static const char text[] =
        IN("X: {file: token, ca_file: ca.pem, hosts: [{host: \"a.org:443\", tls: true}]}");
    struct sb_err err = {0};
    struct sb_policy *policy = NULL;
    SB_CLEANUP(sb_request_freep) struct sb_request *request = request_for("p");
    SB_CLEANUP(sb_buf_done) struct sb_buf good = SB_BUF_INIT(1 << 16);
    SB_CLEANUP(sb_buf_done) struct sb_buf half = SB_BUF_INIT(1 << 16);
    SB_CLEANUP(sb_profiles_freep)
    struct sb_profiles *first =
        load(IN("X: {file: token, hosts: [{host: \"a.org:443\", tls: true}]}"));
    assert_int_equal(sb_policy_make(first, request, &policy, &err), 0);
    assert_int_equal(sb_buf_printf(&good, "# ours\n%s\n", policy->authority.cert), 0);
    assert_int_equal(sb_buf_printf(&half, "%s" BAD_CERTIFICATE, policy->authority.cert), 0);
    sb_policy_free(policy);
    const struct {
        const char *text;
        const char *message; /* NULL: it is good */
    } rows[] = {
        {sb_buf_cstr(&good), NULL},
        {sb_buf_cstr(&half), "certificate 2 in it cannot be read"},
        {BAD_CERTIFICATE, "certificate 1 in it cannot be read"},
        {"-----BEGIN CERTIFICATE-----\n", "certificate 1 in it cannot be read"},
        {"none", "holds no certificate"},
        {"", "holds no certificate"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        write_file("ca.pem", rows[i].text, 0644);
        SB_CLEANUP(sb_profiles_freep) struct sb_profiles *profiles = load(text);
        int rc = sb_policy_make(profiles, request, &policy, &err);
        if (rows[i].message == NULL) {
            assert_int_equal(rc, 0);
            sb_policy_free(policy);
            continue;
        }
        assert_int_equal(rc, -1);
        assert_int_equal(err.code, SB_PRECONDITION);
        assert_non_null(strstr(err.text, "/ca.pem: "));
        assert_non_null(strstr(err.text, rows[i].message));
    }
}

static void inheritance_narrows(void **state)
{
    (void)state;
    SB_CLEANUP(sb_profiles_freep)
    struct sb_profiles *profiles = load(IN("X: {env: TEST_SECRET, hosts: [\"a.org:80\", "
                                           "\"*.b.org:8080\"]}") "  same: {extends: p}\n"
                                                                 "  fewer: {extends: p, network: "
                                                                 "{allow: [\"a.org:80\"]}}\n"
                                                                 "  none: {extends: p, network: "
                                                                 "{allow: [\"c.org\"]}}\n"
                                                                 "  off: {extends: p, network: "
                                                                 "{enabled: false}}\n"
                                                                 "  without: {extends: p, secrets: "
                                                                 "{X: ~}}\n"
                                                                 "  below: {extends: without}\n"
                                                                 "  own: {extends: p, secrets: {X: "
                                                                 "{hosts: [\"x.b.org:8080\"]}}}\n");
    assert_int_equal(get(profiles, "same")->secrets.items[0].plain.n, 2);
    assert_string_equal(get(profiles, "same")->secrets.items[0].value, VALUE);
    assert_int_equal(get(profiles, "fewer")->secrets.items[0].plain.n, 1);
    static const char *const without[] = {"none", "off", "without", "below"};
    for (size_t i = 0; i < sizeof without / sizeof *without; i++) {
        assert_int_equal(get(profiles, without[i])->secrets.n, 0);
    }
    const struct sb_profile_secret *own = &get(profiles, "own")->secrets.items[0];
    assert_string_equal(own->plain.items[0], "x.b.org:8080");
    assert_string_equal(own->value, VALUE);
    refuses(IN("X: {env: A, hosts: [\"*.b.org:8080\"]}") "  wide: {extends: p, secrets: {X: "
                                                         "{hosts: [\"a.org:80\"]}}}\n",
            "\"a.org:80\" is not within the hosts it is inherited with");
}

static const char *env_of(char **env, const char *start)
{
    for (; *env != NULL; env++) {
        if (strncmp(*env, start, strlen(start)) == 0) {
            return *env + strlen(start);
        }
    }
    return NULL;
}

static void programs_get_something_else_each_time(void **state)
{
    (void)state;
    struct sb_err err = {0};
    SB_CLEANUP(sb_profiles_freep)
    struct sb_profiles *profiles = load(IN("X: {env: TEST_SECRET, hosts: [\"a.org:80\"]}"));
    SB_CLEANUP(sb_request_freep) struct sb_request *request = request_for("p");
    SB_CLEANUP(sb_policy_freep) struct sb_policy *one = NULL;
    SB_CLEANUP(sb_policy_freep) struct sb_policy *two = NULL;
    assert_int_equal(sb_policy_make(profiles, request, &one, &err), 0);
    assert_int_equal(sb_policy_make(profiles, request, &two, &err), 0);
    SB_CLEANUP(sb_freep) char **env = sb_policy_environ(one, NULL, NULL, NULL);
    SB_CLEANUP(sb_freep) char **other = sb_policy_environ(two, NULL, NULL, NULL);
    const char *placeholder = env_of(env, "X=");
    assert_non_null(placeholder);
    assert_int_equal(strlen(placeholder), strlen(VALUE));
    assert_int_equal(strncmp(placeholder, "aisbx-secret-", 13), 0);
    assert_string_not_equal(placeholder, env_of(other, "X="));
    assert_string_equal(one->hash, two->hash);
    SB_CLEANUP(sb_pairs_done) struct sb_pairs more = {0};
    assert_int_equal(sb_pairs_set(&more, SB_STR("X"), SB_STR("own"), &err), 0);
    SB_CLEANUP(sb_freep) char **set = sb_policy_environ(one, &more, NULL, NULL);
    assert_string_equal(env_of(set, "X="), "own");
    sb_profile_secrets_forget(&one->secrets);
    assert_null(one->secrets.items[0].value);
}

static void a_request_takes_away_and_adds_nothing(void **state)
{
    (void)state;
    struct sb_err err = {0};
    SB_CLEANUP(sb_profiles_freep)
    struct sb_profiles *profiles = load(IN("X: {env: TEST_SECRET, hosts: [\"a.org:80\"]}"));
    static const char *const ways[] = {"leaves it out", "sets it", "has no network"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        SB_CLEANUP(sb_request_freep) struct sb_request *request = request_for("p");
        SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = NULL;
        if (i == 0) {
            assert_int_equal(sb_strings_add(&request->without_secrets, SB_STR("X"), &err), 0);
        } else if (i == 1) {
            assert_int_equal(sb_pairs_set(&request->env, SB_STR("X"), SB_STR("own"), &err), 0);
        } else {
            request->network.mode = SB_NETWORK_NONE;
        }
        assert_int_equal(sb_policy_make(profiles, request, &policy, &err), 0);
        assert_int_equal(policy->secrets.n, 0);
    }
    SB_CLEANUP(sb_request_freep) struct sb_request *request = request_for("p");
    struct sb_policy *policy = NULL;
    assert_int_equal(sb_strings_add(&request->without_secrets, SB_STR("Y"), &err), 0);
    assert_int_equal(sb_policy_make(profiles, request, &policy, &err), -1);
    assert_string_equal(err.text, "sandbox.without_secrets[0]: profile \"p\" has no secret \"Y\"");
}

static int look_for_value(const struct sb_setting_told *setting, void *user, struct sb_err *err)
{
    (void)err;
    assert_null(strstr(setting->value, VALUE));
    if (strcmp(setting->name, "secrets.X") == 0) {
        assert_non_null(strstr(setting->value, "for a.org:80, a.org:443 (TLS) from file /"));
        assert_non_null(strstr(setting->origin, "config.yaml:4"));
        *(bool *)user = true;
    }
    return 0;
}

static void nothing_that_is_shown_has_the_value(void **state)
{
    (void)state;
    struct sb_err err = {0};
    bool was_told = false;
    static const char secrets[] =
        IN("X: {file: token, hosts: [\"a.org:80\", {host: \"a.org:443\", tls: true}]}");
    SB_CLEANUP(sb_profiles_freep) struct sb_profiles *profiles = load(secrets);
    SB_CLEANUP(sb_buf_done) struct sb_buf yaml = SB_BUF_INIT(1 << 16);
    assert_int_equal(sb_profile_yaml(get(profiles, "p"), &yaml, &err), 0);
    assert_null(strstr(sb_buf_cstr(&yaml), VALUE));
    assert_int_equal(sb_explain_settings(get(profiles, "p"), look_for_value, &was_told, &err), 0);
    assert_true(was_told);
    SB_CLEANUP(sb_profiles_freep) struct sb_profiles *again = load(sb_buf_cstr(&yaml));
    assert_string_equal(get(again, "p")->secrets.items[0].tls.items[0], "a.org:443");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_a_file_may_not_say_is_named),
        TEST(one_ca_file_is_enough_for_a_host),
        TEST(a_value_comes_from_a_file_or_a_variable_of_the_worker),
        TEST(a_source_that_is_not_fit_keeps_sandboxes_from_starting),
        TEST(certificates_that_cannot_be_read_keep_sandboxes_from_starting),
        TEST(inheritance_narrows),
        TEST(programs_get_something_else_each_time),
        TEST(a_request_takes_away_and_adds_nothing),
        TEST(nothing_that_is_shown_has_the_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
