#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"

/* Expected values: Rust's core::hash::SipHasher13 tests, key and data 00 01 02 ... */
static void matches_the_known_vectors_of_siphash_1_3(void **state)
{
    (void)state;
    static const uint64_t expected[] = {
        0xabac0158050fc4dcU, 0xc9f49bf37d57ca93U, 0x82cb9b024dc7d44dU, 0x8bf80ab8e7ddf7fbU,
        0xcf75576088d38328U, 0xdef9d52f49533b67U, 0xc50d2b50c59f22a7U, 0xd3927d989bb11140U,
        0x369095118d299a8eU, 0x25a48eb36c063de4U,
    };
    struct sb_hash_key key = {0x0706050403020100U, 0x0f0e0d0c0b0a0908U};
    uint8_t data[16];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)i;
    }
    for (size_t len = 0; len < sizeof expected / sizeof expected[0]; len++) {
        assert_true(sb_hash_sip13(key, data, len) == expected[len]);
    }
    assert_true(sb_hash_sip13(key, NULL, 0) == expected[0]);
}

static void random_keys_differ(void **state)
{
    (void)state;
    struct sb_hash_key a = sb_hash_key_random();
    struct sb_hash_key b = sb_hash_key_random();
    assert_true(a.k0 != b.k0 || a.k1 != b.k1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_the_known_vectors_of_siphash_1_3),
        cmocka_unit_test(random_keys_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
