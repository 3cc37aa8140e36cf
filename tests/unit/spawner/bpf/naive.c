#include "tests/unit/spawner/bpf/naive.h"

#include <linux/seccomp.h>
#include <stdlib.h>

#include "service/spawner/bpf/compile.h"
#include "service/spawner/bpf/rules.h"

static bool holds(const struct sb_argcmp *cmp, uint64_t arg)
{
    switch ((enum sb_argcmp_op)cmp->op) {
    case SB_ARGCMP_NE:
        return arg != cmp->value;
    case SB_ARGCMP_LT:
        return arg < cmp->value;
    case SB_ARGCMP_LE:
        return arg <= cmp->value;
    case SB_ARGCMP_EQ:
        return arg == cmp->value;
    case SB_ARGCMP_GE:
        return arg >= cmp->value;
    case SB_ARGCMP_GT:
        return arg > cmp->value;
    case SB_ARGCMP_MASKED_EQ:
        return (arg & cmp->value) == cmp->value_two;
    }
    abort();
}

static bool is_meant(const struct sb_bpf_list *list,
                     const struct sb_bpf_rule *rule,
                     const struct seccomp_data *data)
{
    bool is_meant = rule->number == data->nr;
    for (unsigned i = 0; i < rule->n_args; i++) {
        const struct sb_argcmp *cmp = &list->args[rule->first_arg + i];
        is_meant = is_meant && holds(cmp, data->args[cmp->arg]);
    }
    return is_meant;
}

/* True when @one counts and not the rule before it. */
static bool wins(const struct sb_bpf_rule *one, const struct sb_bpf_rule *before)
{
    const int32_t severity = sb_bpf_severity(one->action);
    const int32_t severity_before = sb_bpf_severity(before->action);
    return severity < severity_before ||
           (severity == severity_before && one->n_args == 0 && before->n_args > 0);
}

static uint32_t
read_list(const struct sb_bpf_list *list, bool asks, const struct seccomp_data *data)
{
    const struct sb_bpf_rule *counts = NULL;
    for (size_t i = 0; i < list->n_rules; i++) {
        const struct sb_bpf_rule *rule = &list->rules[i];
        if (is_meant(list, rule, data) && (counts == NULL || wins(rule, counts))) {
            counts = rule;
        }
    }
    return sb_bpf_resolve(counts != NULL ? counts->action : list->default_action, asks);
}

uint32_t naive_run(const struct sb_bpf_lists *lists,
                   const struct sb_bpf_target *target,
                   bool asks,
                   const struct seccomp_data *data)
{
    const uint32_t number = (uint32_t)data->nr;
    if (data->arch != target->arch ||
        (target->foreign != 0 && number >= target->foreign && number != UINT32_MAX)) {
        return target->on_foreign;
    }
    return sb_bpf_more_severe(read_list(&lists->allow, asks, data),
                              read_list(&lists->deny, asks, data));
}

/* libseccomp drops rules beside one without conditions, keeps either of two for the same arguments,
 * and where one of several conditions does not hold, does not always come to the next rule. */
static bool is_clear(const struct sb_bpf_list *list, const struct seccomp_data *data)
{
    const struct sb_bpf_rule *first = NULL;
    const struct sb_bpf_rule *meant = NULL;
    bool is_clear = true;
    for (size_t i = 0; i < list->n_rules; i++) {
        const struct sb_bpf_rule *rule = &list->rules[i];
        if (rule->number != data->nr) {
            continue;
        }
        bool is_simple = first == NULL || (first->n_args == 1 && rule->n_args == 1) ||
                         (first->action == rule->action && first->n_args + rule->n_args <= 1);
        is_clear = is_clear && is_simple;
        first = first == NULL ? rule : first;
        if (is_meant(list, rule, data)) {
            is_clear = is_clear && (meant == NULL || meant->action == rule->action);
            meant = rule;
        }
    }
    return is_clear;
}

bool naive_is_clear(const struct sb_bpf_lists *lists, const struct seccomp_data *data)
{
    return is_clear(&lists->allow, data) && is_clear(&lists->deny, data);
}
