#include <string.h>

#include "base/err.h"
#include "base/out.h"
#include "cli/security/syscalls.h"
#include "testing.h"

/* One run: names and counts, ended by a row without name. */
struct made {
    const char *name;
    uint64_t count;
};

static void add(struct sb_syscalls *calls, const struct made *made)
{
    Aisbx__V1__LearntCall items[8];
    Aisbx__V1__LearntCall *learnt[8];
    Aisbx__V1__Verdict verdict = AISBX__V1__VERDICT__INIT;
    struct sb_err err;
    for (; made[verdict.n_learnt].name != NULL; verdict.n_learnt++) {
        size_t i = verdict.n_learnt;
        aisbx__v1__learnt_call__init(&items[i]);
        memcpy(&items[i].name, &made[i].name, sizeof made[i].name);
        items[i].count = made[i].count;
        learnt[i] = &items[i];
    }
    verdict.learnt = learnt;
    assert_int_equal(sb_syscalls_add(calls, &verdict, &err), 0);
}

static const struct sb_syscalls_source source = {
    .program = {"Py\"thon 3", 9},
    .runs = 2,
    .profile = "strict",
    .kernel = "6.1",
};

static const struct made first_run[] = {{"read", 2}, {"kill", 0}, {"openat", 1}, {NULL, 0}};
static const struct made second_run[] = {{"read", 3}, {"kill", 0}, {"brk", 1}, {NULL, 0}};

static void runs_are_put_together_by_name(void **state)
{
    struct sb_syscalls calls = {0};
    (void)state;
    add(&calls, first_run);
    add(&calls, second_run);
    assert_int_equal(calls.n, 4);
    assert_int_equal(sb_syscalls_made(&calls), 3);
    assert_string_equal(calls.items[0].name, "brk");
    assert_string_equal(calls.items[3].name, "read");
    assert_int_equal(calls.items[3].count, 5);
    sb_syscalls_done(&calls);
}

static void what_one_run_made_is_no_longer_only_the_sandbox_s(void **state)
{
    static const struct made kills[] = {{"kill", 1}, {NULL, 0}};
    struct sb_syscalls calls = {0};
    (void)state;
    add(&calls, first_run);
    add(&calls, kills);
    assert_int_equal(sb_syscalls_made(&calls), 3);
    sb_syscalls_done(&calls);
}

static void what_the_base_refuses_is_told_or_when_nobody_made_it_left_out(void **state)
{
    struct sb_syscalls calls = {0};
    Aisbx__V1__ProfileAnswer items[3];
    Aisbx__V1__ProfileAnswer *answers[3];
    (void)state;
    add(&calls, first_run); /* kill, openat, read */
    for (size_t i = 0; i < 3; i++) {
        aisbx__v1__profile_answer__init(&items[i]);
        const char *answer = i == 2 ? "depends" : "refused";
        memcpy(&items[i].answer, &answer, sizeof answer);
        answers[i] = &items[i];
    }
    sb_syscalls_compare(&calls, answers);
    assert_int_equal(calls.n, 2);
    assert_string_equal(calls.items[0].name, "openat");
    assert_true(calls.items[0].is_wider);
    assert_string_equal(calls.items[1].name, "read");
    assert_false(calls.items[1].is_wider);
    sb_syscalls_done(&calls);
}

static void the_list_allows_these_and_answers_enosys_to_others(void **state)
{
    struct sb_syscalls calls = {0};
    struct sb_out out;
    (void)state;
    add(&calls, first_run);
    sb_out_init(&out, -1);
    sb_syscalls_put_json(&calls, &source, &out);
    const char *text = sb_buf_cstr(&out.buf);
    assert_non_null(
        strstr(text, "\"defaultAction\": \"SCMP_ACT_ERRNO\",\n  \"defaultErrnoRet\": 38"));
    const char *made = strstr(text, "[\n        \"openat\", \"read\"\n      ]");
    const char *needed = strstr(text, "[\n        \"kill\"\n      ]");
    assert_non_null(made);
    assert_non_null(needed);
    assert_true(made < needed);
    assert_non_null(strstr(text, "of Py\\\"thon 3 under profile strict"));
    sb_out_done(&out);
    sb_syscalls_done(&calls);
}

static void the_profile_extends_the_base_and_has_a_name_that_profiles_may_have(void **state)
{
    struct sb_out out;
    (void)state;
    sb_out_init(&out, -1);
    sb_syscalls_put_yaml(&source, "/a b/\"list\".json", &out);
    assert_string_equal(sb_buf_cstr(&out.buf),
                        "profiles:\n"
                        "  learnt-py-thon-3:\n"
                        "    extends: strict\n"
                        "    description: \"strict with the system calls of Py\\\"thon 3 alone\"\n"
                        "    seccomp: \"/a b/\\\"list\\\".json\"\n");
    sb_out_done(&out);
}

static void a_profile_gets_another_name_and_another_list(void **state)
{
    static const char yaml[] =
        "profiles:\n  strict:\n    filesystem: minimal\n    seccomp: \"a\"\n";
    struct sb_out out;
    (void)state;
    sb_out_init(&out, -1);
    sb_syscalls_put_profile(sb_str_from(yaml), "new", "/b", &out);
    assert_string_equal(sb_buf_cstr(&out.buf),
                        "profiles:\n  new:\n    filesystem: minimal\n    seccomp: \"/b\"\n");
    sb_out_done(&out);
    sb_out_init(&out, -1);
    sb_syscalls_put_profile(sb_str_from(yaml), "new", NULL, &out);
    assert_non_null(strstr(sb_buf_cstr(&out.buf), "    seccomp: \"a\"\n"));
    sb_out_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_are_put_together_by_name),
        cmocka_unit_test(what_one_run_made_is_no_longer_only_the_sandbox_s),
        cmocka_unit_test(what_the_base_refuses_is_told_or_when_nobody_made_it_left_out),
        cmocka_unit_test(the_list_allows_these_and_answers_enosys_to_others),
        cmocka_unit_test(the_profile_extends_the_base_and_has_a_name_that_profiles_may_have),
        cmocka_unit_test(a_profile_gets_another_name_and_another_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
