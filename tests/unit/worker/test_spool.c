#include <errno.h>
/** Kept output: offsets, head and tail, file and memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/err.h"
#include "service/worker/limits.h"
#include "service/worker/spool.h"

/** The byte at an offset of the test's stream. */
static unsigned char byte_at(uint64_t offset)
{
    return (unsigned char)(offset * 7 + offset / 251);
}

static void feed(struct sb_spool *spool, uint64_t n, size_t piece)
{
    unsigned char *data = malloc(piece);
    assert_non_null(data);
    for (uint64_t done = 0; done < n;) {
        size_t len = n - done < piece ? (size_t)(n - done) : piece;
        for (size_t i = 0; i < len; i++) {
            data[i] = byte_at(spool->total + i);
        }
        sb_spool_append(spool, data, len);
        done += len;
    }
    free(data);
}

/** Reads from offset to the end; checks each byte. Returns the bytes read, and those skipped. */
static uint64_t read_all(const struct sb_spool *spool, uint64_t offset, uint64_t *ret_skipped)
{
    unsigned char data[1000];
    uint64_t got = 0;
    *ret_skipped = 0;
    for (;;) {
        uint64_t from = 0;
        struct sb_err err;
        int64_t n = sb_spool_read(spool, offset, data, sizeof data, &from, &err);
        assert_true(n >= 0);
        *ret_skipped += from - offset;
        for (int64_t i = 0; i < n; i++) {
            assert_int_equal(data[i], byte_at(from + (uint64_t)i));
        }
        if (n == 0) {
            return got;
        }
        got += (uint64_t)n;
        offset = from + (uint64_t)n;
    }
}

static void keeps_everything_up_to_the_limit(void **state)
{
    (void)state;
    struct sb_spool spool;
    uint64_t skipped = 0;
    sb_spool_init(&spool, -1, 5000);
    feed(&spool, 5000, 333);
    assert_int_equal(read_all(&spool, 0, &skipped), 5000);
    assert_int_equal(skipped, 0);
    assert_int_equal(sb_spool_dropped(&spool), 0);
    sb_spool_done(&spool);
}

static void small_output_needs_no_descriptor(void **state)
{
    (void)state;
    struct sb_spool spool;
    sb_spool_init(&spool, -1, 1 << 20);
    feed(&spool, SB_MAX_SPOOL_HEAP_BYTES, 100);
    assert_int_equal(spool.fd, -1);
    feed(&spool, 1, 1);
    assert_true(spool.fd >= 0);
    assert_null(spool.heap);
    sb_spool_done(&spool);
}

static void beyond_the_limit_head_and_tail_stay(void **state)
{
    (void)state;
    struct sb_spool spool;
    uint64_t skipped = 0;
    sb_spool_init(&spool, -1, 100000);
    feed(&spool, 1234567, 4096);
    assert_int_equal(read_all(&spool, 0, &skipped), 100000);
    assert_int_equal(skipped, 1234567 - 100000);
    assert_int_equal(sb_spool_dropped(&spool), 1234567 - 100000);
    assert_int_equal(sb_spool_kept(&spool), 100000);
    sb_spool_done(&spool);
}

static void one_byte_over_the_limit_drops_one_byte(void **state)
{
    (void)state;
    struct sb_spool spool;
    uint64_t skipped = 0;
    sb_spool_init(&spool, -1, 1001);
    feed(&spool, 1002, 501);
    assert_int_equal(read_all(&spool, 0, &skipped), 1001);
    assert_int_equal(skipped, 1);
    sb_spool_done(&spool);
}

static void a_reader_inside_the_gap_starts_at_the_tail(void **state)
{
    (void)state;
    struct sb_spool spool;
    struct sb_err err;
    unsigned char byte = 0;
    uint64_t from = 0;
    sb_spool_init(&spool, -1, 1000);
    feed(&spool, 3000, 999);
    assert_int_equal(sb_spool_read(&spool, 700, &byte, 1, &from, &err), 1);
    assert_int_equal(from, 2500);
    assert_int_equal(byte, byte_at(2500));
    sb_spool_done(&spool);
}

static void a_reader_who_keeps_up_loses_nothing(void **state)
{
    (void)state;
    struct sb_spool spool;
    uint64_t offset = 0;
    sb_spool_init(&spool, -1, 40000);
    for (int i = 0; i < 100; i++) {
        uint64_t skipped = 0;
        feed(&spool, 15000, 15000);
        offset += read_all(&spool, offset, &skipped);
        assert_int_equal(skipped, 0);
    }
    assert_int_equal(offset, 1500000);
    sb_spool_done(&spool);
}

static void reads_nothing_at_the_end(void **state)
{
    (void)state;
    struct sb_spool spool;
    struct sb_err err;
    char byte = 0;
    uint64_t from = 0;
    sb_spool_init(&spool, -1, 1000);
    feed(&spool, 10, 10);
    assert_int_equal(sb_spool_read(&spool, 10, &byte, 1, &from, &err), 0);
    assert_int_equal(sb_spool_read(&spool, 5000, &byte, 1, &from, &err), 0);
    assert_int_equal(from, 5000);
    sb_spool_done(&spool);
}

static void a_single_piece_larger_than_the_ring_keeps_its_end(void **state)
{
    (void)state;
    struct sb_spool spool;
    uint64_t skipped = 0;
    sb_spool_init(&spool, -1, 1000);
    feed(&spool, 50000, 50000);
    assert_int_equal(read_all(&spool, 0, &skipped), 1000);
    assert_int_equal(skipped, 49000);
    sb_spool_done(&spool);
}

static void a_full_disk_counts_as_dropped_and_keeps_the_head(void **state)
{
    (void)state;
    struct sb_spool spool;
    struct rlimit old;
    uint64_t skipped = 0;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    const struct rlimit none = {0, old.rlim_max}; /* no file can be opened: the store fails */
    sb_spool_init(&spool, -1, 1 << 20);
    feed(&spool, 1000, 1000);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    feed(&spool, 100000, 50000);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(spool.total, 101000);
    assert_int_equal(sb_spool_kept(&spool), 1000);
    assert_int_equal(read_all(&spool, 0, &skipped), 1000);
    assert_int_equal(skipped, 100000);
    assert_int_equal(spool.broken_errno, EMFILE);
    sb_spool_done(&spool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_everything_up_to_the_limit),
        cmocka_unit_test(small_output_needs_no_descriptor),
        cmocka_unit_test(beyond_the_limit_head_and_tail_stay),
        cmocka_unit_test(one_byte_over_the_limit_drops_one_byte),
        cmocka_unit_test(a_reader_inside_the_gap_starts_at_the_tail),
        cmocka_unit_test(a_reader_who_keeps_up_loses_nothing),
        cmocka_unit_test(reads_nothing_at_the_end),
        cmocka_unit_test(a_single_piece_larger_than_the_ring_keeps_its_end),
        cmocka_unit_test(a_full_disk_counts_as_dropped_and_keeps_the_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
