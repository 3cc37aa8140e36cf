#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/map.h"
#include "fail_alloc.h"

#define COUNT 2000U

static char values[COUNT];

static struct sb_str key_of(char text[16], unsigned i)
{
    (void)snprintf(text, 16, "key%u", i);
    return sb_str_from(text);
}

static void put_all(struct sb_map *map, unsigned n)
{
    char text[16];
    struct sb_err err;
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(sb_map_put(map, key_of(text, i), &values[i], &err), 0);
    }
}

static void finds_what_was_put(void **state)
{
    (void)state;
    SB_CLEANUP(sb_map_done) struct sb_map map = {.max = COUNT};
    char text[16];
    put_all(&map, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_ptr_equal(sb_map_get(&map, key_of(text, i)), &values[i]);
    }
    assert_null(sb_map_get(&map, SB_STR("key")));
    assert_int_equal(sb_map_count(&map), COUNT);
}

static void an_empty_map_holds_nothing(void **state)
{
    (void)state;
    struct sb_map map;
    sb_map_init(&map, 5);
    size_t at = 0;
    assert_null(sb_map_get(&map, SB_STR("x")));
    assert_null(sb_map_remove(&map, SB_STR("x")));
    assert_null(sb_map_next(&map, &at, NULL));
    sb_map_done(&map);
}

static void keys_are_copied_and_may_hold_any_byte(void **state)
{
    (void)state;
    SB_CLEANUP(sb_map_done) struct sb_map map = {.max = COUNT};
    struct sb_err err;
    char text[] = "a\0b";
    assert_int_equal(sb_map_put(&map, sb_str_of(text, 3), &values[0], &err), 0);
    assert_int_equal(sb_map_put(&map, SB_STR(""), &values[1], &err), 0);
    memset(text, 'z', sizeof text);
    assert_ptr_equal(sb_map_get(&map, SB_STR("a\0b")), &values[0]);
    assert_null(sb_map_get(&map, SB_STR("a\0c")));
    assert_ptr_equal(sb_map_get(&map, sb_str_from(NULL)), &values[1]);
}

static void a_second_put_of_a_key_is_refused(void **state)
{
    (void)state;
    SB_CLEANUP(sb_map_done) struct sb_map map = {.max = COUNT};
    struct sb_err err;
    assert_int_equal(sb_map_put(&map, SB_STR("x"), &values[0], &err), 0);
    assert_int_equal(sb_map_put(&map, SB_STR("x"), &values[1], &err), -1);
    assert_int_equal(err.code, SB_EXISTS);
    assert_ptr_equal(sb_map_get(&map, SB_STR("x")), &values[0]);
}

static void the_maximum_holds_and_removal_makes_room(void **state)
{
    (void)state;
    SB_CLEANUP(sb_map_done) struct sb_map map = {.max = 3};
    struct sb_err err;
    put_all(&map, 3);
    assert_int_equal(sb_map_put(&map, SB_STR("x"), &values[9], &err), -1);
    assert_int_equal(err.code, SB_EXHAUSTED);
    assert_ptr_equal(sb_map_remove(&map, SB_STR("key1")), &values[1]);
    assert_null(sb_map_remove(&map, SB_STR("key1")));
    assert_int_equal(sb_map_put(&map, SB_STR("x"), &values[9], &err), 0);
    assert_null(sb_map_get(&map, SB_STR("key1")));
}

static void iteration_visits_each_entry_once_and_bears_removal(void **state)
{
    (void)state;
    SB_CLEANUP(sb_map_done) struct sb_map map = {.max = COUNT};
    char seen[COUNT] = {0};
    put_all(&map, COUNT);
    size_t at = 0;
    struct sb_str key;
    for (char *v; (v = sb_map_next(&map, &at, &key)) != NULL;) {
        seen[v - values]++;
        if ((v - values) % 2 == 0) {
            char text[16];
            assert_true(sb_str_eq(key, key_of(text, (unsigned)(v - values))));
            assert_ptr_equal(sb_map_remove(&map, key_of(text, (unsigned)(v - values))), v);
        }
    }
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(seen[i], 1);
    }
    assert_int_equal(sb_map_count(&map), COUNT / 2);
}

static void endless_replacement_does_not_grow_the_table(void **state)
{
    (void)state;
    SB_CLEANUP(sb_map_done) struct sb_map map = {.max = 8};
    char text[16];
    struct sb_err err;
    for (unsigned i = 0; i < 100000; i++) {
        assert_int_equal(sb_map_put(&map, key_of(text, i), &values[0], &err), 0);
        if (i >= 7) {
            assert_non_null(sb_map_remove(&map, key_of(text, i - 7)));
        }
    }
    assert_true(map.nslots <= 32);
    assert_int_equal(sb_map_count(&map), 7);
}

static void survives_each_failing_allocation(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 110; n++) {
        SB_CLEANUP(sb_map_done) struct sb_map map = {.max = COUNT};
        unsigned failures = 0;
        char text[16];
        sb_fail_alloc_at(n);
        for (unsigned i = 0; i < 100; i++) {
            struct sb_err err;
            if (sb_map_put(&map, key_of(text, i), &values[i], &err) < 0) {
                assert_int_equal(err.code, SB_EXHAUSTED);
                assert_null(sb_map_get(&map, key_of(text, i)));
                failures++;
            }
        }
        sb_fail_alloc_at(0);
        assert_true(failures <= 1);
        assert_int_equal(sb_map_count(&map), 100 - failures);
        for (unsigned i = 0, found = 0; i < 100; i++) {
            found += sb_map_get(&map, key_of(text, i)) != NULL ? 1 : 0;
            assert_true(found + failures >= i);
        }
    }
}

static void some_allocation_did_fail(void **state)
{
    (void)state;
    SB_CLEANUP(sb_map_done) struct sb_map map = {.max = COUNT};
    struct sb_err err;
    for (unsigned n = 1; n <= 2; n++) { /* the table, then the key */
        sb_fail_alloc_at(n);
        assert_int_equal(sb_map_put(&map, SB_STR("x"), &values[0], &err), -1);
        assert_int_equal(sb_map_count(&map), 0);
        sb_map_done(&map);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_put),
        cmocka_unit_test(an_empty_map_holds_nothing),
        cmocka_unit_test(keys_are_copied_and_may_hold_any_byte),
        cmocka_unit_test(a_second_put_of_a_key_is_refused),
        cmocka_unit_test(the_maximum_holds_and_removal_makes_room),
        cmocka_unit_test(iteration_visits_each_entry_once_and_bears_removal),
        cmocka_unit_test(endless_replacement_does_not_grow_the_table),
        cmocka_unit_test(survives_each_failing_allocation),
        cmocka_unit_test(some_allocation_did_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
