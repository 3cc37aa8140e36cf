#include "tests/unit/spawner/bpf/check.h"

#include <assert.h>
#include <inttypes.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <seccomp.h>

#include "base/err.h"
#include "service/spawner/bpf/compile.h"
#include "service/spawner/bpf/rules.h"
#include "tests/unit/spawner/bpf/naive.h"
#include "tests/unit/spawner/bpf/reference.h"
#include "tests/unit/spawner/bpf/run.h"

enum { MAX_VALUES = 512, BEYOND = 16, X32 = 0x40000000 };

static const struct machine {
    uint32_t scmp;
    struct sb_bpf_target target;
} machines[] = {
    {SCMP_ARCH_X86_64, {AUDIT_ARCH_X86_64, X32, SECCOMP_RET_KILL_PROCESS}},
    {SCMP_ARCH_AARCH64, {AUDIT_ARCH_AARCH64, 0, SECCOMP_RET_KILL_PROCESS}},
};

struct check {
    const struct sb_bpf_lists *lists;
    struct sb_bpf_lists about; /* those of the rules that are about the call at hand */
    const struct sb_bpf_target *target;
    uint32_t scmp;
    struct reference reference;
    struct sock_fprog programs[2]; /* by whether they ask */
    uint64_t random;
    unsigned n_random;
    bool is_known; /* libseccomp can be told rules about the call at hand */
    bool is_exact; /* libseccomp gets all of it right */
};

static uint64_t next_random(struct check *check)
{
    check->random = check->random * 6364136223846793005ULL + 1442695040888963407ULL;
    uint64_t mixed = check->random ^ (check->random >> 29);
    return mixed * 0xbf58476d1ce4e5b9ULL;
}

static _Noreturn void
fail(const char *what, const struct seccomp_data *data, uint32_t got, uint32_t wanted)
{
    (void)fprintf(stderr, "%s: call %d of %08x (", what, data->nr, data->arch);
    for (size_t i = 0; i < SB_ARGCMP_MAX; i++) {
        (void)fprintf(stderr, "%s%#" PRIx64, i == 0 ? "" : ", ", (uint64_t)data->args[i]);
    }
    (void)fprintf(stderr, ") is %08x, not %08x\n", got, wanted);
    abort();
}

static void check_call(const struct check *check, const struct seccomp_data *data)
{
    const bool is_comparable =
        check->is_exact || (check->is_known && naive_is_clear(&check->about, data));
    for (int asks = 0; asks < 2; asks++) {
        uint32_t got = bpf_run(&check->programs[asks], data);
        uint32_t said = naive_run(&check->about, check->target, asks != 0, data);
        uint32_t reference = reference_run(&check->reference, asks != 0, data);
        if (got != said) {
            fail("the rules", data, got, said);
        }
        if (is_comparable && got != reference) {
            fail("libseccomp", data, got, reference);
        }
    }
}

/* Values at which a comparison may change its mind. */
static void add_values(const struct sb_argcmp *cmp, uint64_t *values, size_t *n)
{
    const uint64_t one = cmp->op == SB_ARGCMP_MASKED_EQ ? cmp->value_two : cmp->value;
    const uint64_t near[] = {
        one,  one - 1,    one + 1,          one ^ (1ULL << 32), one ^ (1ULL << 63),
        ~one, cmp->value, ~cmp->value | one};
    for (size_t i = 0; i < sizeof near / sizeof *near && *n < MAX_VALUES; i++) {
        values[(*n)++] = near[i];
    }
    for (unsigned bit = 0; cmp->op == SB_ARGCMP_MASKED_EQ && bit < 64 && *n < MAX_VALUES; bit++) {
        if ((cmp->value & (1ULL << bit)) != 0) {
            values[(*n)++] = one ^ (1ULL << bit);
        }
    }
}

static size_t values_of(const struct sb_bpf_lists *lists, unsigned arg, uint64_t values[MAX_VALUES])
{
    size_t n = 0;
    values[n++] = 0;
    values[n++] = UINT64_MAX;
    const struct sb_bpf_list *both[] = {&lists->allow, &lists->deny};
    for (size_t i = 0; i < 2 * both[0]->n_rules || i < 2 * both[1]->n_rules; i++) {
        const struct sb_bpf_list *list = both[i % 2];
        const struct sb_bpf_rule *rule = &list->rules[i / 2];
        for (unsigned k = 0; i / 2 < list->n_rules && k < rule->n_args; k++) {
            const struct sb_argcmp *cmp = &list->args[rule->first_arg + k];
            if (cmp->arg == arg) {
                add_values(cmp, values, &n);
            }
        }
    }
    return n;
}

/* A value for which the condition holds, where there is one. */
static uint64_t satisfy(const struct sb_argcmp *cmp)
{
    switch ((enum sb_argcmp_op)cmp->op) {
    case SB_ARGCMP_NE:
    case SB_ARGCMP_GT:
        return cmp->value + 1;
    case SB_ARGCMP_LT:
        return cmp->value - 1;
    case SB_ARGCMP_LE:
    case SB_ARGCMP_EQ:
    case SB_ARGCMP_GE:
        return cmp->value;
    case SB_ARGCMP_MASKED_EQ:
        return cmp->value_two;
    }
    abort();
}

static void pick(const struct sb_bpf_list *all, int number, struct sb_bpf_list *about)
{
    about->n_rules = 0;
    for (size_t i = 0; i < all->n_rules; i++) {
        if (all->rules[i].number == number) {
            about->rules[about->n_rules++] = all->rules[i];
        }
    }
}

static void turn_to(struct check *check, int number)
{
    pick(&check->lists->allow, number, &check->about.allow);
    pick(&check->lists->deny, number, &check->about.deny);
    check->is_known = reference_knows(check->scmp, number);
}

/* As the list, but with room for rules of its own. */
static struct sb_bpf_list copy_of(const struct sb_bpf_list *list)
{
    struct sb_bpf_list copy = *list;
    copy.rules = calloc(list->n_rules + 1, sizeof *copy.rules);
    if (copy.rules == NULL) {
        abort();
    }
    return copy;
}

/* Calls that are just what a rule means, but for one argument. */
static void
check_rule(struct check *check, const struct sb_bpf_list *list, const struct sb_bpf_rule *rule)
{
    uint64_t values[MAX_VALUES];
    struct seccomp_data meant = {.nr = rule->number, .arch = check->target->arch};
    turn_to(check, rule->number);
    for (unsigned i = 0; i < rule->n_args; i++) {
        const struct sb_argcmp *cmp = &list->args[rule->first_arg + i];
        meant.args[cmp->arg] = satisfy(cmp);
    }
    check_call(check, &meant);
    /* Where many rules are about one call, each looks at some of the values. */
    const size_t step = 1 + (check->about.allow.n_rules + check->about.deny.n_rules) / 8;
    for (unsigned arg = 0; arg < SB_ARGCMP_MAX; arg++) {
        size_t n = values_of(&check->about, arg, values);
        for (size_t i = next_random(check) % step; i < n; i += step) {
            struct seccomp_data other = meant;
            other.args[arg] = values[i];
            check_call(check, &other);
        }
    }
}

/* Any combination of what the rules mention, and of what they do not. */
static void check_number(struct check *check, int number)
{
    uint64_t values[SB_ARGCMP_MAX][MAX_VALUES];
    size_t n[SB_ARGCMP_MAX];
    turn_to(check, number);
    for (unsigned arg = 0; arg < SB_ARGCMP_MAX; arg++) {
        n[arg] = values_of(&check->about, arg, values[arg]);
    }
    for (unsigned i = 0; i < check->n_random; i++) {
        struct seccomp_data data = {.nr = number, .arch = check->target->arch};
        for (unsigned arg = 0; arg < SB_ARGCMP_MAX; arg++) {
            uint64_t random = next_random(check);
            data.args[arg] =
                random % 8 == 0 ? next_random(check) : values[arg][(random >> 8) % n[arg]];
        }
        check_call(check, &data);
    }
}

static int greatest_number(const struct sb_bpf_list *list)
{
    int greatest = 0;
    for (size_t i = 0; i < list->n_rules; i++) {
        greatest = list->rules[i].number > greatest ? list->rules[i].number : greatest;
    }
    return greatest;
}

static void check_numbers(struct check *check)
{
    int allow = greatest_number(&check->lists->allow);
    int deny = greatest_number(&check->lists->deny);
    const int greatest = (allow > deny ? allow : deny) + BEYOND;
    static const uint32_t odd[] = {1024,     X32 - 1,        X32,       X32 + 39,
                                   1U << 31, UINT32_MAX - 1, UINT32_MAX};
    static const uint32_t arches[] = {AUDIT_ARCH_I386, AUDIT_ARCH_ARM, 0, UINT32_MAX};
    for (int number = 0; number <= greatest; number++) {
        check_number(check, number);
        for (size_t i = 0; i < sizeof arches / sizeof *arches; i++) {
            const struct seccomp_data data = {.nr = number, .arch = arches[i]};
            check_call(check, &data);
        }
    }
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        check_number(check, (int)odd[i]);
    }
}

static void check_machine(const struct sb_bpf_lists *lists,
                          const struct machine *machine,
                          bool is_exact,
                          unsigned n_random)
{
    struct check check = {
        .lists = lists,
        .about = {copy_of(&lists->allow), copy_of(&lists->deny)},
        .target = &machine->target,
        .scmp = machine->scmp,
        .random = 1,
        .n_random = n_random,
        .is_exact = is_exact,
    };
    struct sb_err err;
    struct sb_bpf_forms forms;
    if (sb_bpf_compile(lists, &machine->target, &forms, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        abort();
    }
    check.programs[0] = forms.plain;
    check.programs[1] = forms.asking;
    reference_make(lists, machine->scmp, &check.reference);
    check_numbers(&check);
    const struct sb_bpf_list *both[] = {&lists->allow, &lists->deny};
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; k < both[i]->n_rules; k++) {
            check_rule(&check, both[i], &both[i]->rules[k]);
        }
    }
    reference_done(&check.reference);
    free(check.about.allow.rules);
    free(check.about.deny.rules);
    sb_bpf_forms_done(&forms);
}

void check_lists(const struct sb_bpf_lists *lists, unsigned n_random)
{
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++) {
        check_machine(lists, &machines[i], false, n_random);
    }
}

void check_native(const struct sb_bpf_lists *lists, unsigned n_random)
{
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++) {
        if (machines[i].scmp == seccomp_arch_native()) {
            check_machine(lists, &machines[i], true, n_random);
        }
    }
}

/* ---- lists from bytes ---- */

struct input {
    const uint8_t *at;
    size_t left;
};

static uint8_t take(struct input *input)
{
    if (input->left == 0) {
        return 0;
    }
    input->left--;
    return *input->at++;
}

/* Mostly values of which there are few, so that rules meet. */
static uint64_t take_value(struct input *input)
{
    const uint8_t byte = take(input);
    uint64_t value = 0;
    switch (byte >> 6) {
    case 0:
        return byte % 4;
    case 1:
        return 1ULL << (byte & 63);
    case 2:
        return (uint64_t)(byte & 7) << 32 | (byte >> 3 & 3);
    default:
        for (unsigned i = 0; i <= (byte & 7U); i++) {
            value = value << 8 | take(input);
        }
        return value;
    }
}

static struct sb_argcmp take_condition(struct input *input, uint8_t arg)
{
    struct sb_argcmp cmp = {.arg = arg, .op = take(input) % (SB_ARGCMP_MASKED_EQ + 1)};
    cmp.value = take_value(input);
    if (cmp.op == SB_ARGCMP_MASKED_EQ) {
        cmp.value = take(input) % 2 == 0 ? cmp.value | take_value(input) : cmp.value;
        cmp.value_two = take_value(input) & cmp.value;
    }
    return cmp;
}

static void take_rule(struct input *input, struct sb_bpf_lists *lists)
{
    static const uint32_t actions[] = {
        SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_TRAP,  SECCOMP_RET_ERRNO | 1,
        SECCOMP_RET_ERRNO | 38,   SECCOMP_RET_LOG,         SECCOMP_RET_ALLOW, SECCOMP_RET_TRACE | 5,
    };
    enum { N_ACTIONS = sizeof actions / sizeof *actions };
    struct sb_argcmp args[SB_ARGCMP_MAX];
    unsigned n_args = 0;
    struct sb_err err;
    const uint8_t head = take(input);
    const uint8_t which = take(input);
    const uint8_t used = take(input);
    const int number = which % 4 == 0 ? take(input) * 3 : which >> 2 & 7;
    const uint32_t action = actions[head >> 1 & 7];
    for (uint8_t arg = 0; arg < SB_ARGCMP_MAX; arg++) {
        if ((used & (1U << arg)) != 0) {
            args[n_args++] = take_condition(input, arg);
        }
    }
    const bool is_mark = (action & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_TRACE;
    const bool is_deny = is_mark || ((head & 1) != 0 && action != SECCOMP_RET_ALLOW);
    static_assert(N_ACTIONS == 8, "three bits");
    if (sb_bpf_list_add(is_deny ? &lists->deny : &lists->allow, action, number, n_args, args,
                        &err) < 0) {
        abort();
    }
}

void check_bytes(const uint8_t *data, size_t size)
{
    static const uint32_t defaults[] = {SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO | 38,
                                        SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_LOG};
    enum { MAX_RULES = 64 };
    struct input input = {data, size};
    struct sb_bpf_lists lists = {.allow = {.default_action = defaults[take(&input) % 4]},
                                 .deny = {.default_action = SECCOMP_RET_ALLOW}};
    for (unsigned i = 0; i < MAX_RULES && input.left > 0; i++) {
        take_rule(&input, &lists);
    }
    check_lists(&lists, 8);
    sb_bpf_lists_done(&lists);
}
