#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/utf8.h"

static void set_fills_code_and_text_and_returns_minus_one(void **state)
{
    (void)state;
    struct sb_err err = {.sys = 7};
    assert_int_equal(sb_err_set(&err, SB_EXISTS, "sandbox %s", "x"), -1);
    assert_int_equal(err.code, SB_EXISTS);
    assert_int_equal(err.sys, 0);
    assert_string_equal(err.text, "sandbox x");
}

static void errno_chooses_the_code(void **state)
{
    (void)state;
    static const struct {
        int sys;
        enum sb_code code;
    } rows[] = {
        {0, SB_OK},
        {ENOENT, SB_NOT_FOUND},
        {EACCES, SB_DENIED},
        {EPERM, SB_DENIED},
        {EEXIST, SB_EXISTS},
        {ENOMEM, SB_EXHAUSTED},
        {EMFILE, SB_EXHAUSTED},
        {EAGAIN, SB_EXHAUSTED},
        {EINVAL, SB_INVALID},
        {EPIPE, SB_UNAVAILABLE},
        {ETIMEDOUT, SB_DEADLINE},
        {ENOSYS, SB_UNIMPLEMENTED},
        {EBADF, SB_INTERNAL},
        {99999, SB_INTERNAL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(sb_err_code_of(rows[i].sys), rows[i].code);
    }
}

static void sys_appends_the_description(void **state)
{
    (void)state;
    struct sb_err err;
    assert_int_equal(sb_err_sys(&err, ENOENT, "open %s", "/x"), -1);
    assert_int_equal(err.code, SB_NOT_FOUND);
    assert_int_equal(err.sys, ENOENT);
    assert_string_equal(err.text, "open /x: No such file or directory");
    (void)sb_err_sys(&err, 99999, "poke");
    assert_string_equal(err.text, "poke: error 99999");
}

static void wrap_puts_context_in_front_and_keeps_code(void **state)
{
    (void)state;
    struct sb_err err;
    (void)sb_err_sys(&err, EACCES, "open x");
    assert_int_equal(sb_err_wrap(&err, "profile %d", 3), -1);
    assert_string_equal(err.text, "profile 3: open x: Permission denied");
    assert_int_equal(err.code, SB_DENIED);
    assert_int_equal(err.sys, EACCES);
}

static void long_text_is_cut_and_terminated(void **state)
{
    (void)state;
    char big[2 * SB_ERR_TEXT_SIZE];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    struct sb_err err;
    (void)sb_err_set(&err, SB_INTERNAL, "%s", big);
    assert_int_equal(strlen(err.text), SB_ERR_TEXT_SIZE - 1);
    (void)sb_err_sys(&err, ENOENT, "%s", big);
    assert_non_null(strstr(err.text, ": No such file or directory"));
    for (int i = 0; i < 10; i++) {
        (void)sb_err_wrap(&err, "%s", big);
        assert_true(strlen(err.text) < SB_ERR_TEXT_SIZE);
    }
    assert_non_null(strstr(err.text, "x: x"));
}

static void arguments_may_be_the_text_itself(void **state)
{
    (void)state;
    struct sb_err err;
    (void)sb_err_set(&err, SB_INTERNAL, "inner");
    (void)sb_err_set(&err, SB_UNKNOWN, "outer(%s)", err.text);
    assert_string_equal(err.text, "outer(inner)");
    (void)sb_err_wrap(&err, "%s", err.text);
    assert_string_equal(err.text, "outer(inner): outer(inner)");
}

static void strangers_cannot_put_controls_or_bad_utf8_into_the_text(void **state)
{
    (void)state;
    struct sb_err err;
    (void)sb_err_set(&err, SB_INVALID, "no \"%s\"", "a\nb\x1b[2J\xff");
    assert_null(strpbrk(err.text, "\n\x1b"));
    assert_true(sb_utf8_valid(err.text, strlen(err.text)));
}

static void text_is_cut_between_characters(void **state)
{
    (void)state;
    char euros[SB_ERR_TEXT_SIZE * 2 + 1] = "x";
    for (size_t i = 1; i + 3 < sizeof euros; i += 3) {
        memcpy(euros + i, "\u20ac", 4);
    }
    struct sb_err err;
    for (size_t skip = 0; skip < 2; skip++) {
        (void)sb_err_set(&err, SB_INVALID, "%s", euros + skip);
        assert_true(sb_utf8_valid(err.text, strlen(err.text)));
    }
}

static void oom_and_clear(void **state)
{
    (void)state;
    struct sb_err err;
    assert_int_equal(sb_err_oom(&err), -1);
    assert_int_equal(err.code, SB_EXHAUSTED);
    assert_int_equal(err.sys, ENOMEM);
    sb_err_clear(&err);
    assert_int_equal(err.code, SB_OK);
    assert_int_equal(err.sys, 0);
    assert_string_equal(err.text, "");
}

static void every_code_has_the_name_grpc_gives_it(void **state)
{
    (void)state;
    for (int code = 0; code <= 16; code++) {
        assert_non_null(sb_code_name((enum sb_code)code));
    }
    assert_string_equal(sb_code_name(SB_NOT_FOUND), "NOT_FOUND");
    assert_string_equal(sb_code_name(SB_INVALID), "INVALID_ARGUMENT");
    assert_string_equal(sb_code_name(SB_UNAUTHENTICATED), "UNAUTHENTICATED");
    assert_string_equal(sb_code_name((enum sb_code)17), "UNKNOWN");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_fills_code_and_text_and_returns_minus_one),
        cmocka_unit_test(errno_chooses_the_code),
        cmocka_unit_test(sys_appends_the_description),
        cmocka_unit_test(wrap_puts_context_in_front_and_keeps_code),
        cmocka_unit_test(long_text_is_cut_and_terminated),
        cmocka_unit_test(arguments_may_be_the_text_itself),
        cmocka_unit_test(strangers_cannot_put_controls_or_bad_utf8_into_the_text),
        cmocka_unit_test(text_is_cut_between_characters),
        cmocka_unit_test(oom_and_clear),
        cmocka_unit_test(every_code_has_the_name_grpc_gives_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
