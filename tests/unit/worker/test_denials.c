#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "service/worker/denials.h"

static struct sb_denial refusal(const char *name, int key_arg, uint64_t value)
{
    struct sb_denial denial = {.name = name, .error = EPERM, .key_arg = key_arg};
    if (key_arg >= 0) {
        denial.args[key_arg] = value;
    }
    return denial;
}

static uint64_t total_of(const struct sb_denials *denials)
{
    uint64_t total = denials->n_more;
    for (size_t i = 0; i < denials->n; i++) {
        total += denials->items[i].count;
    }
    return total;
}

static void calls_of_one_kind_share_a_row(void **state)
{
    (void)state;
    struct sb_denials denials = {0};
    struct sb_denial mount = refusal("mount", -1, 0);
    struct sb_denial again = refusal("mount", -1, 0);
    (void)strcpy(mount.comm, "first");
    (void)strcpy(again.comm, "second");
    again.args[0] = 7;
    assert_true(sb_denials_add(&denials, &mount));
    assert_false(sb_denials_add(&denials, &again));
    assert_int_equal(denials.n, 1);
    assert_int_equal(denials.items[0].count, 2);
    assert_string_equal(denials.items[0].comm, "first");
    sb_denials_done(&denials);
}

static void what_was_wanted_tells_kinds_apart(void **state)
{
    (void)state;
    struct sb_denials denials = {0};
    const struct sb_denial rows[] = {
        refusal("socket", 0, AF_ALG), refusal("socket", 0, AF_VSOCK),
        refusal("socket", 0, (1ULL << 32) | AF_ALG), /* the kernel reads an int */
    };
    assert_true(sb_denials_add(&denials, &rows[0]));
    assert_true(sb_denials_add(&denials, &rows[1]));
    assert_false(sb_denials_add(&denials, &rows[2]));
    assert_int_equal(denials.n, 2);
    assert_int_equal(total_of(&denials), 3);
    sb_denials_done(&denials);
}

static void the_table_is_bounded_and_the_count_is_not(void **state)
{
    (void)state;
    struct sb_denials denials = {0};
    for (uint64_t i = 0; i < 1000; i++) {
        const struct sb_denial denial = refusal("ioctl", 1, i);
        assert_int_equal(sb_denials_add(&denials, &denial), i < SB_DENIALS_MAX);
    }
    assert_int_equal(denials.n, SB_DENIALS_MAX);
    assert_int_equal(denials.n_more, 1000 - SB_DENIALS_MAX);
    assert_int_equal(total_of(&denials), 1000);
    for (uint64_t i = 0; i < SB_DENIALS_MAX; i++) {
        assert_int_equal(denials.items[i].args[1], i);
    }
    sb_denials_done(&denials);
}

static void the_description_names_what_was_wanted_and_is_one_safe_line(void **state)
{
    (void)state;
    char text[SB_DENIAL_TEXT_SIZE];
    struct sb_denial denial = refusal("socket", 0, AF_ALG);
    denial.error = EAFNOSUPPORT;
    denial.pid = 2;
    (void)strcpy(denial.comm, "a\n\x1b[1mb\xff");
    (void)sb_denials_describe(&denial, text);
    assert_non_null(strstr(text, "AF_ALG; EAFNOSUPPORT; first by a"));
    assert_non_null(strstr(text, "(pid 2), arguments 0x26, 0, 0"));
    for (const char *at = text; *at != '\0'; at++) {
        assert_true((unsigned char)*at >= ' ' && *at != 0x7f);
    }
    denial = refusal("clone", 0, 0x10000011);
    assert_non_null(strstr(sb_denials_describe(&denial, text), "CLONE_NEWUSER; EPERM"));
    denial = refusal("mount", -1, 0);
    assert_true(strncmp(sb_denials_describe(&denial, text), "EPERM; first by a process", 25) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_of_one_kind_share_a_row),
        cmocka_unit_test(what_was_wanted_tells_kinds_apart),
        cmocka_unit_test(the_table_is_bounded_and_the_count_is_not),
        cmocka_unit_test(the_description_names_what_was_wanted_and_is_one_safe_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
