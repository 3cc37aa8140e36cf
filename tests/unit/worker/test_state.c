/** The state machine of a sandbox. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "service/worker/state.h"

/** Every move there is; everything else is refused. */
static const struct {
    enum sb_state from;
    enum sb_state to;
} moves[] = {
    {SB_STATE_STARTING, SB_STATE_RUNNING},   {SB_STATE_STARTING, SB_STATE_STOPPING},
    {SB_STATE_STARTING, SB_STATE_DESTROYED}, {SB_STATE_RUNNING, SB_STATE_STOPPING},
    {SB_STATE_RUNNING, SB_STATE_DESTROYED},  {SB_STATE_STOPPING, SB_STATE_DESTROYED},
    {SB_STATE_RUNNING, SB_STATE_PAUSED},     {SB_STATE_PAUSED, SB_STATE_RUNNING},
    {SB_STATE_PAUSED, SB_STATE_STOPPING},    {SB_STATE_PAUSED, SB_STATE_DESTROYED},
    {SB_STATE_RUNNING, SB_STATE_STARTING},
};

static bool is_listed(enum sb_state from, enum sb_state to)
{
    for (size_t i = 0; i < sizeof moves / sizeof *moves; i++) {
        if (moves[i].from == from && moves[i].to == to) {
            return true;
        }
    }
    return false;
}

static void makes_every_listed_move_and_no_other(void **state)
{
    (void)state;
    for (int from = SB_STATE_STARTING; from < SB_STATE_END_; from++) {
        for (int to = SB_STATE_STARTING; to < SB_STATE_END_; to++) {
            struct sb_err err;
            enum sb_state now = (enum sb_state)from;
            bool is_allowed = is_listed((enum sb_state)from, (enum sb_state)to);
            assert_int_equal(sb_state_move(&now, (enum sb_state)to, &err), is_allowed ? 0 : -1);
            assert_int_equal(now, is_allowed ? to : from);
        }
    }
}

static void names_both_states_when_it_refuses(void **state)
{
    (void)state;
    struct sb_err err;
    enum sb_state now = SB_STATE_DESTROYED;
    assert_int_equal(sb_state_move(&now, SB_STATE_RUNNING, &err), -1);
    assert_int_equal(err.code, SB_PRECONDITION);
    assert_string_equal(err.text, "a sandbox that is destroyed cannot become running");
}

static void refuses_states_that_do_not_exist(void **state)
{
    (void)state;
    assert_false(sb_state_may((enum sb_state)0, SB_STATE_RUNNING));
    assert_false(sb_state_may(SB_STATE_RUNNING, (enum sb_state)17));
    assert_string_equal(sb_state_name((enum sb_state)17), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_every_listed_move_and_no_other),
        cmocka_unit_test(names_both_states_when_it_refuses),
        cmocka_unit_test(refuses_states_that_do_not_exist),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
