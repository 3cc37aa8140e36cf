/** Sandboxes that are made before they are asked for. */
#include <sys/socket.h>
#include <unistd.h>

#include "pool_fixture.h"
#include "service/worker/pool/shelf.h"

/* With a directory of the host. */
static void pool_ask_bound(struct setting *setting, struct caller *caller, const char *source)
{
    int ends[2];
    *caller = (struct caller){0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(pool_request(setting->pool, pool_plan_of(8, source), "local",
                                  &pool_nothing_warm, ends, 1, caller),
                     0);
    close(ends[1]);
}

static void compares(struct setting *setting, uint64_t slot, bool is_same)
{
    struct sb_frame frame = SB_FRAME_INIT;
    const Spawn__V1__Request *request = pool_next(setting, COMPARE, &frame);
    Spawn__V1__Compared compared = SPAWN__V1__COMPARED__INIT;
    Spawn__V1__Reply reply = SPAWN__V1__REPLY__INIT;
    assert_int_equal(request->compare->slot, slot);
    assert_int_equal(frame.nfds, 1); /* with whose rights */
    compared.same = is_same;
    reply.tag = request->tag;
    reply.body_case = SPAWN__V1__REPLY__BODY_COMPARED;
    reply.compared = &compared;
    sb_frame_done(&frame);
    fake_reply(setting->fake, &reply, NULL, 0);
}

/* The first one ever asked for is made at once, the next one before it is asked for. */
static void stock(struct setting *setting, uint64_t pids)
{
    struct caller first;
    pool_ask(setting, &first, pids);
    pool_make(setting, 1);
    assert_int_equal(first.slot, 1);
    pool_refill(setting, 2);
    assert_int_equal(sb_pool_parked(setting->pool), 1);
    pool_is_quiet(setting);
}

static void gives_what_is_parked_to_the_same_plan(void **state)
{
    struct setting *setting = *state;
    struct caller second;
    stock(setting, 8);
    pool_ask(setting, &second, 8);
    fake_turn(setting->fake);
    assert_int_equal(second.slot, 2);
    assert_true(second.has_socket);
    assert_int_equal(sb_pool_parked(setting->pool), 0);
    pool_refill(setting, 3);
    assert_int_equal(sb_pool_parked(setting->pool), 1);
}

static void gives_nothing_to_another_plan(void **state)
{
    struct setting *setting = *state;
    struct caller other;
    stock(setting, 8);
    pool_ask(setting, &other, 9);
    pool_make(setting, 3);
    assert_int_equal(other.slot, 3);
    assert_int_equal(sb_pool_parked(setting->pool), 1);
}

static void gives_nothing_to_another_tenant(void **state)
{
    struct setting *setting = *state;
    struct caller other;
    stock(setting, 8);
    pool_ask_as(setting, &other, "other", 8);
    pool_make(setting, 3);
    assert_int_equal(other.slot, 3);
    assert_int_equal(sb_pool_parked(setting->pool), 1);
}

static void gives_one_on_its_way_to_who_waits(void **state)
{
    struct setting *setting = *state;
    struct caller first;
    struct caller second;
    pool_ask(setting, &first, 8);
    pool_make(setting, 1);
    struct sb_frame frame = SB_FRAME_INIT;
    uint64_t tag = pool_next(setting, PARKED, &frame)->tag;
    sb_frame_done(&frame);
    pool_ask(setting, &second, 8);
    close(fake_spawned(setting->fake, tag, 2, -1));
    assert_int_equal(second.slot, 2);
    assert_int_equal(second.n_answers, 1);
    assert_int_equal(sb_pool_parked(setting->pool), 0);
}

/* What was the matter then need not be any more: the directory may be there by now. */
static void asks_anew_for_who_waits_when_none_can_be_made(void **state)
{
    struct setting *setting = *state;
    struct sb_frame frame = SB_FRAME_INIT;
    struct caller first;
    struct caller second;
    pool_ask(setting, &first, 8);
    pool_make(setting, 1);
    uint64_t tag = pool_next(setting, PARKED, &frame)->tag;
    sb_frame_done(&frame);
    pool_ask(setting, &second, 8);
    fake_fail(setting->fake, tag, SB_EXHAUSTED, "full");
    assert_int_equal(second.n_answers, 0);
    tag = pool_next(setting, ASKED, &frame)->tag;
    sb_frame_done(&frame);
    fake_fail(setting->fake, tag, SB_EXHAUSTED, "full");
    assert_int_equal(second.n_answers, 1);
    assert_int_equal(second.slot, 0);
    pool_is_quiet(setting); /* until somebody asks again */
}

static void holds_no_more_than_its_budget(void **state)
{
    struct setting *setting = *state;
    struct caller callers[2 * MAX];
    for (unsigned i = 0; i < 2 * MAX; i++) { /* each of them a miss, so demand doubles */
        pool_ask(setting, &callers[i], 8);
    }
    for (unsigned i = 0; i < 2 * MAX; i++) {
        pool_make(setting, i + 1);
    }
    for (unsigned i = 0; i < MAX; i++) {
        pool_refill(setting, 101 + i);
    }
    pool_is_quiet(setting);
    assert_int_equal(sb_pool_parked(setting->pool), MAX);
    struct caller other; /* what is asked for now has room made for it */
    pool_ask(setting, &other, 9);
    pool_make(setting, 200);
    pool_is_told_to_end(setting, 101);
    pool_refill(setting, 201);
    assert_int_equal(sb_pool_parked(setting->pool), MAX);
}

static void looks_at_directories_before_it_gives(void **state)
{
    struct setting *setting = *state;
    struct caller first;
    struct caller second;
    pool_ask_bound(setting, &first, "/home/me");
    pool_make(setting, 1);
    pool_refill(setting, 2);
    pool_ask_bound(setting, &second, "/home/me");
    assert_int_equal(second.n_answers, 0);
    compares(setting, 2, true);
    assert_int_equal(second.slot, 2);
    assert_true(second.has_socket);
}

static void begins_from_nothing_when_a_directory_is_another(void **state)
{
    struct setting *setting = *state;
    struct caller first;
    struct caller second;
    pool_ask_bound(setting, &first, "/home/me");
    pool_make(setting, 1);
    pool_refill(setting, 2);
    pool_ask_bound(setting, &second, "/home/me");
    compares(setting, 2, false);
    pool_is_told_to_end(setting, 2);
    pool_make(setting, 3);
    assert_int_equal(second.slot, 3);
    assert_int_equal(second.n_answers, 1);
}

static void looks_at_directories_of_one_on_its_way(void **state)
{
    struct setting *setting = *state;
    struct caller first;
    struct caller second;
    struct sb_frame frame = SB_FRAME_INIT;
    pool_ask_bound(setting, &first, "/home/me");
    pool_make(setting, 1);
    uint64_t tag = pool_next(setting, PARKED, &frame)->tag;
    sb_frame_done(&frame);
    pool_ask_bound(setting, &second, "/home/me");
    close(fake_spawned(setting->fake, tag, 2, -1));
    assert_int_equal(second.n_answers, 0);
    compares(setting, 2, true);
    assert_int_equal(second.slot, 2);
}

static void forgets_one_that_died(void **state)
{
    struct setting *setting = *state;
    struct caller second;
    stock(setting, 8);
    assert_true(sb_pool_gone(setting->pool, 2));
    assert_false(sb_pool_gone(setting->pool, 2));
    assert_int_equal(sb_pool_parked(setting->pool), 0);
    pool_ask(setting, &second, 8);
    pool_make(setting, 3);
    assert_int_equal(second.slot, 3);
}

static void begins_from_nothing_when_what_was_promised_died(void **state)
{
    struct setting *setting = *state;
    struct caller second;
    stock(setting, 8);
    pool_ask(setting, &second, 8);
    assert_true(sb_pool_gone(setting->pool, 2));
    pool_make(setting, 3);
    assert_int_equal(second.n_answers, 1);
    assert_int_equal(second.slot, 3);
}

static void refuses_when_the_spawner_died(void **state)
{
    struct setting *setting = *state;
    struct sb_err why;
    struct caller second;
    stock(setting, 8);
    pool_ask(setting, &second, 8);
    (void)sb_err_set(&why, SB_UNAVAILABLE, "the worker's spawner died");
    sb_pool_lost(setting->pool, &why);
    assert_int_equal(second.n_answers, 1);
    assert_int_equal(second.slot, 0);
}

static void ends_what_is_parked_when_it_is_closed(void **state)
{
    struct setting *setting = *state;
    struct caller second;
    stock(setting, 8);
    sb_pool_close(setting->pool);
    pool_is_told_to_end(setting, 2);
    pool_ask(setting, &second, 8);
    pool_make(setting, 3);
    assert_int_equal(second.slot, 3);
    pool_is_quiet(setting);
}

static void grows_with_misses_and_shrinks_without_use(void **state)
{
    (void)state;
    struct sb_shelf shelf = {.peer_fd = -1};
    sb_list_init(&shelf.parked);
    assert_null(sb_shelf_take(&shelf, 5, 1000));
    assert_int_equal(sb_shelf_lacks(&shelf), 1);
    assert_null(sb_shelf_take(&shelf, 5, 1000));
    assert_int_equal(shelf.target, 2);
    (void)sb_shelf_take(&shelf, 5, 1000);
    (void)sb_shelf_take(&shelf, 5, 1000);
    assert_int_equal(shelf.target, 5);
    shelf.n_parked = shelf.low = 5; /* none was needed */
    sb_shelf_look(&shelf, 2000);
    assert_int_equal(shelf.target, 3);
    sb_shelf_look(&shelf, 2000);
    shelf.n_parked = shelf.low = 1; /* one stays ready */
    sb_shelf_look(&shelf, 3000);
    assert_int_equal(shelf.target, 1);
    sb_shelf_look(&shelf, 1000 + SB_SHELF_UNUSED_MS);
    assert_int_equal(shelf.target, 0);
}

static void takes_little_of_a_small_machine(void **state)
{
    (void)state;
    assert_int_equal(sb_pool_budget(128U << 20, 16ULL << 30), 128U << 20);
    assert_int_equal(sb_pool_budget(128U << 20, 1ULL << 30), 32U << 20);
    assert_int_equal(sb_pool_budget(0, 1ULL << 30), 0);
    assert_int_equal(sb_pool_budget(128U << 20, 0), 128U << 20); /* not known */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(gives_what_is_parked_to_the_same_plan),
        TEST(gives_nothing_to_another_plan),
        TEST(gives_nothing_to_another_tenant),
        TEST(gives_one_on_its_way_to_who_waits),
        TEST(asks_anew_for_who_waits_when_none_can_be_made),
        TEST(holds_no_more_than_its_budget),
        TEST(looks_at_directories_before_it_gives),
        TEST(begins_from_nothing_when_a_directory_is_another),
        TEST(looks_at_directories_of_one_on_its_way),
        TEST(forgets_one_that_died),
        TEST(begins_from_nothing_when_what_was_promised_died),
        TEST(refuses_when_the_spawner_died),
        TEST(ends_what_is_parked_when_it_is_closed),
        cmocka_unit_test(grows_with_misses_and_shrinks_without_use),
        cmocka_unit_test(takes_little_of_a_small_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
