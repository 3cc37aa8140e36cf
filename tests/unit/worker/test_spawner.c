/** The conversation with the spawner. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake.h"
#include "service/worker/limits.h"
#include "service/worker/spawner.h"

/** What a callback was told. */
struct told {
    int count;
    bool has_reply;
    struct sb_err err;
};

static void
on_reply(void *ctx, const Spawn__V1__Reply *reply, struct sb_frame *frame, const struct sb_err *err)
{
    struct told *told = ctx;
    told->count++;
    told->has_reply = reply != NULL;
    assert_true((frame != NULL) == (reply != NULL));
    if (reply == NULL) {
        told->err = *err;
    }
}

static uint64_t ask(struct fake *fake, struct told *told)
{
    struct sb_err err;
    struct sb_frame frame = SB_FRAME_INIT;
    assert_int_equal(sb_spawner_probe(fake->worker.spawner, on_reply, told, &err), 0);
    uint64_t tag = fake_request(fake, &frame)->tag;
    sb_frame_done(&frame);
    return tag;
}

static void answer(struct fake *fake, uint64_t tag)
{
    Spawn__V1__Probed probed = SPAWN__V1__PROBED__INIT;
    Spawn__V1__Reply reply = SPAWN__V1__REPLY__INIT;
    reply.tag = tag;
    reply.body_case = SPAWN__V1__REPLY__BODY_PROBED;
    reply.probed = &probed;
    fake_reply(fake, &reply, NULL, 0);
}

static void answers_find_their_questions_in_any_order(void **state)
{
    struct told one = {0};
    struct told two = {0};
    uint64_t first = ask(*state, &one);
    uint64_t second = ask(*state, &two);
    answer(*state, second);
    assert_int_equal(one.count, 0);
    assert_int_equal(two.count, 1);
    answer(*state, first);
    assert_int_equal(one.count, 1);
    assert_true(one.has_reply);
}

static void a_failure_carries_code_step_and_text(void **state)
{
    struct told told = {0};
    fake_fail(*state, ask(*state, &told), SB_PRECONDITION, "no such directory");
    assert_int_equal(told.count, 1);
    assert_int_equal(told.err.code, SB_PRECONDITION);
    assert_string_equal(told.err.text, "mount: no such directory");
}

static void a_failure_with_a_wild_code_is_internal(void **state)
{
    static const uint32_t codes[] = {0, 17, UINT32_MAX};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct told told = {0};
        fake_fail(*state, ask(*state, &told), codes[i], "x");
        assert_int_equal(told.err.code, SB_INTERNAL);
    }
}

static void an_answer_that_does_not_fit_is_a_failure(void **state)
{
    struct told told = {0};
    Spawn__V1__Killed killed = SPAWN__V1__KILLED__INIT;
    Spawn__V1__Reply reply = SPAWN__V1__REPLY__INIT;
    reply.tag = ask(*state, &told);
    reply.body_case = SPAWN__V1__REPLY__BODY_KILLED;
    reply.killed = &killed;
    fake_reply(*state, &reply, NULL, 0);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.err.code, SB_INTERNAL);
}

static void an_answer_to_nobody_is_ignored(void **state)
{
    struct told told = {0};
    uint64_t tag = ask(*state, &told);
    answer(*state, tag + 1000);
    answer(*state, tag);
    answer(*state, tag);
    assert_int_equal(told.count, 1);
}

static void its_death_answers_every_question_once(void **state)
{
    struct fake *fake = *state;
    struct told told[3] = {{0}};
    struct sb_err err;
    for (int i = 0; i < 3; i++) {
        (void)ask(fake, &told[i]);
    }
    fake_die(fake);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(told[i].count, 1);
        assert_int_equal(told[i].err.code, SB_UNAVAILABLE);
    }
    assert_true(sb_spawner_is_lost(fake->worker.spawner));
    assert_int_equal(sb_spawner_probe(fake->worker.spawner, on_reply, told, &err), -1);
    assert_int_equal(err.code, SB_UNAVAILABLE);
}

static void nonsense_from_it_is_its_death(void **state)
{
    struct fake *fake = *state;
    struct told told = {0};
    (void)ask(fake, &told);
    assert_int_equal(send(fake->sock, "\xff\xff\xff", 3, 0), 3);
    fake_turn(fake);
    assert_int_equal(told.err.code, SB_UNAVAILABLE);
}

static Spawn__V1__Plan *new_plan(void)
{
    Spawn__V1__Plan *plan = malloc(sizeof *plan);
    assert_non_null(plan);
    spawn__v1__plan__init(plan);
    return plan;
}

static void only_so_many_sandboxes_are_made_at_once(void **state)
{
    enum { MORE = 3 };
    struct fake *fake = *state;
    struct told told = {0};
    struct sb_err err;
    uint64_t tags[SB_MAX_SPAWNING];
    for (int i = 0; i < SB_MAX_SPAWNING + MORE; i++) {
        assert_int_equal(
            sb_spawner_spawn(fake->worker.spawner, new_plan(), NULL, 0, on_reply, &told, &err), 0);
    }
    for (int i = 0; i < SB_MAX_SPAWNING; i++) {
        struct sb_frame frame = SB_FRAME_INIT;
        tags[i] = fake_request(fake, &frame)->tag;
        sb_frame_done(&frame);
    }
    assert_true(fake_is_quiet(fake));
    uint64_t other = ask(fake, &told); /* what is no sandbox does not wait */
    answer(fake, other);
    close(fake_spawned(fake, tags[0], 1, -1));
    fake_fail(fake, tags[1], SB_EXHAUSTED, "full");
    for (int i = 0; i < 2; i++) {
        struct sb_frame frame = SB_FRAME_INIT;
        assert_int_equal(fake_request(fake, &frame)->body_case, SPAWN__V1__REQUEST__BODY_SPAWN);
        sb_frame_done(&frame);
    }
    assert_true(fake_is_quiet(fake));
    fake_die(fake); /* who waits hears of it */
    assert_int_equal(told.count, SB_MAX_SPAWNING + MORE + 1);
}

static void only_so_many_questions_wait(void **state)
{
    struct fake *fake = *state;
    struct told told = {0};
    struct sb_err err;
    for (int i = 0; i < SB_MAX_SPAWNER_REQUESTS; i++) {
        assert_int_equal(sb_spawner_probe(fake->worker.spawner, on_reply, &told, &err), 0);
    }
    assert_int_equal(sb_spawner_probe(fake->worker.spawner, on_reply, &told, &err), -1);
    assert_int_equal(err.code, SB_EXHAUSTED);
    fake_die(fake);
    assert_int_equal(told.count, SB_MAX_SPAWNER_REQUESTS);
}

/** Greets back with reply, or hangs up. */
static int shake(const Spawn__V1__Reply *reply, struct sb_err *err)
{
    int pair[2];
    struct sb_spawner *spawner = NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    if (reply != NULL) {
        assert_int_equal(sb_frame_send(pair[1], &reply->base, NULL, 0, err), 0);
    } else {
        assert_int_equal(shutdown(pair[1], SHUT_WR), 0);
    }
    int rc = sb_spawner_adopt(pair[0], &spawner, err);
    assert_null(spawner);
    close(pair[1]);
    return rc;
}

static void a_spawner_of_another_build_is_refused(void **state)
{
    (void)state;
    struct sb_err err;
    Spawn__V1__Failure failure = SPAWN__V1__FAILURE__INIT;
    Spawn__V1__Reply reply = SPAWN__V1__REPLY__INIT;
    failure.code = SB_PRECONDITION;
    failure.text = fake_text("of different builds");
    reply.tag = 1;
    reply.body_case = SPAWN__V1__REPLY__BODY_FAILURE;
    reply.failure = &failure;
    assert_int_equal(shake(&reply, &err), -1);
    assert_int_equal(err.code, SB_PRECONDITION);
    assert_string_equal(err.text, "spawner: of different builds");
}

static void a_spawner_that_says_nothing_is_refused(void **state)
{
    (void)state;
    struct sb_err err;
    Spawn__V1__Reply empty = SPAWN__V1__REPLY__INIT;
    empty.tag = 1;
    assert_int_equal(shake(NULL, &err), -1);
    assert_int_equal(err.code, SB_UNAVAILABLE);
    assert_int_equal(shake(&empty, &err), -1);
    assert_int_equal(err.code, SB_INTERNAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_find_their_questions_in_any_order),
        TEST(a_failure_carries_code_step_and_text),
        TEST(a_failure_with_a_wild_code_is_internal),
        TEST(an_answer_that_does_not_fit_is_a_failure),
        TEST(an_answer_to_nobody_is_ignored),
        TEST(its_death_answers_every_question_once),
        TEST(nonsense_from_it_is_its_death),
        TEST(only_so_many_sandboxes_are_made_at_once),
        TEST(only_so_many_questions_wait),
        cmocka_unit_test(a_spawner_of_another_build_is_refused),
        cmocka_unit_test(a_spawner_that_says_nothing_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
