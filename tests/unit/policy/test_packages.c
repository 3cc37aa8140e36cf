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
#include "service/worker/policy/policy.h"
#include "service/worker/policy/profiles.h"
#include "service/worker/policy/request.h"

static void takes_names_and_versions_of_either_manager(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum sb_manager usual;
        enum sb_manager manager;
        const char *name;
    } rows[] = {
        {"requests", SB_MANAGER_PIP, SB_MANAGER_PIP, "requests"},
        {"pip:requests==2.31.0", SB_MANAGER_NPM, SB_MANAGER_PIP, "requests==2.31.0"},
        {"numpy>=1.26,<2", SB_MANAGER_PIP, SB_MANAGER_PIP, "numpy>=1.26,<2"},
        {"a~=1.0,!=1.0.5", SB_MANAGER_PIP, SB_MANAGER_PIP, "a~=1.0,!=1.0.5"},
        {"uvicorn[standard,x_y]==0.*", SB_MANAGER_PIP, SB_MANAGER_PIP,
         "uvicorn[standard,x_y]==0.*"},
        {"zope.interface", SB_MANAGER_PIP, SB_MANAGER_PIP, "zope.interface"},
        {"torch==2.0+cpu", SB_MANAGER_PIP, SB_MANAGER_PIP, "torch==2.0+cpu"},
        {"left-pad@1.3.0", SB_MANAGER_NPM, SB_MANAGER_NPM, "left-pad@1.3.0"},
        {"npm:@types/node@^20", SB_MANAGER_UNSET, SB_MANAGER_NPM, "@types/node@^20"},
        {"lodash@latest", SB_MANAGER_NPM, SB_MANAGER_NPM, "lodash@latest"},
        {"a@>=1.2.3-beta.1", SB_MANAGER_NPM, SB_MANAGER_NPM, "a@>=1.2.3-beta.1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_err err = {0};
        enum sb_manager manager = SB_MANAGER_UNSET;
        struct sb_str name;
        if (sb_packages_parse(sb_str_from(rows[i].text), rows[i].usual, &manager, &name, &err) <
            0) {
            fail_msg("%s: %s", rows[i].text, err.text);
        }
        assert_int_equal(manager, rows[i].manager);
        assert_true(sb_str_eq(name, sb_str_from(rows[i].name)));
    }
}

static void refuses_everything_but_names(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "pip:",
        "pip:-e",
        "pip:--index-url=http://evil.test",
        "pip:-r/etc/passwd",
        "pip:./local",
        "pip:/workspace/local",
        "pip:../x",
        "pip:evil.whl",
        "pip:evil.tar.gz",
        "pip:evil.ZIP",
        "pip:a/b.whl",
        "pip:git+https://evil.test/x",
        "pip:x@https://evil.test/x.whl",
        "pip:x @ file:///etc",
        "pip:https://evil.test/x.whl",
        "pip:a;python_version>'3'",
        "pip:a ==1",
        "pip:a== 1",
        "pip:a==",
        "pip:a==1,",
        "pip:a===1",
        "pip:a[",
        "pip:a[]",
        "pip:a[b",
        "pip:a[b]c",
        "pip:.a",
        "pip:a-",
        "pip:a==-1",
        "pip:a\nb",
        "pip:$(id)",
        "pip:pip:a",
        "npm:",
        "npm:-g",
        "npm:--registry=http://evil.test",
        "npm:user/repository",
        "npm:github:user/repository",
        "npm:git+ssh://evil.test/x",
        "npm:https://evil.test/x.tgz",
        "npm:x@https://evil.test/x.tgz",
        "npm:x@npm:y@1",
        "npm:x@file:../y",
        "npm:x@../y",
        "npm:x@./y",
        "npm:x@..",
        "npm:x@.",
        "npm:x@~/y",
        "npm:x@~",
        "npm:x@~.",
        "npm:x@evil.tgz",
        "npm:x@1.0.0-evil.tgz",
        "npm:evil.tgz",
        "npm:x@",
        "npm:@scope",
        "npm:@scope/",
        "npm:@/x",
        "npm:@scope/x/y",
        "npm:.hidden",
        "npm:_x",
        "npm:x@1 || 2",
        "npm:x@1\n",
        "npm:x y",
    };
    char dull[SB_PACKAGES_TEXT_MAX + 2];
    memset(dull, 'a', sizeof dull - 1);
    dull[sizeof dull - 1] = '\0';
    for (size_t i = 0; i <= sizeof rows / sizeof *rows; i++) {
        struct sb_err err = {0};
        enum sb_manager manager = SB_MANAGER_UNSET;
        struct sb_str name;
        const char *text = i < sizeof rows / sizeof *rows ? rows[i] : dull;
        if (sb_packages_parse(sb_str_from(text), SB_MANAGER_PIP, &manager, &name, &err) == 0) {
            fail_msg("took \"%s\"", text);
        }
        assert_int_equal(err.code, SB_INVALID);
    }
}

static void asks_whose_a_name_is(void **state)
{
    (void)state;
    struct sb_err err = {0};
    enum sb_manager manager = SB_MANAGER_UNSET;
    struct sb_str name;
    assert_int_equal(sb_packages_parse(SB_STR("requests"), SB_MANAGER_UNSET, &manager, &name, &err),
                     -1);
    assert_non_null(strstr(err.text, "pip:requests or npm:requests"));
}

static void knows_the_rule_of_a_registry(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        const char *rule; /* NULL: refused */
    } rows[] = {
        {"https://pypi.org/simple", "pypi.org:443"},
        {"http://registry.test:8080/npm", "registry.test:8080"},
        {"http://registry.test", "registry.test:80"},
        {"https://10.0.0.1:5000/simple/", "10.0.0.1:5000"},
        {"file:///etc", NULL},
        {"ftp://pypi.org", NULL},
        {"https://", NULL},
        {"https:///simple", NULL},
        {"https://*.pypi.org/simple", NULL},
        {"https://user:pass@pypi.org/simple", NULL},
        {"https://pypi.org/simple?a=b", NULL},
        {"https://pypi.org/simple#x", NULL},
        {"https://pypi.org/sim ple", NULL},
        {"https://pypi.org:0/simple", NULL},
        {"https://pypi.org:99999/simple", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_err err = {0};
        char rule[256];
        int rc = sb_packages_url_rule(sb_str_from(rows[i].url), rule, sizeof rule, &err);
        if ((rc == 0) != (rows[i].rule != NULL)) {
            fail_msg("%s: %s", rows[i].url, rc == 0 ? rule : err.text);
        }
        if (rows[i].rule != NULL) {
            assert_string_equal(rule, rows[i].rule);
        }
    }
}

/* ---- policies ---- */

static int make(const char *config,
                const char *profile,
                char **packages,
                size_t n,
                struct sb_policy **ret_policy,
                struct sb_err *err)
{
    struct sb_problems problems = {0};
    char name[64];
    Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
    SB_CLEANUP(sb_profiles_freep) struct sb_profiles *profiles = NULL;
    SB_CLEANUP(sb_request_freep) struct sb_request *request = NULL;
    if (sb_profiles_check(sb_str_from(config), "config.yaml", &problems, &profiles, err) < 0) {
        fail_msg("%s", problems.n > 0 ? problems.items[0].text : err->text);
    }
    (void)snprintf(name, sizeof name, "%s", profile);
    spec.profile = name;
    spec.packages = packages;
    spec.n_packages = n;
    return sb_request_make(&spec, "sandbox", &request, err) < 0
               ? -1
               : sb_policy_make(profiles, request, ret_policy, err);
}

static void a_policy_has_them_sorted_and_once_with_its_environment(void **state)
{
    (void)state;
    struct sb_err err = {0};
    char names[][16] = {"b", "npm:c", "a==1", "pip:b"};
    char *packages[] = {names[0], names[1], names[2], names[3]};
    SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = NULL;
    const char *config = "profiles: {x: {extends: python-dev, network: {allow: [\"pypi.org:443\", "
                         "\"files.pythonhosted.org:443\", \"registry.npmjs.org:443\"]}}}";
    if (make(config, "x", packages, 4, &policy, &err) < 0) {
        fail_msg("%s", err.text);
    }
    const struct sb_package_set *pip = &policy->packages.sets[SB_MANAGER_PIP];
    assert_int_equal(pip->names.n, 2);
    assert_string_equal(pip->names.items[0], "a==1");
    assert_string_equal(pip->names.items[1], "b");
    assert_string_equal(pip->hosts.items[0], "pypi.org:443");
    assert_string_equal(pip->hosts.items[1], "files.pythonhosted.org:443");
    assert_false(pip->runs_code);
    assert_true(pip->keeps);
    assert_int_equal(policy->packages.sets[SB_MANAGER_NPM].names.n, 1);
    assert_string_equal(sb_pairs_get(&policy->env, SB_STR("PYTHONPATH")), "/packages");
    assert_string_equal(sb_pairs_get(&policy->env, SB_STR("NODE_PATH")), "/node_modules");
    assert_memory_equal(sb_pairs_get(&policy->env, SB_STR("PATH")),
                        "/node_modules/.bin:/packages/bin:/usr/local/sbin:", 49);
}

static void a_profile_that_does_not_reach_the_registry_says_which_lines_would(void **state)
{
    (void)state;
    static const struct {
        const char *config;
        const char *profile;
        const char *text;
    } rows[] = {
        {"{}", "strict",
         "to have it: network: {enabled: true, allow: [\"pypi.org:443\", "
         "\"files.pythonhosted.org:443\"]}, in it or in a profile that extends it"},
        {"profiles: {x: {extends: python-dev, network: {allow: [\"pypi.org:443\"]}}}", "x",
         "to have it: network: {allow: [\"files.pythonhosted.org:443\"]}, beside the rules that "
         "are "
         "there"},
        {"profiles: {x: {extends: python-dev, packages: {pip: {registry: "
         "\"http://a.test:1/simple\"}}}}",
         "x", "network: {allow: [\"a.test:1\"]}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_err err = {0};
        char name[] = "pip:a";
        char *packages[] = {name};
        SB_CLEANUP(sb_policy_freep) struct sb_policy *policy = NULL;
        assert_int_equal(make(rows[i].config, rows[i].profile, packages, 1, &policy, &err), -1);
        assert_int_equal(err.code, SB_PRECONDITION);
        if (strstr(err.text, rows[i].text) == NULL) {
            fail_msg("%s", err.text);
        }
    }
}

static void refuses_a_section_that_cannot_be_meant(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "{manager: cargo}",
        "{pip: {registry: \"file:///x\"}}",
        "{pip: {registry: \"https://u:p@x/simple\"}}",
        "{pip: {hosts: [\"https://x\"]}}",
        "{pip: {run_code: maybe}}",
        "{pip: {index: \"https://x\"}}",
        "{keep_for: 0s}",
        "{timeout: 2h}",
        "{keep: often}",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256];
        struct sb_err err = {0};
        struct sb_problems problems = {0};
        SB_CLEANUP(sb_profiles_freep) struct sb_profiles *profiles = NULL;
        (void)snprintf(text, sizeof text, "profiles: {x: {packages: %s}}", rows[i]);
        if (sb_profiles_check(sb_str_from(text), "f", &problems, &profiles, &err) == 0) {
            fail_msg("took %s", rows[i]);
        }
        assert_int_not_equal(problems.n, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_names_and_versions_of_either_manager),
        cmocka_unit_test(refuses_everything_but_names),
        cmocka_unit_test(asks_whose_a_name_is),
        cmocka_unit_test(knows_the_rule_of_a_registry),
        cmocka_unit_test(a_policy_has_them_sorted_and_once_with_its_environment),
        cmocka_unit_test(a_profile_that_does_not_reach_the_registry_says_which_lines_would),
        cmocka_unit_test(refuses_a_section_that_cannot_be_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
