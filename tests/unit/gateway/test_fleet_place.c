#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "mcp-gateway/fleet/members.h"
#include "mcp-gateway/fleet/place.h"

#define PLENTY UINT64_MAX

static const char *const ids[] = {"wk_a", "wk_b", "wk_c", "wk_d"};

/* Two words of randomness from a counter, spread. */
static uint64_t draw(uint64_t n)
{
    n += 0x9e3779b97f4a7c15;
    n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9;
    n = (n ^ n >> 27) * 0x94d049bb133111eb;
    return n ^ n >> 31;
}

static void picks_by_what_there_is(void **state)
{
    (void)state;
    static const struct {
        struct sb_place_worker workers[3];
        int never; /* index, over all draws */
        int always;
    } rows[] = {
        {{{ids[0], false, 9, 0, PLENTY}, {ids[1], false, 9, 0, PLENTY}}, 0, SB_PLACE_NOWHERE},
        {{{ids[0], false, 9, 0, PLENTY}, {ids[1], true, 9, 8, PLENTY}}, 0, 1},
        {{{ids[0], true, 9, 1, PLENTY}, {ids[1], true, 9, 0, PLENTY}}, 0, 1},
        /* by share, not by number */
        {{{ids[0], true, 10, 5, PLENTY}, {ids[1], true, 100, 40, PLENTY}}, 0, 1},
        /* a full one, or one without memory, comes last */
        {{{ids[0], true, 1, 1, PLENTY}, {ids[1], true, 1000, 999, PLENTY}}, 0, 1},
        {{{ids[0], true, 9, 0, 1}, {ids[1], true, 9, 8, PLENTY}}, 0, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (uint64_t n = 0; n < 200; n++) {
            int got = sb_place_pick(rows[i].workers, 2, draw(n));
            assert_int_not_equal(got, rows[i].never);
            assert_int_equal(got, rows[i].always);
        }
    }
}

static void the_worst_of_three_gets_nothing_and_the_best_most(void **state)
{
    (void)state;
    static const struct sb_place_worker workers[] = {{ids[0], true, 10, 0, PLENTY},
                                                     {ids[1], true, 10, 5, PLENTY},
                                                     {ids[2], true, 10, 9, PLENTY}};
    unsigned n[3] = {0};
    for (uint64_t k = 0; k < 3000; k++) {
        n[sb_place_pick(workers, 3, draw(k))]++;
    }
    assert_int_equal(n[2], 0);
    assert_in_range(n[0], 1850, 2150); /* two of three pairs have it */
}

static void equal_ones_get_equal_shares(void **state)
{
    (void)state;
    struct sb_place_worker workers[4];
    unsigned n[4] = {0};
    for (size_t i = 0; i < 4; i++) {
        workers[i] = (struct sb_place_worker){ids[i], true, 1024, 0, PLENTY};
    }
    for (uint64_t k = 0; k < 4000; k++) {
        int at = sb_place_pick(workers, 4, draw(k));
        workers[at].taken++;
        n[at]++;
    }
    for (size_t i = 0; i < 4; i++) {
        assert_in_range(n[i], 900, 1100);
    }
}

static void one_that_goes_moves_only_its_own_and_its_second_inherits(void **state)
{
    (void)state;
    struct sb_place_worker all[4];
    unsigned moved = 0;
    unsigned shares[4] = {0};
    for (size_t i = 0; i < 4; i++) {
        all[i] = (struct sb_place_worker){ids[i], true, 1, 0, PLENTY};
    }
    for (unsigned k = 0; k < 4000; k++) {
        char what[16];
        int second = 0;
        int unused = 0;
        (void)snprintf(what, sizeof what, "request-%u", k);
        int before = sb_place_of(all, 4, what, &second);
        assert_int_not_equal(before, second);
        shares[before]++;
        all[1].can_take = false;
        int after = sb_place_of(all, 4, what, &unused);
        all[1].can_take = true;
        moved += before != after;
        assert_int_equal(after, before == 1 ? second : before);
    }
    assert_int_equal(moved, shares[1]);
    for (size_t i = 0; i < 4; i++) {
        assert_in_range(shares[i], 880, 1120);
    }
}

static void the_order_is_the_ids_not_the_lists(void **state)
{
    (void)state;
    const struct sb_place_worker one[] = {{ids[0], true, 1, 0, PLENTY},
                                          {ids[1], true, 1, 0, PLENTY}};
    const struct sb_place_worker two[] = {{ids[1], true, 9, 9, 0}, {ids[0], true, 9, 0, PLENTY}};
    int second = 0;
    for (unsigned k = 0; k < 100; k++) {
        char what[16];
        (void)snprintf(what, sizeof what, "%u", k);
        const char *here = one[sb_place_of(one, 2, what, &second)].id;
        const char *there = two[sb_place_of(two, 2, what, &second)].id;
        assert_string_equal(here, there);
    }
    assert_int_equal(sb_place_of(one, 1, "x", &second), 0);
    assert_int_equal(second, SB_PLACE_NOWHERE);
    assert_int_equal(sb_place_of(one, 0, "x", &second), SB_PLACE_NOWHERE);
}

/* ---- lists of workers ---- */

static void reads_lists_of_workers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int n; /* -1: refused */
        const char *address;
        const char *port; /* of the last */
    } rows[] = {
        {"ipv4:10.0.0.1:7443", 1, "ipv4:10.0.0.1:7443", ""},
        {"unix:/run/a.sock, host:7443", 2, "host:7443", ""},
        {"dns:///workers.default.svc:7443", 1, "workers.default.svc", "7443"},
        {"dns:workers:1", 1, "workers", "1"},
        {"ipv6:[::1]:1,dns:///w:2", 2, "w", "2"},
        {"", -1, NULL, NULL},
        {"a:1,,b:1", -1, NULL, NULL},
        {"dns:///workers", -1, NULL, NULL},
        {"dns:///:7443", -1, NULL, NULL},
        {"dns:///workers:", -1, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sb_members_entry entries[SB_MEMBERS_MAX];
        struct sb_err err;
        size_t n = 0;
        int rc = sb_members_parse(sb_str_from(rows[i].text), entries, &n, &err);
        if (rows[i].n < 0) {
            assert_int_equal(rc, -1);
            assert_int_equal(err.code, SB_INVALID);
            continue;
        }
        assert_int_equal(rc, 0);
        assert_int_equal(n, rows[i].n);
        assert_true(sb_str_eq(entries[n - 1].address, sb_str_from(rows[i].address)));
        assert_true(sb_str_eq(entries[n - 1].port, sb_str_from(rows[i].port)));
    }
}

static void refuses_more_workers_than_it_can_have(void **state)
{
    (void)state;
    char text[SB_MEMBERS_MAX * 8] = "a:1";
    struct sb_members_entry entries[SB_MEMBERS_MAX];
    struct sb_err err;
    size_t n = 0;
    for (int i = 1; i < SB_MEMBERS_MAX; i++) {
        (void)strcat(text, ",a:1");
    }
    assert_int_equal(sb_members_parse(sb_str_from(text), entries, &n, &err), 0);
    assert_int_equal(n, SB_MEMBERS_MAX);
    (void)strcat(text, ",a:1");
    assert_int_equal(sb_members_parse(sb_str_from(text), entries, &n, &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(picks_by_what_there_is),
        cmocka_unit_test(the_worst_of_three_gets_nothing_and_the_best_most),
        cmocka_unit_test(equal_ones_get_equal_shares),
        cmocka_unit_test(one_that_goes_moves_only_its_own_and_its_second_inherits),
        cmocka_unit_test(the_order_is_the_ids_not_the_lists),
        cmocka_unit_test(reads_lists_of_workers),
        cmocka_unit_test(refuses_more_workers_than_it_can_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
