/* preload: of profiles: what a name may be, what is inherited, how it is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "service/worker/policy/policy.h"
#include "service/worker/policy/preload.h"
#include "service/worker/policy/problems.h"
#include "service/worker/policy/profiles.h"

static void a_name_is_one_of_a_module(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int rc;
    } rows[] = {
        {"json", 0},
        {"_x1.y_2", 0},
        {"xml.dom.minidom", 0},
        {"node:http", 0},
        {"node:fs/promises", 0},
        {"", -1},
        {".", -1},
        {"json.", -1},
        {".json", -1},
        {"a..b", -1},
        {"1a", -1},
        {"a.1", -1},
        {"os; print(1)", -1},
        {"a b", -1},
        {"a-b", -1},
        {"-c", -1},
        {"../x", -1},
        {"a/b", -1},
        {"node:", -1},
        {"node:../x", -1},
        {"node:/etc", -1},
        {"node:fs.promises", -1},
        {"file:x", -1},
        {"\xc3\xa9", -1},
        {"a\n", -1},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 0},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_err err;
        if (sb_preload_check(sb_str_from(rows[i].name), &err) != rows[i].rc) {
            fail_msg("%s", rows[i].name);
        }
    }
}

static void node_has_a_prefix(void **state)
{
    (void)state;
    assert_true(sb_preload_is_node("node:http"));
    assert_false(sb_preload_is_node("node"));
    assert_false(sb_preload_is_node("json"));
}

static struct sb_profiles *load(const char *text, struct sb_problems *problems)
{
    struct sb_profiles *profiles = NULL;
    struct sb_err err = {0};
    return sb_profiles_check(sb_str_from(text), "f", problems, &profiles, &err) < 0 ? NULL
                                                                                    : profiles;
}

static void a_list_takes_the_place_of_the_inherited_one(void **state)
{
    (void)state;
    static const struct {
        const char *profile;
        const char *yaml; /* NULL: none */
    } rows[] = {
        {"a", "    preload: [\"json\", \"node:http\"]\n"},
        {"b", "    preload: [\"json\", \"node:http\"]\n"},
        {"c", "    preload: [\"re\"]\n"},
        {"d", "    preload: []\n"},
        {"e", NULL},
    };
    struct sb_problems problems = {0};
    SB_CLEANUP(sb_profiles_freep)
    struct sb_profiles *profiles =
        load("profiles:\n  a: {extends: strict, preload: [json, \"node:http\"]}\n"
             "  b: {extends: a}\n  c: {extends: a, preload: [re]}\n"
             "  d: {extends: a, preload: []}\n  e: {extends: strict}\n",
             &problems);
    assert_non_null(profiles);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        SB_CLEANUP(sb_buf_done) struct sb_buf yaml = SB_BUF_INIT(1 << 16);
        struct sb_err err;
        const struct sb_profile *profile = NULL;
        assert_int_equal(sb_profiles_get(profiles, sb_str_from(rows[i].profile), &profile, &err),
                         0);
        assert_int_equal(sb_profile_yaml(profile, &yaml, &err), 0);
        const char *found = strstr(sb_buf_cstr(&yaml), "    preload:");
        assert_int_equal(found == NULL, rows[i].yaml == NULL);
        if (found != NULL) {
            assert_memory_equal(found, rows[i].yaml, strlen(rows[i].yaml));
        }
    }
}

static void refuses_a_list_that_cannot_be_meant(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"json", "preload"},
        {"[{a: b}]", "module"},
        {"[[json]]", "module"},
        {"[\"os; print(1)\"]", "is not the name of a module"},
        {"[json, re, json]", "\"json\" is said twice"},
        {"[a1,a2,a3,a4,a5,a6,a7,a8,a9,b1,b2,b3,b4,b5,b6,b7,b8,b9,c1,c2,c3,c4,c5,c6,c7,c8,c9,d1,d2,"
         "d3,d4,d5,d6]",
         "more than 32 modules"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[512];
        struct sb_problems problems = {0};
        (void)snprintf(text, sizeof text, "profiles: {x: {preload: %s}}", rows[i][0]);
        SB_CLEANUP(sb_profiles_freep) struct sb_profiles *profiles = load(text, &problems);
        assert_null(profiles);
        assert_int_not_equal(problems.n, 0);
        if (strstr(problems.items[0].text, rows[i][1]) == NULL) {
            fail_msg("%s", problems.items[0].text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_one_of_a_module),
        cmocka_unit_test(node_has_a_prefix),
        cmocka_unit_test(a_list_takes_the_place_of_the_inherited_one),
        cmocka_unit_test(refuses_a_list_that_cannot_be_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
