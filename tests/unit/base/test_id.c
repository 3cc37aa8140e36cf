#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/id.h"

ssize_t __real_getrandom(void *data, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *data, size_t len, unsigned flags);

/* What getrandom does next: 0 the real thing, an errno value, or a byte to fill with. */
static int fail_with;
static const char *fill;

ssize_t __wrap_getrandom(void *data, size_t len, unsigned flags)
{
    if (fail_with != 0) {
        errno = fail_with;
        fail_with = fail_with == EINTR ? 0 : fail_with;
        return -1;
    }
    if (fill != NULL) {
        memset(data, *fill, len);
        return (ssize_t)len;
    }
    return __real_getrandom(data, len, flags);
}

static int reset(void **state)
{
    (void)state;
    fail_with = 0;
    fill = NULL;
    return 0;
}

static void ids_are_valid_and_differ(void **state)
{
    (void)state;
    char a[SB_ID_SIZE];
    char b[SB_ID_SIZE];
    struct sb_err err;
    assert_int_equal(sb_id_make(a, "sb_", &err), 0);
    assert_int_equal(sb_id_make(b, "sb_", &err), 0);
    assert_int_equal(strlen(a), 29);
    assert_string_not_equal(a, b);
    assert_true(sb_id_valid(sb_str_from(a), "sb_"));
    assert_false(sb_id_valid(sb_str_from(a), "ex_"));
}

static void kin_begin_alike_and_differ(void **state)
{
    (void)state;
    char kin[SB_ID_SIZE];
    char a[SB_ID_SIZE];
    char b[SB_ID_SIZE];
    struct sb_err err;
    assert_int_equal(sb_id_make(kin, "wk_", &err), 0);
    assert_int_equal(sb_id_make_kin(a, "sb_", kin, &err), 0);
    assert_int_equal(sb_id_make_kin(b, "ex_", kin, &err), 0);
    assert_memory_equal(a + 3, kin + 3, SB_ID_TAG);
    assert_memory_equal(b + 3, kin + 3, SB_ID_TAG);
    assert_string_not_equal(a + 3, b + 3);
    assert_true(sb_id_valid(sb_str_from(a), "sb_"));
    assert_true(sb_str_eq(sb_id_tag(sb_str_from(a), "sb_"), sb_id_tag(sb_str_from(kin), "wk_")));
    assert_int_equal(sb_id_tag(sb_str_from(a), "ex_").len, 0);
    assert_int_equal(sb_id_tag(SB_STR("sb_short"), "sb_").len, 0);
}

static void bits_become_rfc_4648_base32(void **state)
{
    (void)state;
    char id[SB_ID_SIZE];
    struct sb_err err;
    fill = "\xff";
    assert_int_equal(sb_id_make(id, "12345", &err), 0);
    assert_string_equal(id, "1234577777777777777777777777774");
    fill = "f"; /* base32 of sixteen times "f", by coreutils */
    assert_int_equal(sb_id_make(id, "", &err), 0);
    assert_string_equal(id, "mztgmztgmztgmztgmztgmztgmy");
    assert_true(sb_id_valid(sb_str_from(id), ""));
}

static void an_interrupted_call_is_made_again(void **state)
{
    (void)state;
    char id[SB_ID_SIZE];
    struct sb_err err;
    fail_with = EINTR;
    assert_int_equal(sb_id_make(id, "sb_", &err), 0);
}

static void without_randomness_there_is_no_id(void **state)
{
    (void)state;
    char id[SB_ID_SIZE];
    struct sb_err err;
    fail_with = ENOSYS;
    assert_int_equal(sb_id_make(id, "sb_", &err), -1);
    assert_int_equal(err.sys, ENOSYS);
}

static void other_text_is_no_id(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "sb_",
        "sb_aaaaaaaaaaaaaaaaaaaaaaaaa",   /* 25 */
        "sb_aaaaaaaaaaaaaaaaaaaaaaaaaaa", /* 27 */
        "sb_aaaaaaaaaaaaaaaaaaaaaaaaab",  /* bits beyond the 128th */
        "sb_Aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "sb_1aaaaaaaaaaaaaaaaaaaaaaaaa",
        "sb_../aaaaaaaaaaaaaaaaaaaaaaa",
        "SB_aaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_false(sb_id_valid(sb_str_from(texts[i]), "sb_"));
    }
    assert_false(sb_id_valid(SB_STR("sb_aaaaaaaaaaaaaaaaaaaaaaaaa\0"), "sb_"));
    assert_true(sb_id_valid(SB_STR("sb_aaaaaaaaaaaaaaaaaaaaaaaaaa"), "sb_"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_valid_and_differ),
        cmocka_unit_test(kin_begin_alike_and_differ),
        cmocka_unit_test_teardown(bits_become_rfc_4648_base32, reset),
        cmocka_unit_test_teardown(an_interrupted_call_is_made_again, reset),
        cmocka_unit_test_teardown(without_randomness_there_is_no_id, reset),
        cmocka_unit_test(other_text_is_no_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
