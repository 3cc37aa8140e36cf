#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "service/egress/scrub.h"

static struct sb_scrub scrub;

static int set_up(void **state)
{
    (void)state;
    scrub = (struct sb_scrub){0};
    (void)sb_scrub_add(&scrub, SB_STR("secret-1"), SB_STR("PLACEHOLDER"));
    (void)sb_scrub_add(&scrub, SB_STR("secret-12345"), SB_STR("Q"));
    (void)sb_scrub_add(&scrub, SB_STR("ababac"), SB_STR("######"));
    return 0;
}

static void check(const char *in, bool is_end, size_t wanted_n, const char *wanted)
{
    char bytes[128];
    size_t len = strlen(in);
    memcpy(bytes, in, len + 1);
    assert_int_equal(sb_scrub_pass(&scrub, bytes, len, is_end), wanted_n);
    assert_string_equal(bytes, wanted);
}

static void writes_over_byte_for_byte(void **state)
{
    (void)state;
    check("a secret-1.", true, 11, "a PLACEHOL.");
    check("secret-1secret-1", true, 16, "PLACEHOLPLACEHOL");
    check("nothing here", true, 12, "nothing here");
    check("", true, 0, "");
}

static void the_longest_of_several_wins(void **state)
{
    (void)state;
    check("secret-12345", false, 12, "Qxxxxxxxxxxx");
    check("secret-1234", true, 11, "PLACEHOL234");
}

static void a_match_may_begin_within_a_failed_one(void **state)
{
    (void)state;
    check("abababac", false, 8, "ab######");
}

static void what_may_go_on_is_held_back(void **state)
{
    (void)state;
    check("text secret", false, 5, "text secret");
    check("text secret", true, 11, "text secret");
    check("secret-1", false, 0, "secret-1"); /* perhaps the longer one */
    check("secret-12 is out", false, 16, "PLACEHOL2 is out");
    check("abab", false, 0, "abab");
    check("ababab", false, 2, "ababab");
}

static void every_way_of_cutting_gives_the_same(void **state)
{
    (void)state;
    static const char in[] = "secret-1 ababac secret-12345 abababac secret-123secret-1";
    static const char out[] = "PLACEHOL ###### Qxxxxxxxxxxx ab###### PLACEHOL23PLACEHOL";
    size_t len = sizeof in - 1;
    for (size_t step = 1; step <= len; step++) {
        char held[sizeof in];
        size_t n = 0;    /* held */
        size_t done = 0; /* passed on */
        for (size_t at = 0; at < len;) {
            size_t more = step < len - at ? step : len - at;
            memcpy(held + n, in + at, more);
            n += more;
            at += more;
            size_t clean = sb_scrub_pass(&scrub, held, n, at == len);
            assert_memory_equal(held, out + done, clean);
            done += clean;
            n -= clean;
            memmove(held, held + clean, n);
        }
        assert_int_equal(done, len);
    }
}

static void has_a_bound(void **state)
{
    (void)state;
    while (scrub.n < SB_SCRUB_PAIRS) {
        assert_true(sb_scrub_add(&scrub, SB_STR("x"), SB_STR("y")));
    }
    assert_false(sb_scrub_add(&scrub, SB_STR("x"), SB_STR("y")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(writes_over_byte_for_byte, set_up),
        cmocka_unit_test_setup(the_longest_of_several_wins, set_up),
        cmocka_unit_test_setup(a_match_may_begin_within_a_failed_one, set_up),
        cmocka_unit_test_setup(what_may_go_on_is_held_back, set_up),
        cmocka_unit_test_setup(every_way_of_cutting_gives_the_same, set_up),
        cmocka_unit_test_setup(has_a_bound, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
