/** Sandboxes that wait with an interpreter. */
#include <event2/event.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "pool_fixture.h"
#include "service/worker/exec.h"
#include "service/worker/policy/policy.h"
#include "service/worker/pool/shelf.h"
#include "service/worker/sandbox.h"

/* With an interpreter that is to wait in it. */
static void ask_warm(struct setting *setting, struct caller *caller)
{
    struct sb_init_exec head = {.type = SB_INIT_EXEC, .n_args = 1};
    struct sb_warm_plan plan = {.len = sizeof head, .bytes = SB_SHELF_PARKED_BYTES};
    plan.packet = (char *)&head;
    *caller = (struct caller){0};
    assert_int_equal(
        pool_request(setting->pool, pool_plan_of(8, NULL), "local", &plan, NULL, 0, caller), 0);
}

struct interpreter {
    int sock;
    int channel;
};

/* init is asked to start an interpreter, and has. */
static struct interpreter start_interpreter(int init)
{
    struct sb_err err;
    struct sb_init_exec head;
    struct sb_init_started started = {SB_INIT_STARTED, 7};
    int fds[SB_INIT_MAX_FDS] = {-1, -1, -1, -1, -1};
    struct sb_fd_msg msg = {
        .data = &head, .cap = sizeof head, .fds = fds, .nfds_cap = SB_INIT_MAX_FDS};
    assert_int_equal(sb_fd_recv(init, &msg, MSG_DONTWAIT, &err), 1);
    assert_int_equal(msg.nfds, SB_INIT_MAX_FDS);
    assert_int_equal(head.flags, SB_INIT_CHANNEL);
    assert_int_equal(send(fds[3], &started, sizeof started, 0), sizeof started);
    sb_fd_close_all(fds, 3);
    return (struct interpreter){fds[3], fds[4]};
}

static void give_up_interpreter(struct interpreter *interpreter)
{
    close(interpreter->sock);
    close(interpreter->channel);
}

static void waits_with_an_interpreter_that_is_ready(void **state)
{
    struct setting *setting = *state;
    struct caller first;
    struct caller second;
    ask_warm(setting, &first);
    pool_make(setting, 1);
    assert_false(first.is_warm); /* it starts its own */
    int init = pool_answer(setting, PARKED, 2);
    struct interpreter interpreter = start_interpreter(init);
    fake_turn(setting->fake);
    assert_int_equal(sb_pool_parked(setting->pool), 0);
    assert_int_equal(send(interpreter.channel, "r", 1, 0), 1);
    fake_turn(setting->fake);
    assert_int_equal(sb_pool_parked(setting->pool), 1);
    ask_warm(setting, &second);
    fake_turn(setting->fake);
    assert_int_equal(second.slot, 2);
    assert_true(second.is_warm);
    give_up_interpreter(&interpreter);
    close(init);
}

static void parks_without_when_the_interpreter_ends(void **state)
{
    struct setting *setting = *state;
    struct caller first;
    struct caller second;
    ask_warm(setting, &first);
    pool_make(setting, 1);
    int init = pool_answer(setting, PARKED, 2);
    struct interpreter interpreter = start_interpreter(init);
    ask_warm(setting, &second); /* waits for it */
    give_up_interpreter(&interpreter);
    pool_is_told_to_end(setting, 2);
    pool_make(setting, 3);
    assert_int_equal(second.slot, 3);
    assert_false(second.is_warm);
    pool_refill(setting, 4);
    assert_int_equal(sb_pool_parked(setting->pool), 1); /* at once: no second try */
    close(init);
}

static void ends_one_whose_interpreter_ends_while_it_waits(void **state)
{
    struct setting *setting = *state;
    struct caller first;
    ask_warm(setting, &first);
    pool_make(setting, 1);
    int init = pool_answer(setting, PARKED, 2);
    struct interpreter interpreter = start_interpreter(init);
    assert_int_equal(send(interpreter.channel, "r", 1, 0), 1);
    fake_turn(setting->fake);
    assert_int_equal(sb_pool_parked(setting->pool), 1);
    give_up_interpreter(&interpreter);
    pool_is_told_to_end(setting, 2);
    assert_int_equal(sb_pool_parked(setting->pool), 0);
    close(init);
}

static int count_deadline(const struct event_base *base, const struct event *event, void *ctx)
{
    unsigned *n = ctx;
    (void)base;
    *n += event_get_fd(event) >= 0 && event_pending(event, EV_TIMEOUT, NULL) != 0;
    return 0;
}

static unsigned deadlines(const struct setting *setting)
{
    unsigned n = 0;
    (void)event_base_foreach_event(setting->fake->worker.base, count_deadline, &n);
    return n;
}

static void waits_without_a_deadline_once_it_is_ready(void **state)
{
    struct setting *setting = *state;
    struct caller first;
    ask_warm(setting, &first);
    pool_make(setting, 1);
    int init = pool_answer(setting, PARKED, 2);
    struct interpreter interpreter = start_interpreter(init);
    assert_int_equal(deadlines(setting), 1);
    assert_int_equal(send(interpreter.channel, "r", 1, 0), 1);
    fake_turn(setting->fake);
    assert_int_equal(sb_pool_parked(setting->pool), 1);
    assert_int_equal(deadlines(setting), 0);
    give_up_interpreter(&interpreter);
    close(init);
}

static void refuses_who_waits_for_an_interpreter_when_the_spawner_died(void **state)
{
    struct setting *setting = *state;
    struct sb_err why;
    struct caller first;
    struct caller second;
    ask_warm(setting, &first);
    pool_make(setting, 1);
    int init = pool_answer(setting, PARKED, 2);
    struct interpreter interpreter = start_interpreter(init);
    ask_warm(setting, &second);
    (void)sb_err_set(&why, SB_UNAVAILABLE, "the worker's spawner died");
    sb_pool_lost(setting->pool, &why);
    assert_int_equal(second.n_answers, 1); /* before its sandbox is told, and forgotten */
    assert_int_equal(second.slot, 0);
    give_up_interpreter(&interpreter);
    fake_turn(setting->fake);
    assert_int_equal(second.n_answers, 1);
    close(init);
}

static void waits_for_no_interpreter_when_it_is_closed(void **state)
{
    struct setting *setting = *state;
    struct caller first;
    struct caller second;
    ask_warm(setting, &first);
    pool_make(setting, 1);
    int init = pool_answer(setting, PARKED, 2);
    struct interpreter interpreter = start_interpreter(init);
    ask_warm(setting, &second);
    sb_pool_close(setting->pool);
    pool_is_told_to_end(setting, 2);
    pool_make(setting, 3);
    assert_int_equal(second.slot, 3);
    give_up_interpreter(&interpreter);
    close(init);
}

/* Whether an interpreter would wait in a sandbox of that policy for a program with that variable.
 */
static bool may_wait(const struct sb_policy *policy, const char *name, const char *value)
{
    struct sb_err err;
    struct sb_pairs env = {NULL, 0};
    struct sb_warm_plan plan;
    const struct sb_warm_want want = {.language = SB_LANGUAGE_NODE, .env = &env};
    assert_int_equal(sb_pairs_set(&env, sb_str_from(name), sb_str_from(value), &err), 0);
    assert_int_equal(sb_warm_plan_make(policy, &want, &plan, &err), 0);
    bool may = plan.packet != NULL;
    sb_warm_plan_done(&plan);
    sb_pairs_done(&env);
    return may;
}

static void lets_no_interpreter_wait_that_the_caller_has_a_hand_in(void **state)
{
    struct setting *setting = *state;
    struct sb_policy *policy = fake_sandbox(setting->fake, false)->policy;
    close(fake_spawn(setting->fake, 1));
    assert_true(may_wait(policy, "MINE", "1"));
    assert_true(may_wait(policy, "PYTHONUNBUFFERED", "1"));
    assert_true(may_wait(policy, "NODE_USE_ENV_PROXY", "1")); /* of ours */
    assert_true(may_wait(policy, "PATH", "/usr/local/bin:/bin"));
    assert_false(may_wait(policy, "PATH", "/workspace/venv/bin:/usr/bin"));
    assert_false(may_wait(policy, "PATH", "/usr/../workspace"));
    assert_false(may_wait(policy, "PATH", ":/usr/bin"));
    assert_false(may_wait(policy, "NODE_OPTIONS", "--import=data:text/javascript,1"));
    assert_false(may_wait(policy, "PYTHONPATH", "/workspace/lib"));
    assert_false(may_wait(policy, "LD_PRELOAD", "/workspace/x.so"));
    policy->limits.pids = 4;
    assert_false(may_wait(policy, "MINE", "1"));
    policy->limits.pids = 0;
    policy->mounts.n = 1; /* which nobody reads */
    assert_false(may_wait(policy, "MINE", "1"));
    policy->mounts.n = 0;
}

static void starts_anew_what_was_to_run_in_an_interpreter_that_has_ended(void **state)
{
    struct setting *setting = *state;
    struct sb_sandbox *sandbox = fake_sandbox(setting->fake, false);
    int init = fake_spawn(setting->fake, 1);
    struct sb_err err;
    struct sb_exec *exec = NULL;
    struct fake_job job;
    int pair[2];
    int channel[2];
    char words[][8] = {"python3", "-c", "1"};
    char *args[] = {words[0], words[1], words[2]};
    const enum sb_language language = SB_LANGUAGE_PYTHON;
    const struct sb_exec_options options = {.args = args, .n_args = 3, .waiting = &language};
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel), 0);
    sandbox->warm = SB_WARM_NONE;
    sandbox->warm.sock = pair[0];
    sandbox->warm.channel = channel[0];
    close(channel[1]); /* out of memory, say */
    assert_int_equal(sb_exec_new(sandbox, &options, false, &exec, &err), 0);
    assert_int_equal(sandbox->state, SB_STATE_RUNNING);
    fake_take_job(init, &job);
    fake_started(&job);
    fake_turn(setting->fake);
    assert_int_equal(exec->state, SB_EXEC_RUNNING);
    fake_job_close(&job);
    close(pair[1]);
    close(init);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(waits_with_an_interpreter_that_is_ready),
        TEST(parks_without_when_the_interpreter_ends),
        TEST(ends_one_whose_interpreter_ends_while_it_waits),
        TEST(waits_without_a_deadline_once_it_is_ready),
        TEST(refuses_who_waits_for_an_interpreter_when_the_spawner_died),
        TEST(waits_for_no_interpreter_when_it_is_closed),
        TEST(lets_no_interpreter_wait_that_the_caller_has_a_hand_in),
        TEST(starts_anew_what_was_to_run_in_an_interpreter_that_has_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
