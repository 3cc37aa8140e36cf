#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "service/worker/decisions.h"

static void a_burst_is_listed_and_then_one_a_second(void **state)
{
    (void)state;
    struct sb_decisions decisions = {0};
    int listed = 0;
    for (int i = 0; i < 100000; i++) {
        listed += sb_decisions_note(&decisions, 5000, 1, 2);
    }
    assert_int_equal(listed, SB_DECISIONS_BURST);
    assert_int_equal(decisions.n_more, 100000 - SB_DECISIONS_BURST);
    assert_int_equal(decisions.out_bytes, decisions.n_more);
    assert_int_equal(decisions.in_bytes, 2 * decisions.n_more);
    assert_false(sb_decisions_note(&decisions, 5999, 1, 2));
    assert_true(sb_decisions_note(&decisions, 6000, 1, 2));
    assert_false(sb_decisions_note(&decisions, 6000, 1, 2));
}

static void what_was_added_up_is_told_once(void **state)
{
    (void)state;
    struct sb_decisions decisions = {.n_more = 3, .out_bytes = 4, .in_bytes = 5};
    sb_decisions_told(&decisions);
    assert_int_equal(decisions.n_more + decisions.out_bytes + decisions.in_bytes, 0);
}

static void a_rest_gives_a_burst_again(void **state)
{
    (void)state;
    struct sb_decisions decisions = {0};
    for (int i = 0; i < SB_DECISIONS_BURST; i++) {
        assert_true(sb_decisions_note(&decisions, 1, 0, 0));
    }
    assert_false(sb_decisions_note(&decisions, 1, 0, 0));
    uint64_t later = 1 + (uint64_t)SB_DECISIONS_BURST * SB_DECISIONS_EACH_MS;
    for (int i = 0; i < SB_DECISIONS_BURST; i++) {
        assert_true(sb_decisions_note(&decisions, later, 0, 0));
    }
    assert_false(sb_decisions_note(&decisions, later, 0, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_is_listed_and_then_one_a_second),
        cmocka_unit_test(what_was_added_up_is_told_once),
        cmocka_unit_test(a_rest_gives_a_burst_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
