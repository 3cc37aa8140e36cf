#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "service/spawner/host.h"
#include "service/spawner/ids.h"

static const struct sb_host root_host = {.is_root = true};
/* The last sub-id is the egress proxy's. */
static const struct sb_host user_host = {.is_root = false, .n_subids = 7};
static const struct sb_host poor_host = {.is_root = false, .n_subids = 2};

static void gives_ranges_that_hold_the_job_and_never_id_0(void **state)
{
    (void)state;
    struct sb_ids_pool pool;
    struct sb_ids ids;
    struct sb_err err;
    sb_ids_pool_init(&pool, &root_host);
    assert_int_equal(sb_ids_take(&pool, &ids, &err), 0);
    assert_int_equal(ids.inside, 0);
    assert_int_equal(ids.outside_uid, SB_IDS_FIRST);
    assert_int_equal(ids.count, SB_IDS_RANGE);
    assert_int_equal(sb_ids_job_uid(&ids), SB_IDS_FIRST + 1000);
    assert_int_equal(ids.init_uid, SB_IDS_FIRST + 1001);
    assert_true(sb_ids_are_distinct(&ids));
    sb_ids_release(&ids);
}

static void gives_every_range_below_its_last_id(void **state)
{
    (void)state;
    struct sb_ids_pool pool;
    struct sb_ids ids;
    struct sb_err err;
    sb_ids_pool_init(&pool, &root_host);
    pool.next = pool.n_ranges - 1;
    assert_int_equal(sb_ids_take(&pool, &ids, &err), 0);
    assert_int_equal(ids.outside_uid + ids.count - 1, SB_IDS_LAST);
    sb_ids_release(&ids);
    assert_int_equal(sb_ids_take(&pool, &ids, &err), 0);
    assert_int_equal(ids.outside_uid, SB_IDS_FIRST);
    sb_ids_release(&ids);
}

static void lets_a_range_rest_before_it_is_used_again(void **state)
{
    (void)state;
    struct sb_ids_pool pool;
    struct sb_ids first;
    struct sb_ids second;
    struct sb_err err;
    sb_ids_pool_init(&pool, &root_host);
    assert_int_equal(sb_ids_take(&pool, &first, &err), 0);
    sb_ids_release(&first);
    assert_int_equal(sb_ids_take(&pool, &second, &err), 0);
    assert_int_not_equal(first.outside_uid, second.outside_uid);
    sb_ids_release(&second);
}

static void never_gives_a_taken_id_and_says_when_all_are(void **state)
{
    (void)state;
    struct sb_ids_pool pool;
    struct sb_ids ids[4];
    struct sb_err err;
    sb_ids_pool_init(&pool, &user_host);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sb_ids_take(&pool, &ids[i], &err), 0);
        assert_int_equal(sb_ids_job_uid(&ids[i]), 1 + 2 * i);
        assert_int_equal(ids[i].init_uid, 2 + 2 * i);
        assert_int_equal(ids[i].count, 2);
    }
    assert_int_equal(sb_ids_take(&pool, &ids[3], &err), -1);
    assert_int_equal(err.code, SB_EXHAUSTED);
    sb_ids_release(&ids[1]);
    assert_int_equal(sb_ids_take(&pool, &ids[3], &err), 0);
    assert_int_equal(sb_ids_job_uid(&ids[3]), 3);
}

static void gives_init_no_id_of_its_own_where_there_is_only_one(void **state)
{
    (void)state;
    struct sb_ids_pool pool;
    struct sb_ids ids;
    struct sb_err err;
    sb_ids_pool_init(&pool, &poor_host);
    assert_int_equal(sb_ids_take(&pool, &ids, &err), 0);
    assert_int_equal(sb_ids_job_uid(&ids), 1);
    assert_int_equal(ids.init_uid, 0);
    assert_int_equal(ids.count, 1);
    sb_ids_release(&ids);
}

static void shares_ids_that_are_not_distinct(void **state)
{
    (void)state;
    struct sb_ids ids = {.count = 0};
    sb_ids_share(&ids, 500, 600);
    assert_int_equal(sb_ids_job_uid(&ids), 500);
    assert_int_equal(sb_ids_job_gid(&ids), 600);
    assert_int_equal(ids.init_uid, 0);
    assert_false(sb_ids_are_distinct(&ids));
    sb_ids_release(&ids);
    sb_ids_release(&ids);
}

static void leaves_init_its_own_id_when_the_job_shares_one(void **state)
{
    (void)state;
    struct sb_ids_pool pool;
    struct sb_ids ids;
    struct sb_ids next;
    struct sb_err err;
    sb_ids_pool_init(&pool, &root_host);
    assert_int_equal(sb_ids_take(&pool, &ids, &err), 0);
    sb_ids_share(&ids, 500, 600);
    assert_int_equal(sb_ids_job_uid(&ids), 500);
    assert_int_equal(ids.init_uid, SB_IDS_FIRST + 1001);
    pool.next = 0;
    assert_int_equal(sb_ids_take(&pool, &next, &err), 0);
    assert_int_not_equal(next.init_uid, ids.init_uid); /* its range is still taken */
    sb_ids_release(&ids);
    sb_ids_release(&next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_ranges_that_hold_the_job_and_never_id_0),
        cmocka_unit_test(gives_every_range_below_its_last_id),
        cmocka_unit_test(lets_a_range_rest_before_it_is_used_again),
        cmocka_unit_test(never_gives_a_taken_id_and_says_when_all_are),
        cmocka_unit_test(gives_init_no_id_of_its_own_where_there_is_only_one),
        cmocka_unit_test(shares_ids_that_are_not_distinct),
        cmocka_unit_test(leaves_init_its_own_id_when_the_job_shares_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
