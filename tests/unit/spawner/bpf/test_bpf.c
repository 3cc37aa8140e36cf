/** Our programs against the rules they are made of, and against libseccomp's. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <seccomp.h>

#include "base/err.h"
#include "service/shared/floor.h"
#include "service/spawner/bpf/compile.h"
#include "service/spawner/bpf/rules.h"
#include "service/spawner/filter_rules.h"
#include "tests/unit/spawner/bpf/check.h"
#include "tests/unit/spawner/bpf/reference.h"
#include "tests/unit/spawner/bpf/run.h"
#include "tests/unit/spawner/bpf/shipped.h"

static struct sb_bpf_lists lists_of(const Spawn__V1__LoadFilter *message)
{
    struct sb_bpf_lists lists;
    struct sb_err err;
    if (sb_filter_rules(message, &lists, &err) < 0) {
        fail_msg("%s", err.text);
    }
    return lists;
}

static struct sock_fprog compile(const struct sb_bpf_lists *lists)
{
    struct sb_bpf_forms forms = {{0}, {0}};
    struct sb_err err;
    if (sb_bpf_compile(lists, &sb_bpf_native, &forms, &err) < 0) {
        fail_msg("%s", err.text);
    }
    free(forms.asking.filter);
    return forms.plain;
}

static void calls_have_the_numbers_that_libseccomp_knows(void **state)
{
    (void)state;
    size_t n = 0;
    for (int number = 0; number < 600; number++) {
        char *name = seccomp_syscall_resolve_num_arch(seccomp_arch_native(), number);
        if (name != NULL) {
            char *ours = sb_floor_name(number);
            assert_int_equal(sb_floor_resolve(name), number);
            assert_string_equal(ours, name);
            free(ours);
            n++;
        }
        free(name);
    }
    assert_true(n > 250);
    assert_int_equal(sb_floor_resolve("no_such_call"), -1);
    assert_int_equal(sb_floor_resolve(""), -1);
}

static void shipped_filters_say_what_libseccomp_says(void **state)
{
    (void)state;
    struct shipped filters[SHIPPED_MAX];
    size_t n = shipped_read(filters);
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++) {
        struct sb_bpf_lists lists = lists_of(filters[i].message);
        check_native(&lists, 16);
        sb_bpf_lists_done(&lists);
    }
}

static void shipped_filters_are_a_quarter_of_libseccomps(void **state)
{
    (void)state;
    struct shipped filters[SHIPPED_MAX];
    size_t n = shipped_read(filters);
    for (size_t i = 0; i < n; i++) {
        struct sb_bpf_lists lists = lists_of(filters[i].message);
        struct sock_fprog program = compile(&lists);
        struct reference reference;
        reference_make(&lists, sb_bpf_native.arch, &reference);
        unsigned both = reference.allow.len + reference.deny.len;
        print_message("%s: %u instructions, libseccomp %u\n", filters[i].profile, program.len,
                      both);
        assert_true(program.len * 4U < both);
        reference_done(&reference);
        free(program.filter);
        sb_bpf_lists_done(&lists);
    }
}

static void calls_without_conditions_pass_without_the_program(void **state)
{
    (void)state;
    struct shipped filters[SHIPPED_MAX];
    size_t n = shipped_read(filters);
    for (size_t i = 0; i < n; i++) {
        struct sb_bpf_lists lists = lists_of(filters[i].message);
        struct sock_fprog program = compile(&lists);
        struct reference reference;
        reference_make(&lists, sb_bpf_native.arch, &reference);
        for (int number = 0; number < 512; number++) {
            const struct seccomp_data data = {.nr = number, .arch = sb_bpf_native.arch};
            bool wanted =
                bpf_is_constant(&reference.allow, &data) && bpf_is_constant(&reference.deny, &data);
            if (wanted != bpf_is_constant(&program, &data)) {
                fail_msg("%s: call %d", filters[i].profile, number);
            }
        }
        reference_done(&reference);
        free(program.filter);
        sb_bpf_lists_done(&lists);
    }
}

static void any_rules_are_obeyed(void **state)
{
    (void)state;
    uint64_t random = 20;
    for (unsigned round = 0; round < 160; round++) {
        uint8_t bytes[700];
        size_t size = 20 + round * sizeof bytes / 170;
        for (size_t i = 0; i < size; i++) {
            random = random * 6364136223846793005ULL + 1442695040888963407ULL;
            bytes[i] = (uint8_t)(random >> 56);
        }
        check_bytes(bytes, size);
    }
}

/* What is far away takes a jump in between. */
static void long_programs_find_their_way(void **state)
{
    (void)state;
    struct sb_bpf_lists lists = {.allow = {.default_action = SECCOMP_RET_ERRNO | ENOSYS},
                                 .deny = {.default_action = SECCOMP_RET_ALLOW}};
    struct sb_err err;
    for (int number = 0; number < 300; number += 5) {
        for (uint64_t i = 0; i < 6; i++) {
            const struct sb_argcmp args[] = {
                {(uint8_t)i, SB_ARGCMP_EQ, (uint64_t)number * 100000000007 + i, 0},
                {(uint8_t)((i + 1) % 6), SB_ARGCMP_LT, i << 30, 0}};
            assert_int_equal(
                sb_bpf_list_add(&lists.allow, SECCOMP_RET_ALLOW, number, 2, args, &err), 0);
        }
    }
    struct sock_fprog program = compile(&lists);
    assert_true(program.len > 2000);
    free(program.filter);
    check_lists(&lists, 8);
    sb_bpf_lists_done(&lists);
}

static void many_rules_about_one_call_are_obeyed(void **state)
{
    (void)state;
    struct sb_bpf_lists lists = {.allow = {.default_action = SECCOMP_RET_ERRNO | ENOSYS},
                                 .deny = {.default_action = SECCOMP_RET_ALLOW}};
    struct sb_err err;
    for (uint64_t i = 0; i < 400; i++) {
        const struct sb_argcmp arg = {0, SB_ARGCMP_EQ, i * i << 28, 0};
        assert_int_equal(sb_bpf_list_add(&lists.allow, SECCOMP_RET_ALLOW, 7, 1, &arg, &err), 0);
    }
    check_lists(&lists, 300);
    sb_bpf_lists_done(&lists);
}

/* Bits of two arguments, each of one with some of the other: what follows from what is more than
 * anybody wants to know. */
static void rules_that_do_not_simplify_are_obeyed(void **state)
{
    (void)state;
    struct sb_bpf_lists lists = {.allow = {.default_action = SECCOMP_RET_ERRNO | ENOSYS},
                                 .deny = {.default_action = SECCOMP_RET_ALLOW}};
    struct sb_err err;
    for (unsigned i = 0; i < 180; i++) {
        const uint64_t bits[] = {1ULL << (i * 7 % 31), 1ULL << (i * 11 % 29)};
        const struct sb_argcmp args[] = {{0, SB_ARGCMP_MASKED_EQ, bits[0], i % 3 ? bits[0] : 0},
                                         {1, SB_ARGCMP_MASKED_EQ, bits[1], i % 5 ? bits[1] : 0}};
        assert_int_equal(
            sb_bpf_list_add(&lists.deny, SECCOMP_RET_ERRNO | (i + 1), 7, 2, args, &err), 0);
    }
    check_lists(&lists, 100);
    sb_bpf_lists_done(&lists);
}

static void too_long_a_program_is_refused(void **state)
{
    (void)state;
    struct sb_bpf_lists lists = {.allow = {.default_action = SECCOMP_RET_ERRNO | ENOSYS},
                                 .deny = {.default_action = SECCOMP_RET_ALLOW}};
    struct sb_bpf_forms forms;
    struct sb_err err;
    for (uint64_t i = 0; i < 3000; i++) {
        const struct sb_argcmp arg = {0, SB_ARGCMP_EQ, i * i << 20, 0};
        assert_int_equal(sb_bpf_list_add(&lists.allow, SECCOMP_RET_ALLOW, 7, 1, &arg, &err), 0);
    }
    assert_int_equal(sb_bpf_compile(&lists, &sb_bpf_native, &forms, &err), -1);
    assert_int_equal(err.code, SB_INVALID);
    assert_non_null(strstr(err.text, "instructions"));
    sb_bpf_lists_done(&lists);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_have_the_numbers_that_libseccomp_knows),
        cmocka_unit_test(shipped_filters_say_what_libseccomp_says),
        cmocka_unit_test(shipped_filters_are_a_quarter_of_libseccomps),
        cmocka_unit_test(calls_without_conditions_pass_without_the_program),
        cmocka_unit_test(any_rules_are_obeyed),
        cmocka_unit_test(long_programs_find_their_way),
        cmocka_unit_test(many_rules_about_one_call_are_obeyed),
        cmocka_unit_test(rules_that_do_not_simplify_are_obeyed),
        cmocka_unit_test(too_long_a_program_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
