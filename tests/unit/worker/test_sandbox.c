/** Sandboxes and execs, with spawner and init played by the test. */
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "fake.h"
#include "service/worker/exec.h"
#include "service/worker/limits.h"
#include "service/worker/policy/request.h"
#include "service/worker/probe.h"
#include "service/worker/sandbox.h"

enum { SLOT = 9, UID = AISBX__V1__CONTROL__CONTROL_DISTINCT_UID };

static void a_sandbox_starts_runs_and_ends(void **state)
{
    struct fake *fake = *state;
    struct sb_frame frame = SB_FRAME_INIT;
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    assert_int_equal(sandbox->state, SB_STATE_STARTING);
    int init = fake_spawn(fake, SLOT);
    assert_int_equal(sandbox->state, SB_STATE_RUNNING);
    sb_sandbox_destroy(sandbox, SB_REASON_REQUESTED, "why not");
    assert_int_equal(sandbox->state, SB_STATE_STOPPING);
    const Spawn__V1__Request *request = fake_request(fake, &frame);
    assert_int_equal(request->body_case, SPAWN__V1__REQUEST__BODY_KILL);
    assert_int_equal(request->kill->slot, SLOT);
    sb_frame_done(&frame);
    fake_gone(fake, SLOT, SIGKILL);
    assert_int_equal(sandbox->state, SB_STATE_DESTROYED);
    assert_int_equal(sandbox->reason, SB_REASON_REQUESTED);
    assert_string_equal(sandbox->destroy_message, "why not");
    assert_int_equal(fake->worker.registry.n_live, 0);
    close(init);
}

static void the_second_sandbox_needs_no_filter(void **state)
{
    struct fake *fake = *state;
    struct sb_frame frame = SB_FRAME_INIT;
    (void)fake_sandbox(fake, false);
    int init = fake_spawn(fake, SLOT);
    (void)fake_sandbox(fake, false);
    assert_int_equal(fake_request(fake, &frame)->body_case, SPAWN__V1__REQUEST__BODY_SPAWN);
    sb_frame_done(&frame);
    close(init);
}

static void a_sandbox_that_cannot_start_fails_its_exec_with_the_reason(void **state)
{
    struct fake *fake = *state;
    struct sb_frame frame = SB_FRAME_INIT;
    struct sb_sandbox *sandbox = fake_sandbox(fake, true);
    struct sb_exec *exec = fake_exec(sandbox, true, 0);
    fake_fail(fake, fake_request(fake, &frame)->tag, SB_EXHAUSTED, "no id range is free");
    sb_frame_done(&frame);
    assert_int_equal(sandbox->state, SB_STATE_DESTROYED);
    assert_int_equal(sandbox->reason, SB_REASON_START_FAILED);
    assert_true(sb_exec_has_ended(exec));
    assert_int_equal(exec->start_err.code, SB_EXHAUSTED);
    assert_int_equal(exec->verdict.kind, SB_VERDICT_NONE);
    assert_int_equal(fake->worker.registry.n_active_execs, 0);
}

static void destroyed_while_starting_is_killed_as_soon_as_it_is_there(void **state)
{
    struct fake *fake = *state;
    struct sb_frame frame = SB_FRAME_INIT;
    struct sb_sandbox *sandbox = fake_sandbox(fake, true);
    struct sb_exec *exec = fake_exec(sandbox, true, 0);
    (void)fake_is_quiet(fake);
    sb_exec_kill(exec, SB_CAUSE_CLIENT_GONE);
    assert_int_equal(sandbox->state, SB_STATE_STOPPING);
    assert_false(sb_exec_has_ended(exec)); /* not before nothing is left */
    const Spawn__V1__Request *request = fake_request(fake, &frame);
    Spawn__V1__FilterLoaded loaded = SPAWN__V1__FILTER_LOADED__INIT;
    Spawn__V1__Reply reply = SPAWN__V1__REPLY__INIT;
    reply.tag = request->tag;
    reply.body_case = SPAWN__V1__REPLY__BODY_FILTER_LOADED;
    reply.filter_loaded = &loaded;
    fake_reply(fake, &reply, NULL, 0);
    sb_frame_done(&frame);
    assert_true(fake_is_quiet(fake)); /* it was never spawned */
    assert_int_equal(sandbox->state, SB_STATE_DESTROYED);
    assert_int_equal(sandbox->reason, SB_REASON_CANCELLED);
    assert_int_equal(exec->verdict.kind, SB_VERDICT_CANCELLED);
}

static void destroyed_while_being_spawned_is_killed_as_soon_as_it_is_there(void **state)
{
    struct fake *fake = *state;
    struct sb_frame frame = SB_FRAME_INIT;
    (void)fake_sandbox(fake, false);
    int first = fake_spawn(fake, SLOT);
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    assert_false(fake_is_quiet(fake)); /* the filter is known: it is being spawned */
    sb_sandbox_destroy(sandbox, SB_REASON_REQUESTED, NULL);
    int second = fake_spawn(fake, SLOT + 1);
    const Spawn__V1__Request *request = fake_request(fake, &frame);
    assert_int_equal(request->body_case, SPAWN__V1__REQUEST__BODY_KILL);
    assert_int_equal(request->kill->slot, SLOT + 1);
    sb_frame_done(&frame);
    assert_int_equal(sandbox->state, SB_STATE_STOPPING);
    fake_gone(fake, SLOT + 1, SIGKILL);
    assert_int_equal(sandbox->state, SB_STATE_DESTROYED);
    close(first);
    close(second);
}

/** Says that everything of the floor's numbers is enforced. */
static void answer_probe(struct fake *fake)
{
    struct sb_frame frame = SB_FRAME_INIT;
    const Spawn__V1__Request *request = fake_request(fake, &frame);
    assert_int_equal(request->body_case, SPAWN__V1__REQUEST__BODY_PROBE);
    Spawn__V1__ProbedControl control = SPAWN__V1__PROBED_CONTROL__INIT;
    Spawn__V1__ProbedControl *controls[] = {&control};
    Spawn__V1__Probed probed = SPAWN__V1__PROBED__INIT;
    Spawn__V1__Reply reply = SPAWN__V1__REPLY__INIT;
    control.control = UID;
    control.state = SB_CONTROL_ENFORCED;
    control.detail = fake_text("");
    control.fix = fake_text("");
    probed.n_controls = 1;
    probed.controls = controls;
    reply.tag = request->tag;
    reply.body_case = SPAWN__V1__REPLY__BODY_PROBED;
    reply.probed = &probed;
    sb_frame_done(&frame);
    fake_reply(fake, &reply, NULL, 0);
}

static void a_floor_that_fails_after_the_spawn_ends_the_sandbox(void **state)
{
    struct fake *fake = *state;
    struct sb_err err;
    struct sb_request *request = NULL;
    struct sb_sandbox *sandbox = NULL;
    assert_int_equal(sb_request_make(NULL, "sandbox", &request, &err), 0);
    request->require = 1U << UID; /* an id of its own, which the played spawner does not give */
    const struct sb_sandbox_options options = {
        .owner = "uid:1", .tenant = "local", .request = request, .peer_fd = -1};
    assert_int_equal(sb_sandbox_new(&fake->worker, &options, &sandbox, &err), 0);
    sb_request_free(request);
    struct sb_exec *exec = fake_exec(sandbox, false, 0);
    answer_probe(fake);
    int init = fake_spawn(fake, SLOT);
    assert_int_equal(sandbox->state, SB_STATE_STOPPING);
    assert_false(sb_exec_has_ended(exec));
    fake_gone(fake, SLOT, SIGKILL);
    assert_int_equal(sandbox->state, SB_STATE_DESTROYED);
    assert_int_equal(sandbox->reason, SB_REASON_START_FAILED);
    assert_int_equal(exec->start_err.code, SB_PRECONDITION);
    close(init);
}

static void an_exec_goes_from_start_to_verdict(void **state)
{
    struct fake *fake = *state;
    struct fake_job job;
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    int init = fake_spawn(fake, SLOT);
    struct sb_exec *exec = fake_exec(sandbox, false, 0);
    fake_take_job(init, &job);
    assert_int_equal(job.head.flags, 0);
    fake_started(&job);
    fake_turn(fake);
    assert_int_equal(exec->state, SB_EXEC_RUNNING);
    assert_int_equal(write(job.stdio[1], "out", 3), 3);
    assert_int_equal(write(job.stdio[2], "error", 5), 5);
    fake_exited(&job, 3 << 8);
    fake_empty(&job, 0);
    fake_job_close(&job);
    fake_turn(fake);
    assert_true(sb_exec_is_empty(exec));
    assert_int_equal(exec->verdict.kind, SB_VERDICT_EXITED);
    assert_int_equal(exec->verdict.exit_code, 3);
    assert_int_equal(exec->facts.stdout_bytes, 3);
    assert_int_equal(exec->facts.stderr_bytes, 5);
    assert_int_equal(exec->facts.cpu_user_us, 33);
    assert_int_equal(exec->facts.max_rss_bytes, 8192);
    assert_int_equal(fake->worker.registry.n_live_execs, 0);
    assert_int_equal(sandbox->n_active, 0);
    close(init);
}

static void an_exec_waits_for_its_sandbox(void **state)
{
    struct fake *fake = *state;
    struct fake_job job;
    struct sb_sandbox *sandbox = fake_sandbox(fake, true);
    struct sb_exec *exec = fake_exec(sandbox, true, 0);
    assert_int_equal(exec->state, SB_EXEC_WAITING);
    int init = fake_spawn(fake, SLOT);
    assert_int_equal(exec->state, SB_EXEC_STARTING);
    fake_take_job(init, &job);
    assert_int_equal(job.head.flags, SB_INIT_ONLY);
    fake_job_close(&job);
    close(init);
}

static void the_only_exec_ends_when_its_sandbox_is_gone(void **state)
{
    struct fake *fake = *state;
    struct fake_job job;
    struct sb_sandbox *sandbox = fake_sandbox(fake, true);
    struct sb_exec *exec = fake_exec(sandbox, true, 0);
    int init = fake_spawn(fake, SLOT);
    fake_take_job(init, &job);
    fake_started(&job);
    fake_exited(&job, 0);
    fake_turn(fake);
    assert_true(fake_is_told(&job, SB_INIT_KILL)); /* what it left behind must go */
    assert_false(sb_exec_has_ended(exec));
    fake_empty(&job, 2);
    fake_job_close(&job);
    fake_turn(fake);
    assert_false(sb_exec_has_ended(exec));
    fake_gone(fake, SLOT, 0);
    assert_true(sb_exec_has_ended(exec));
    assert_int_equal(exec->verdict.kind, SB_VERDICT_EXITED);
    assert_int_equal(exec->facts.killed, 2);
    assert_int_equal(sandbox->reason, SB_REASON_EXEC_ENDED);
    close(init);
}

static void what_init_said_last_is_heard_though_it_left_a_kill_unread(void **state)
{
    struct fake *fake = *state;
    struct fake_job job;
    struct sb_sandbox *sandbox = fake_sandbox(fake, true);
    struct sb_exec *exec = fake_exec(sandbox, true, 0);
    int init = fake_spawn(fake, SLOT);
    fake_take_job(init, &job);
    fake_started(&job);
    fake_turn(fake);
    sb_exec_kill(exec, SB_CAUSE_CLIENT_GONE);
    fake_exited(&job, SIGKILL);
    fake_empty(&job, 1);
    fake_job_close(&job);
    fake_gone(fake, SLOT, 0);
    assert_int_equal(sandbox->reason, SB_REASON_CANCELLED);
    assert_int_equal(exec->facts.killed, 1);
    close(init);
}

static void output_held_by_a_leftover_is_waited_for_a_moment_only(void **state)
{
    struct fake *fake = *state;
    struct fake_job job;
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    int init = fake_spawn(fake, SLOT);
    struct sb_exec *exec = fake_exec(sandbox, false, 0);
    fake_take_job(init, &job);
    fake_started(&job);
    fake_exited(&job, 0);
    fake_turn(fake);
    assert_false(sb_exec_has_ended(exec));
    fake_wait(fake, 3 * SB_MAX_OUTPUT_GRACE_MS);
    assert_true(sb_exec_has_ended(exec));
    assert_false(sb_exec_is_empty(exec));
    assert_true(exec->sock >= 0); /* closing it would kill the leftover */

    assert_int_equal(write(job.stdio[1], "later", 5), 5); /* and its output is still taken */
    fake_turn(fake);
    assert_int_equal(exec->out[0].spool.total, 5);
    fake_empty(&job, 0);
    fake_turn(fake);
    assert_true(sb_exec_is_empty(exec));
    assert_int_equal(fake->worker.registry.n_live_execs, 0);
    fake_job_close(&job);
    close(init);
}

static void the_wall_limit_kills_and_the_verdict_waits_for_the_end(void **state)
{
    struct fake *fake = *state;
    struct fake_job job;
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    int init = fake_spawn(fake, SLOT);
    struct sb_exec *exec = fake_exec(sandbox, false, 1);
    fake_take_job(init, &job);
    fake_started(&job);
    fake_wait(fake, 50);
    assert_true(fake_is_told(&job, SB_INIT_KILL));
    assert_false(sb_exec_has_ended(exec));
    fake_exited(&job, SIGKILL);
    fake_empty(&job, 1);
    fake_job_close(&job);
    fake_turn(fake);
    assert_int_equal(exec->verdict.kind, SB_VERDICT_TIMED_OUT);
    close(init);
}

/** The loop counts from a clock it looked at earlier, so that its timers may fire before their
 * time. */
static void the_wall_limit_does_not_kill_before_its_time(void **state)
{
    enum { WALL_MS = 300 * 1000 };
    struct fake *fake = *state;
    struct fake_job job;
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    int init = fake_spawn(fake, SLOT);
    struct sb_exec *exec = fake_exec(sandbox, false, WALL_MS);
    fake_take_job(init, &job);
    fake_started(&job);
    fake_turn(fake);
    event_active(&exec->wall_timer, EV_TIMEOUT, 0);
    fake_turn(fake);
    assert_false(fake_is_told(&job, SB_INIT_KILL));
    assert_true(event_pending(&exec->wall_timer, EV_TIMEOUT, NULL)); /* for what is left */

    exec->start_mono_ms -= WALL_MS;
    event_active(&exec->wall_timer, EV_TIMEOUT, 0);
    fake_turn(fake);
    assert_true(fake_is_told(&job, SB_INIT_KILL));
    fake_exited(&job, SIGKILL);
    fake_empty(&job, 1);
    fake_job_close(&job);
    fake_turn(fake);
    assert_int_equal(exec->verdict.kind, SB_VERDICT_TIMED_OUT);
    assert_true(exec->facts.wall_ms >= WALL_MS);
    close(init);
}

static void who_ended_in_time_is_not_timed_out_although_nobody_looked(void **state)
{
    struct fake *fake = *state;
    struct fake_job job;
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    int init = fake_spawn(fake, SLOT);
    struct sb_exec *exec = fake_exec(sandbox, false, 1);
    fake_take_job(init, &job);
    fake_started(&job);
    fake_exited(&job, 0);
    fake_empty(&job, 0);
    fake_job_close(&job);
    assert_int_equal(usleep(20000), 0); /* the timer and the packets are due in the same turn */
    fake_turn(fake);
    assert_int_equal(exec->verdict.kind, SB_VERDICT_EXITED);
    close(init);
}

static void the_death_of_init_is_told_apart_from_that_of_a_stub(void **state)
{
    struct fake *fake = *state;
    struct fake_job first;
    struct fake_job second;
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    int init = fake_spawn(fake, SLOT);
    struct sb_exec *one = fake_exec(sandbox, false, 0);
    fake_take_job(init, &first);
    fake_started(&first);
    struct sb_exec *two = fake_exec(sandbox, false, 0);
    fake_take_job(init, &second);
    fake_started(&second);
    fake_turn(fake);
    fake_job_close(&first);
    fake_wait(fake, 3 * SB_MAX_OUTPUT_GRACE_MS);
    assert_true(sb_exec_has_ended(one));
    assert_int_equal(one->facts.cause, SB_CAUSE_STUB_DIED);
    assert_int_equal(sandbox->state, SB_STATE_RUNNING);
    fake_job_close(&second);
    fake_turn(fake);
    fake_gone(fake, SLOT, SIGKILL);
    assert_int_equal(two->facts.cause, SB_CAUSE_INIT_DIED);
    assert_int_equal(two->verdict.kind, SB_VERDICT_SIGNALED);
    assert_int_equal(sandbox->reason, SB_REASON_INIT_DIED);
    close(init);
}

static void an_init_that_talks_nonsense_is_taken_for_dead(void **state)
{
    struct fake *fake = *state;
    struct fake_job job;
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    int init = fake_spawn(fake, SLOT);
    struct sb_exec *exec = fake_exec(sandbox, false, 0);
    fake_take_job(init, &job);
    assert_int_equal(send(job.sock, "nonsense of some length", 23, 0), 23);
    fake_wait(fake, 3 * SB_MAX_OUTPUT_GRACE_MS);
    assert_int_equal(exec->sock, -1);
    assert_true(sb_exec_has_ended(exec));
    fake_job_close(&job);
    close(init);
}

static void an_init_that_does_not_kill_is_killed(void **state)
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
    sb_exec_kill(exec, SB_CAUSE_CANCELLED);
    assert_true(fake_is_told(&job, SB_INIT_KILL));
    assert_true(fake_is_quiet(fake));
    fake_wait(fake, SB_MAX_KILL_WAIT_MS + 200);
    assert_int_equal(fake_request(fake, &frame)->body_case, SPAWN__V1__REQUEST__BODY_KILL);
    sb_frame_done(&frame);
    fake_gone(fake, SLOT, SIGKILL);
    assert_int_equal(exec->verdict.kind, SB_VERDICT_CANCELLED);
    fake_job_close(&job);
    close(init);
}

static void the_death_of_the_spawner_ends_everything_as_lost(void **state)
{
    struct fake *fake = *state;
    struct fake_job job;
    struct sb_sandbox *running = fake_sandbox(fake, false);
    int init = fake_spawn(fake, SLOT);
    struct sb_exec *exec = fake_exec(running, false, 0);
    fake_take_job(init, &job);
    fake_started(&job);
    struct sb_sandbox *starting = fake_sandbox(fake, false);
    fake_turn(fake);
    fake_die(fake);
    assert_int_equal(running->state, SB_STATE_DESTROYED);
    assert_int_equal(running->reason, SB_REASON_WORKER_LOST);
    assert_int_equal(starting->state, SB_STATE_DESTROYED);
    assert_int_equal(exec->verdict.kind, SB_VERDICT_WORKER_LOST);
    fake_job_close(&job);
    close(init);
}

/* Of a sandbox whose PID 1 is found dead by who wants to start a program in it. */
static struct sb_exec *start_without_init(struct fake *fake, bool is_only)
{
    struct sb_frame frame = SB_FRAME_INIT;
    struct sb_sandbox *sandbox = fake_sandbox(fake, is_only);
    close(fake_spawn(fake, SLOT));
    struct sb_exec *exec = fake_exec(sandbox, is_only, 0);
    const Spawn__V1__Request *request = fake_request(fake, &frame);
    assert_int_equal(request->body_case, SPAWN__V1__REQUEST__BODY_KILL);
    assert_int_equal(request->kill->slot, SLOT);
    sb_frame_done(&frame);
    assert_false(sb_exec_has_ended(exec)); /* nobody has said what it died of */
    return exec;
}

/* It dies with the spawner, of whose end the loop hears later. */
static void a_start_that_meets_a_dead_init_is_lost_with_the_spawner(void **state)
{
    struct sb_exec *exec = start_without_init(*state, false);
    fake_die(*state);
    assert_int_equal(exec->verdict.kind, SB_VERDICT_WORKER_LOST);
    assert_int_equal(exec->sandbox->reason, SB_REASON_WORKER_LOST);
}

static void so_is_the_only_program(void **state)
{
    struct sb_exec *exec = start_without_init(*state, true);
    fake_die(*state);
    assert_int_equal(exec->verdict.kind, SB_VERDICT_WORKER_LOST);
}

static void a_start_that_meets_an_init_that_died_alone_is_not(void **state)
{
    struct sb_exec *exec = start_without_init(*state, false);
    fake_gone(*state, SLOT, SIGKILL);
    assert_true(sb_exec_has_ended(exec));
    assert_int_not_equal(exec->verdict.kind, SB_VERDICT_WORKER_LOST);
    assert_int_equal(exec->sandbox->reason, SB_REASON_INIT_DIED);
}

static void nothing_starts_in_a_sandbox_that_ends(void **state)
{
    static char prog[] = "prog";
    static char *const args[] = {prog, NULL};
    struct fake *fake = *state;
    struct sb_err err;
    struct sb_exec *exec = NULL;
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    int init = fake_spawn(fake, SLOT);
    const struct sb_exec_options options = {.args = args, .n_args = 1};
    sb_sandbox_destroy(sandbox, SB_REASON_REQUESTED, NULL);
    assert_int_equal(sb_exec_new(sandbox, &options, false, &exec, &err), -1);
    assert_int_equal(err.code, SB_PRECONDITION);
    assert_int_equal(fake->worker.registry.n_live_execs, 0);
    close(init);
}

static void only_so_many_ended_ones_are_remembered(void **state)
{
    struct fake *fake = *state;
    char first[SB_ID_SIZE] = "";
    for (int i = 0; i < SB_MAX_TOMBSTONES + 10; i++) {
        struct sb_sandbox *sandbox = fake_sandbox(fake, false);
        int init = fake_spawn(fake, SLOT);
        if (i == 0) {
            memcpy(first, sandbox->id, sizeof first);
        }
        close(init);
        fake_gone(fake, SLOT, 0);
    }
    sb_registry_sweep(&fake->worker.registry, sb_clock_real_ms());
    assert_int_equal(fake->worker.registry.n_tombs, SB_MAX_TOMBSTONES);
    assert_null(sb_registry_sandbox(&fake->worker.registry, first));
    sb_registry_sweep(&fake->worker.registry, sb_clock_real_ms() + SB_MAX_MEMORY_MS + 1);
    assert_int_equal(fake->worker.registry.n_tombs, 0);
}

static void only_so_many_ended_execs_of_a_lasting_sandbox_are_remembered(void **state)
{
    struct fake *fake = *state;
    struct fake_job job;
    struct sb_sandbox *sandbox = fake_sandbox(fake, false);
    int init = fake_spawn(fake, SLOT);
    for (int i = 0; i < SB_MAX_ENDED_EXECS + 10; i++) {
        (void)fake_exec(sandbox, false, 0);
        fake_take_job(init, &job);
        fake_started(&job);
        fake_exited(&job, 0);
        fake_empty(&job, 0);
        fake_job_close(&job);
        fake_turn(fake);
    }
    (void)fake_exec(sandbox, false, 0);
    assert_int_equal(fake->worker.registry.n_ended, SB_MAX_ENDED_EXECS);
    close(init);
}

static void only_so_many_live_at_once(void **state)
{
    struct fake *fake = *state;
    struct sb_err err;
    for (int i = 0; i < SB_MAX_SANDBOXES; i++) {
        (void)fake_sandbox(fake, false);
    }
    struct sb_sandbox extra = {.id = "sb_extra"};
    assert_int_equal(sb_registry_add_sandbox(&fake->worker.registry, &extra, &err), -1);
    assert_int_equal(err.code, SB_EXHAUSTED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_sandbox_starts_runs_and_ends),
        TEST(the_second_sandbox_needs_no_filter),
        TEST(a_sandbox_that_cannot_start_fails_its_exec_with_the_reason),
        TEST(destroyed_while_starting_is_killed_as_soon_as_it_is_there),
        TEST(destroyed_while_being_spawned_is_killed_as_soon_as_it_is_there),
        TEST(a_floor_that_fails_after_the_spawn_ends_the_sandbox),
        TEST(an_exec_goes_from_start_to_verdict),
        TEST(an_exec_waits_for_its_sandbox),
        TEST(the_only_exec_ends_when_its_sandbox_is_gone),
        TEST(what_init_said_last_is_heard_though_it_left_a_kill_unread),
        TEST(output_held_by_a_leftover_is_waited_for_a_moment_only),
        TEST(the_wall_limit_kills_and_the_verdict_waits_for_the_end),
        TEST(the_wall_limit_does_not_kill_before_its_time),
        TEST(who_ended_in_time_is_not_timed_out_although_nobody_looked),
        TEST(the_death_of_init_is_told_apart_from_that_of_a_stub),
        TEST(an_init_that_talks_nonsense_is_taken_for_dead),
        TEST(an_init_that_does_not_kill_is_killed),
        TEST(the_death_of_the_spawner_ends_everything_as_lost),
        TEST(a_start_that_meets_a_dead_init_is_lost_with_the_spawner),
        TEST(so_is_the_only_program),
        TEST(a_start_that_meets_an_init_that_died_alone_is_not),
        TEST(nothing_starts_in_a_sandbox_that_ends),
        TEST(only_so_many_ended_ones_are_remembered),
        TEST(only_so_many_ended_execs_of_a_lasting_sandbox_are_remembered),
        TEST(only_so_many_live_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
