/** Sandboxes that are paused, with spawner and init played by the test. */
#include <signal.h>
#include <unistd.h>

#include "fake.h"
#include "service/worker/exec.h"
#include "service/worker/limits.h"
#include "service/worker/pause.h"
#include "service/worker/sandbox.h"

enum { SLOT = 9, WALL_MS = 300 };

/* The spawner was asked to freeze, or to thaw, and answers. */
static void answer(struct fake *fake, bool wants_thaw, bool is_done)
{
    struct sb_frame frame = SB_FRAME_INIT;
    const Spawn__V1__Request *request = fake_request(fake, &frame);
    assert_int_equal(request->body_case, SPAWN__V1__REQUEST__BODY_FREEZE);
    assert_int_equal(request->freeze->slot, SLOT);
    assert_int_equal(request->freeze->thaw, wants_thaw);
    Spawn__V1__Frozen frozen = SPAWN__V1__FROZEN__INIT;
    Spawn__V1__Reply reply = SPAWN__V1__REPLY__INIT;
    frozen.done = is_done;
    reply.tag = request->tag;
    reply.body_case = SPAWN__V1__REPLY__BODY_FROZEN;
    reply.frozen = &frozen;
    fake_reply(fake, &reply, NULL, 0);
    sb_frame_done(&frame);
}

static void freeze(struct fake *fake, struct sb_sandbox *sandbox)
{
    struct sb_err err;
    assert_int_equal(sb_pause_begin(sandbox, &err), 0);
    answer(fake, false, true);
    assert_true(sb_pause_is_frozen(sandbox));
}

static void thaw(struct fake *fake, struct sb_sandbox *sandbox)
{
    struct sb_err err;
    assert_int_equal(sb_pause_end(sandbox, &err), 0);
    answer(fake, true, true);
    assert_int_equal(sandbox->state, SB_STATE_RUNNING);
}

static void is_paused_when_the_kernel_has_frozen_all_of_it(void **state)
{
    struct fake *fake = *state;
    struct sb_err err;
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    assert_int_equal(sb_pause_begin(sandbox, &err), -1); /* still STARTING */
    assert_int_equal(err.code, SB_PRECONDITION);
    int init = fake_spawn(fake, SLOT);
    assert_int_equal(sb_pause_begin(sandbox, &err), 0);
    answer(fake, false, false);
    assert_int_equal(sandbox->state, SB_STATE_PAUSED);
    assert_false(sb_pause_is_frozen(sandbox));
    fake_wait(fake, 50);
    answer(fake, false, true); /* asked again */
    assert_true(sb_pause_is_frozen(sandbox));
    assert_int_equal(sb_pause_begin(sandbox, &err), 0);
    assert_true(fake_is_quiet(fake));
    thaw(fake, sandbox);
    assert_int_equal(sb_pause_end(sandbox, &err), 0);
    assert_true(fake_is_quiet(fake));
    close(init);
}

static void runs_on_when_nothing_here_freezes(void **state)
{
    struct fake *fake = *state;
    struct sb_err err;
    struct sb_frame frame = SB_FRAME_INIT;
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    int init = fake_spawn(fake, SLOT);
    assert_int_equal(sb_pause_begin(sandbox, &err), 0);
    fake_fail(fake, fake_request(fake, &frame)->tag, SB_PRECONDITION, "no group");
    sb_frame_done(&frame);
    assert_int_equal(sandbox->state, SB_STATE_RUNNING);
    assert_int_equal(sandbox->pause.err.code, SB_PRECONDITION);
    assert_true(fake_is_quiet(fake));
    close(init);
}

static void the_last_wish_counts(void **state)
{
    struct fake *fake = *state;
    struct sb_err err;
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    int init = fake_spawn(fake, SLOT);
    assert_int_equal(sb_pause_begin(sandbox, &err), 0);
    assert_int_equal(sb_pause_end(sandbox, &err), 0);
    answer(fake, false, true);
    assert_false(sb_pause_is_frozen(sandbox));
    assert_int_equal(sb_pause_begin(sandbox, &err), 0);
    answer(fake, true, true);
    assert_int_equal(sandbox->state, SB_STATE_PAUSED);
    answer(fake, false, true);
    assert_true(sb_pause_is_frozen(sandbox));
    close(init);
}

static void the_wall_clock_stands_still(void **state)
{
    struct fake *fake = *state;
    struct fake_job job;
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    int init = fake_spawn(fake, SLOT);
    struct sb_exec *exec = fake_exec(sandbox, false, WALL_MS);
    fake_take_job(init, &job);
    fake_started(&job);
    fake_turn(fake);
    freeze(fake, sandbox);
    fake_wait(fake, 2 * WALL_MS);
    assert_int_equal(exec->state, SB_EXEC_RUNNING);
    assert_int_equal(exec->facts.cause, SB_CAUSE_NONE);
    thaw(fake, sandbox);
    assert_true(event_pending(&exec->wall_timer, EV_TIMEOUT, NULL));
    fake_wait(fake, 2 * WALL_MS);
    assert_int_equal(exec->facts.cause, SB_CAUSE_TIMEOUT);
    assert_true(fake_is_told(&job, SB_INIT_KILL));
    fake_exited(&job, SIGKILL);
    fake_empty(&job, 1);
    fake_turn(fake);
    assert_int_equal(exec->verdict.kind, SB_VERDICT_TIMED_OUT);
    assert_true(exec->facts.wall_ms >= WALL_MS);
    fake_job_close(&job);
    close(init);
}

static void execs_wait(void **state)
{
    struct fake *fake = *state;
    struct fake_job job;
    char byte;
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    int init = fake_spawn(fake, SLOT);
    freeze(fake, sandbox);
    struct sb_exec *exec = fake_exec(sandbox, false, WALL_MS);
    fake_wait(fake, 50);
    assert_int_equal(exec->state, SB_EXEC_WAITING);
    assert_int_equal(recv(init, &byte, 1, MSG_DONTWAIT), -1);
    thaw(fake, sandbox);
    fake_take_job(init, &job);
    fake_started(&job);
    fake_turn(fake);
    assert_int_equal(exec->state, SB_EXEC_RUNNING);
    fake_job_close(&job);
    close(init);
}

static void does_not_go_idle_but_its_ttl_runs_on(void **state)
{
    struct fake *fake = *state;
    struct sb_frame frame = SB_FRAME_INIT;
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    int init = fake_spawn(fake, SLOT);
    sb_sandbox_set_idle(sandbox, 20);
    freeze(fake, sandbox);
    sb_sandbox_set_idle(sandbox, 20);
    fake_wait(fake, 100);
    assert_true(sb_pause_is_frozen(sandbox));
    sb_sandbox_set_ttl(sandbox, 20);
    fake_wait(fake, 100);
    assert_int_equal(sandbox->state, SB_STATE_STOPPING);
    assert_int_equal(sandbox->reason, SB_REASON_TTL);
    assert_int_equal(fake_request(fake, &frame)->body_case, SPAWN__V1__REQUEST__BODY_KILL);
    sb_frame_done(&frame);
    fake_gone(fake, SLOT, SIGKILL);
    assert_int_equal(sandbox->state, SB_STATE_DESTROYED);
    close(init);
}

static void idles_anew_when_it_runs_on(void **state)
{
    struct fake *fake = *state;
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    int init = fake_spawn(fake, SLOT);
    freeze(fake, sandbox);
    sb_sandbox_set_idle(sandbox, 20);
    thaw(fake, sandbox);
    fake_wait(fake, 100);
    assert_int_equal(sandbox->reason, SB_REASON_IDLE);
    close(init);
}

static void one_made_for_a_program_goes_when_that_is_killed(void **state)
{
    struct fake *fake = *state;
    struct fake_job job;
    struct sb_frame frame = SB_FRAME_INIT;
    struct sb_sandbox *sandbox = fake_sandbox(fake, true);
    struct sb_exec *exec = fake_exec(sandbox, true, 0);
    int init = fake_spawn(fake, SLOT);
    fake_take_job(init, &job);
    fake_started(&job);
    fake_turn(fake);
    freeze(fake, sandbox);
    sb_exec_kill(exec, SB_CAUSE_CLIENT_GONE);
    assert_int_equal(fake_request(fake, &frame)->body_case, SPAWN__V1__REQUEST__BODY_KILL);
    sb_frame_done(&frame);
    fake_gone(fake, SLOT, SIGKILL);
    assert_int_equal(exec->verdict.kind, SB_VERDICT_CANCELLED);
    fake_job_close(&job);
    close(init);
}

static void what_is_answered_after_its_end_is_not_believed(void **state)
{
    struct fake *fake = *state;
    struct sb_err err;
    struct sb_frame frame = SB_FRAME_INIT;
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    int init = fake_spawn(fake, SLOT);
    assert_int_equal(sb_pause_begin(sandbox, &err), 0);
    sb_sandbox_destroy(sandbox, SB_REASON_REQUESTED, NULL);
    answer(fake, false, false);
    assert_int_equal(sandbox->state, SB_STATE_STOPPING);
    assert_int_equal(fake_request(fake, &frame)->body_case, SPAWN__V1__REQUEST__BODY_KILL);
    sb_frame_done(&frame);
    fake_wait(fake, 50);
    assert_true(fake_is_quiet(fake)); /* and not asked again */
    assert_int_equal(sb_pause_end(sandbox, &err), -1);
    close(init);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)
        TEST(is_paused_when_the_kernel_has_frozen_all_of_it),
        TEST(runs_on_when_nothing_here_freezes),
        TEST(the_last_wish_counts),
        TEST(the_wall_clock_stands_still),
        TEST(execs_wait),
        TEST(does_not_go_idle_but_its_ttl_runs_on),
        TEST(idles_anew_when_it_runs_on),
        TEST(one_made_for_a_program_goes_when_that_is_killed),
        TEST(what_is_answered_after_its_end_is_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
