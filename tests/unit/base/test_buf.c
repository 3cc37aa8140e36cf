#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "fail_alloc.h"

static int disarm(void **state)
{
    (void)state;
    sb_fail_alloc_at(0);
    return 0;
}

static void appends_grow_and_stay_terminated(void **state)
{
    (void)state;
    SB_CLEANUP(sb_buf_done) struct sb_buf buf = SB_BUF_INIT(100000);
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(sb_buf_printf(&buf, "%04d", i), 0);
    }
    assert_int_equal(buf.len, 40000);
    assert_int_equal(strlen(sb_buf_cstr(&buf)), 40000);
    assert_memory_equal(sb_buf_cstr(&buf) + 40000 - 8, "99989999", 8);
}

static void an_empty_buffer_is_an_empty_string(void **state)
{
    (void)state;
    struct sb_buf buf = {0};
    assert_string_equal(sb_buf_cstr(&buf), "");
    assert_int_equal(sb_buf_str(&buf).len, 0);
    assert_int_equal(sb_buf_append(&buf, NULL, 0), 0);
    assert_int_equal(sb_buf_printf(&buf, "%s", ""), 0);
    assert_int_equal(sb_buf_append_byte(&buf, 'x'), -1);
    sb_buf_consume(&buf, 3);
    sb_buf_truncate(&buf, 0);
    sb_buf_clear(&buf);
    sb_buf_commit(&buf, 0);
    sb_buf_done(&buf);
}

static void refuses_bytes_beyond_the_maximum_and_keeps_the_rest(void **state)
{
    (void)state;
    SB_CLEANUP(sb_buf_done) struct sb_buf buf = SB_BUF_INIT(4);
    assert_int_equal(sb_buf_append_str(&buf, SB_STR("abc")), 0);
    errno = 0;
    assert_int_equal(sb_buf_append_str(&buf, SB_STR("de")), -1);
    assert_int_equal(errno, ENOBUFS);
    assert_string_equal(sb_buf_cstr(&buf), "abc");
    assert_int_equal(sb_buf_room(&buf), 1);
    assert_int_equal(sb_buf_append_byte(&buf, 'd'), 0);
    assert_int_equal(sb_buf_append_byte(&buf, 'e'), -1);
    assert_int_equal(sb_buf_printf(&buf, "%d", 1), -1);
    void *room = NULL;
    assert_int_equal(sb_buf_reserve(&buf, SIZE_MAX, &room), -1);
    assert_null(room);
    assert_string_equal(sb_buf_cstr(&buf), "abcd");
}

static void consuming_makes_room_under_the_maximum(void **state)
{
    (void)state;
    SB_CLEANUP(sb_buf_done) struct sb_buf buf = SB_BUF_INIT(8);
    assert_int_equal(sb_buf_append_str(&buf, SB_STR("12345678")), 0);
    sb_buf_consume(&buf, 3);
    assert_string_equal(sb_buf_cstr(&buf), "45678");
    assert_int_equal(sb_buf_append_str(&buf, SB_STR("abc")), 0);
    assert_string_equal(sb_buf_cstr(&buf), "45678abc");
    sb_buf_consume(&buf, 99);
    assert_int_equal(buf.len, 0);
}

static void a_long_queue_stays_in_its_first_block(void **state)
{
    (void)state;
    SB_CLEANUP(sb_buf_done) struct sb_buf buf = SB_BUF_INIT(1 << 20);
    assert_int_equal(sb_buf_append_byte(&buf, 'x'), 0);
    sb_buf_clear(&buf);
    sb_fail_alloc_at(1);
    for (unsigned i = 0; i < 100000; i++) {
        assert_int_equal(sb_buf_append(&buf, &i, sizeof i), 0);
        if (i >= 10) {
            unsigned front = 0;
            memcpy(&front, sb_buf_cstr(&buf), sizeof front);
            assert_int_equal(front, i - 10);
            sb_buf_consume(&buf, sizeof front);
        }
    }
}

static void reserve_then_commit_less(void **state)
{
    (void)state;
    SB_CLEANUP(sb_buf_done) struct sb_buf buf = SB_BUF_INIT(1000);
    void *room = NULL;
    assert_int_equal(sb_buf_reserve(&buf, 100, &room), 0);
    memcpy(room, "hello", 5);
    sb_buf_commit(&buf, 5);
    assert_string_equal(sb_buf_cstr(&buf), "hello");
}

static void truncate_keeps_the_front(void **state)
{
    (void)state;
    SB_CLEANUP(sb_buf_done) struct sb_buf buf = SB_BUF_INIT(1000);
    assert_int_equal(sb_buf_append_str(&buf, SB_STR("xhello")), 0);
    sb_buf_consume(&buf, 1);
    sb_buf_truncate(&buf, 99);
    assert_string_equal(sb_buf_cstr(&buf), "hello");
    sb_buf_truncate(&buf, 2);
    assert_string_equal(sb_buf_cstr(&buf), "he");
}

static void steal_gives_the_string_away(void **state)
{
    (void)state;
    struct sb_buf buf = SB_BUF_INIT(1000);
    SB_CLEANUP(sb_freep) char *empty = sb_buf_steal(&buf);
    assert_string_equal(empty, "");
    assert_int_equal(sb_buf_append_str(&buf, SB_STR("xyz")), 0);
    sb_buf_consume(&buf, 1);
    SB_CLEANUP(sb_freep) char *text = sb_buf_steal(&buf);
    assert_string_equal(text, "yz");
    assert_int_equal(buf.len, 0);
    assert_int_equal(buf.max, 1000);
    assert_null(buf.mem);
}

static void survives_each_failing_allocation(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 4; n++) {
        SB_CLEANUP(sb_buf_done) struct sb_buf buf = SB_BUF_INIT(100000);
        unsigned failures = 0;
        sb_fail_alloc_at(n);
        for (size_t i = 0; i < 3000; i++) {
            size_t before = buf.len;
            if (sb_buf_append_byte(&buf, 'x') < 0) {
                assert_int_equal(errno, ENOMEM);
                assert_int_equal(buf.len, before);
                assert_int_equal(strlen(sb_buf_cstr(&buf)), before);
                failures++;
            }
        }
        assert_int_equal(failures, 1);
        assert_int_equal(buf.len, 2999);
    }
    struct sb_buf buf = SB_BUF_INIT(10);
    sb_fail_alloc_at(1);
    assert_null(sb_buf_steal(&buf));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_grow_and_stay_terminated),
        cmocka_unit_test(an_empty_buffer_is_an_empty_string),
        cmocka_unit_test(refuses_bytes_beyond_the_maximum_and_keeps_the_rest),
        cmocka_unit_test(consuming_makes_room_under_the_maximum),
        cmocka_unit_test_teardown(a_long_queue_stays_in_its_first_block, disarm),
        cmocka_unit_test(reserve_then_commit_less),
        cmocka_unit_test(truncate_keeps_the_front),
        cmocka_unit_test(steal_gives_the_string_away),
        cmocka_unit_test_teardown(survives_each_failing_allocation, disarm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
