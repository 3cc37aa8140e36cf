/** request_id. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "aisbx/v1/sandbox_service.pb-c.h"
#include "base/err.h"
#include "service/worker/idem.h"

enum { MAX = 4, AGE_MS = 1000 };

static const char made[] = "sb_aaaaaaaaaaaaaaaaaaaaaaaaaa";

static int setup(void **state)
{
    static struct sb_idem idem;
    sb_idem_init(&idem, MAX, AGE_MS);
    *state = &idem;
    return 0;
}

static int teardown(void **state)
{
    sb_idem_done(*state);
    return 0;
}

static struct sb_idem_call call_of(const char *owner, const char *id, Aisbx__V1__SandboxSpec *spec)
{
    static Aisbx__V1__CreateSandboxRequest req;
    req = (Aisbx__V1__CreateSandboxRequest)AISBX__V1__CREATE_SANDBOX_REQUEST__INIT;
    req.sandbox = spec;
    return (struct sb_idem_call){owner, "CreateSandbox", id, &req.base};
}

static void a_repeated_call_finds_what_the_first_made(void **state)
{
    struct sb_err err;
    char id[SB_ID_SIZE];
    Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
    struct sb_idem_call call = call_of("uid:1", "r1", &spec);
    assert_int_equal(sb_idem_find(*state, &call, 0, id, &err), 0);
    assert_string_equal(id, "");
    assert_int_equal(sb_idem_add(*state, &call, 0, made, &err), 0);
    assert_int_equal(sb_idem_find(*state, &call, 10, id, &err), 0);
    assert_string_equal(id, made);
}

static void other_content_under_the_same_id_is_refused(void **state)
{
    struct sb_err err;
    char id[SB_ID_SIZE];
    char name[] = "strict";
    Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
    struct sb_idem_call call = call_of("uid:1", "r1", &spec);
    assert_int_equal(sb_idem_add(*state, &call, 0, made, &err), 0);
    spec.profile = name;
    assert_int_equal(sb_idem_find(*state, &call, 0, id, &err), -1);
    assert_int_equal(err.code, SB_EXISTS);
}

static void the_order_of_a_map_does_not_matter(void **state)
{
    struct sb_err err;
    char id[SB_ID_SIZE];
    char a[] = "a";
    char b[] = "b";
    Aisbx__V1__SandboxSpec__LabelsEntry one = AISBX__V1__SANDBOX_SPEC__LABELS_ENTRY__INIT;
    Aisbx__V1__SandboxSpec__LabelsEntry two = AISBX__V1__SANDBOX_SPEC__LABELS_ENTRY__INIT;
    one.key = a;
    two.key = b;
    Aisbx__V1__SandboxSpec__LabelsEntry *labels[] = {&one, &two};
    Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
    spec.labels = labels;
    spec.n_labels = 2;
    struct sb_idem_call call = call_of("uid:1", "r1", &spec);
    assert_int_equal(sb_idem_add(*state, &call, 0, made, &err), 0);
    labels[0] = &two;
    labels[1] = &one;
    assert_int_equal(sb_idem_find(*state, &call, 0, id, &err), 0);
    assert_string_equal(id, made);
}

static void ids_of_different_owners_do_not_meet(void **state)
{
    struct sb_err err;
    char id[SB_ID_SIZE];
    Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
    struct sb_idem_call call = call_of("uid:1", "r1", &spec);
    assert_int_equal(sb_idem_add(*state, &call, 0, made, &err), 0);
    call = call_of("uid:2", "r1", &spec);
    assert_int_equal(sb_idem_find(*state, &call, 0, id, &err), 0);
    assert_string_equal(id, "");
}

static void an_empty_id_is_no_id(void **state)
{
    struct sb_err err;
    char id[SB_ID_SIZE];
    Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
    struct sb_idem_call call = call_of("uid:1", "", &spec);
    assert_int_equal(sb_idem_add(*state, &call, 0, made, &err), 0);
    assert_int_equal(sb_idem_find(*state, &call, 0, id, &err), 0);
    assert_string_equal(id, "");
}

static void too_long_an_id_is_refused(void **state)
{
    struct sb_err err;
    char id[SB_ID_SIZE];
    char text[66];
    memset(text, 'x', sizeof text);
    text[65] = '\0';
    Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
    struct sb_idem_call call = call_of("uid:1", text, &spec);
    assert_int_equal(sb_idem_find(*state, &call, 0, id, &err), -1);
    assert_int_equal(err.code, SB_INVALID);
    text[64] = '\0';
    assert_int_equal(sb_idem_find(*state, &call, 0, id, &err), 0);
}

static void old_entries_are_forgotten(void **state)
{
    struct sb_err err;
    char id[SB_ID_SIZE];
    Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
    struct sb_idem_call call = call_of("uid:1", "r1", &spec);
    assert_int_equal(sb_idem_add(*state, &call, 0, made, &err), 0);
    assert_int_equal(sb_idem_find(*state, &call, AGE_MS, id, &err), 0);
    assert_string_equal(id, "");
    assert_int_equal(sb_idem_add(*state, &call, AGE_MS, made, &err), 0);
}

static void a_clock_set_back_makes_nothing_old(void **state)
{
    struct sb_err err;
    char id[SB_ID_SIZE];
    Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
    struct sb_idem_call call = call_of("uid:1", "r1", &spec);
    assert_int_equal(sb_idem_add(*state, &call, AGE_MS, made, &err), 0);
    assert_int_equal(sb_idem_find(*state, &call, 1, id, &err), 0);
    assert_string_equal(id, made);
}

static void when_full_the_oldest_goes(void **state)
{
    struct sb_err err;
    char id[SB_ID_SIZE];
    char names[MAX + 1][8];
    Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
    for (int i = 0; i <= MAX; i++) {
        (void)snprintf(names[i], sizeof names[i], "r%d", i);
        struct sb_idem_call call = call_of("uid:1", names[i], &spec);
        assert_int_equal(sb_idem_add(*state, &call, 0, made, &err), 0);
    }
    struct sb_idem_call first = call_of("uid:1", names[0], &spec);
    assert_int_equal(sb_idem_find(*state, &first, 0, id, &err), 0);
    assert_string_equal(id, "");
    struct sb_idem_call second = call_of("uid:1", names[1], &spec);
    assert_int_equal(sb_idem_find(*state, &second, 0, id, &err), 0);
    assert_string_equal(id, made);
}

static void what_failed_can_be_tried_again(void **state)
{
    struct sb_err err;
    char id[SB_ID_SIZE];
    Aisbx__V1__SandboxSpec spec = AISBX__V1__SANDBOX_SPEC__INIT;
    struct sb_idem_call call = call_of("uid:1", "r1", &spec);
    assert_int_equal(sb_idem_add(*state, &call, 0, made, &err), 0);
    sb_idem_drop(*state, made);
    assert_int_equal(sb_idem_find(*state, &call, 0, id, &err), 0);
    assert_string_equal(id, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_repeated_call_finds_what_the_first_made),
        TEST(other_content_under_the_same_id_is_refused),
        TEST(the_order_of_a_map_does_not_matter),
        TEST(ids_of_different_owners_do_not_meet),
        TEST(an_empty_id_is_no_id),
        TEST(too_long_an_id_is_refused),
        TEST(old_entries_are_forgotten),
        TEST(a_clock_set_back_makes_nothing_old),
        TEST(when_full_the_oldest_goes),
        TEST(what_failed_can_be_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
