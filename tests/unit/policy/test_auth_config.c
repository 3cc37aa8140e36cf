#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "service/worker/policy/auth_config.h"
#include "service/worker/policy/config.h"
#include "service/worker/policy/problems.h"

static const struct sb_config_source source = {.file_name = "config.yaml", .base_dir = "/conf"};

static void assert_refused(const char *text, const char *message)
{
    struct sb_problems problems = {0};
    struct sb_config config = {0};
    struct sb_err err = {0};
    assert_int_equal(sb_config_parse(sb_str_from(text), &source, &problems, &config, &err), -1);
    assert_string_equal(err.text, message);
}

static void reads_identities_and_tenants(void **state)
{
    (void)state;
    struct sb_problems problems = {0};
    struct sb_config config = {0};
    struct sb_err err = {0};
    const char *text = "auth:\n"
                       "  loopback: user\n"
                       "  gateways: [aisbx-gateway, \"spiffe://x/gateway\"]\n"
                       "  identities:\n"
                       "    - {match: \"spiffe://x/agent-*\", role: user, tenant: a}\n"
                       "    - {match: \"ops.example\", role: admin}\n"
                       "    - {match: \"audit\", role: auditor, tenant: \"*\"}\n"
                       "tenants:\n"
                       "  - {name: \"*\", max_sandboxes: 5, requests_per_second: 7, burst: 9}\n"
                       "  - {name: a, max_memory: 4G, max_cpu: 1.5, requests_per_second: 50}\n";
    if (sb_config_parse(sb_str_from(text), &source, &problems, &config, &err) < 0) {
        fail_msg("%s", err.text);
    }
    const struct sb_auth_config *auth = &config.auth;
    assert_true(auth->admits_loopback);
    assert_true(auth->has_identities);
    assert_int_equal(auth->n_identities, 3);
    assert_true(sb_auth_config_is_gateway(auth, "spiffe://x/gateway"));
    assert_false(sb_auth_config_is_gateway(auth, "spiffe://x/gateway2"));
    assert_false(sb_auth_config_is_gateway(auth, NULL));
    const struct sb_auth_identity *row =
        sb_auth_config_identity(auth, SB_STR("spiffe://x/agent-7"));
    assert_non_null(row);
    assert_int_equal(row->role, SB_ROLE_USER);
    assert_string_equal(row->tenant, "a");
    assert_string_equal(auth->identities[1].tenant, "local");
    assert_null(sb_auth_config_identity(auth, SB_STR("spiffe://x/agent-7/b")));
    struct sb_tenant_limits a = sb_auth_config_limits(auth, "a");
    assert_int_equal(a.max_sandboxes, 5); /* as for all */
    assert_int_equal(a.mem_bytes, 4ULL << 30);
    assert_int_equal(a.cpu_millis, 1500);
    assert_int_equal(a.rate, 50);
    assert_int_equal(a.burst, 50); /* that of "*" belongs to its rate */
    struct sb_tenant_limits b = sb_auth_config_limits(auth, "b");
    assert_int_equal(b.rate, 7);
    assert_int_equal(b.burst, 9);
    assert_int_equal(b.mem_bytes, 0);
    sb_config_done(&config);
}

static void says_what_is_wrong_and_where(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } rows[] = {
        {"auht: {}", "config.yaml:1:1: unknown key \"auht\"; did you mean \"auth\"?"},
        {"auth: {loopbak: user}",
         "config.yaml:1:8: unknown key \"loopbak\"; did you mean \"loopback\"?"},
        {"auth: {gateways: [\"aisbx-*\"]}",
         "config.yaml:1:19: gateways: whole names of certificates are expected, of 1 to 256 "
         "characters and without \"*\""},
        {"auth: {gateways: [{name: x}]}",
         "config.yaml:1:19: gateway: expected a value, found a map"},
        {"auth: {loopback: admin}",
         "config.yaml:1:18: loopback: \"admin\" is not one of \"none\", \"user\""},
        {"auth: {identities: [{match: x, role: root, tenant: a}]}",
         "config.yaml:1:21: an identity needs match and role (and 1 more problem)"},
        {"auth: {identities: [{match: x, role: user}]}",
         "config.yaml:1:21: an identity with role user needs a tenant"},
        {"auth: {identities: [{match: x, role: user, tenant: \"*\"}]}",
         "config.yaml:1:21: tenant \"*\" is for auditors only"},
        {"tenants: [{name: A}]",
         "config.yaml:1:18: \"A\" is not a tenant's name: 1 to 63 small letters, digits and "
         "\"-\", or \"*\""},
        {"tenants: [{max_cpu: 1}]", "config.yaml:1:11: a tenant needs a name"},
        {"tenants: [{name: a}, {name: a}]", "config.yaml:1:29: there is a tenant \"a\" already"},
        {"tenants: [{name: a, max_sandbox: 1}]",
         "config.yaml:1:21: unknown key \"max_sandbox\"; did you mean \"max_sandboxes\"?"},
        {"tenants: [{name: a, burst: 0}]",
         "config.yaml:1:28: burst: \"0\" is too small; the minimum is 1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_refused(rows[i].text, rows[i].message);
    }
}

static void a_star_stops_at_a_slash(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *name;
        bool fits;
    } rows[] = {
        {"", "", true},           {"a", "a", true},          {"a", "b", false},
        {"a", "ab", false},       {"*", "", true},           {"*", "abc", true},
        {"*", "a/b", false},      {"a*c", "abcbc", true},    {"a*c", "abcb", false},
        {"*/*", "a/b", true},     {"x/*-1", "x/a-1", true},  {"x/*-1", "x/a/-1", false},
        {"**a", "bba", true},     {"*b*/c", "abab/c", true}, {"*b*c", "ab/bc", false},
        {"a*b*c", "abbbc", true}, {"?", "a", false},         {"[a]", "a", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (sb_auth_config_fits(sb_str_from(rows[i].pattern), sb_str_from(rows[i].name)) !=
            rows[i].fits) {
            fail_msg("%s on %s", rows[i].pattern, rows[i].name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_identities_and_tenants),
        cmocka_unit_test(says_what_is_wrong_and_where),
        cmocka_unit_test(a_star_stops_at_a_slash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
