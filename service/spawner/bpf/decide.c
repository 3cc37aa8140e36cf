/* The rules about one call become a decision on its arguments. It is made from its end: each rule
 * is put before what would be asked without it. */
#include "service/spawner/bpf/decide.h"

#include "service/spawner/bpf/flatten.h"
#include "service/spawner/bpf/graph.h"
#include "service/spawner/bpf/rules.h"

/* The words of struct seccomp_data where the arguments begin; machines here are little-endian. */
enum { FIRST_ARG = 4, WORDS_OF_ARG = 2, HIGH = 1 /* behind the low one */ };

/* More rules than that about one call are asked one after the other, as they are: to look for what
 * follows from what takes time by the square. */
enum { MAX_SIMPLIFIED = 192 };

/* Both ends of a question. */
struct ends {
    uint32_t yes;
    uint32_t no;
};

static uint32_t
ask(struct sb_bpf_graph *graph, enum sb_bpf_kind kind, unsigned word, uint32_t k, struct ends ends)
{
    const struct sb_bpf_test test = {.kind = (uint8_t)kind, .word = (uint8_t)word, .k = k};
    return sb_bpf_branch(graph, test, ends.yes, ends.no);
}

static uint32_t
ask_equal(struct sb_bpf_graph *graph, unsigned low, uint64_t value, struct ends ends)
{
    ends.yes = ask(graph, SB_BPF_EQ, low, (uint32_t)value, ends);
    return ask(graph, SB_BPF_EQ, low + HIGH, (uint32_t)(value >> 32), ends);
}

static uint32_t
ask_above(struct sb_bpf_graph *graph, unsigned low, uint64_t value, struct ends ends)
{
    const uint32_t high = (uint32_t)(value >> 32);
    const struct ends equal = {ask(graph, SB_BPF_GT, low, (uint32_t)value, ends), ends.no};
    ends.no = ask(graph, SB_BPF_EQ, low + HIGH, high, equal);
    return ask(graph, SB_BPF_GT, low + HIGH, high, ends);
}

/* Two bits are two questions: those of other rules are about single bits, too, and what is asked
 * twice can be left out then. */
static uint32_t
ask_mask(struct sb_bpf_graph *graph, unsigned word, uint32_t mask, uint32_t is, struct ends ends)
{
    const uint32_t bit = mask & -mask;
    const uint32_t rest = mask & ~bit;
    if (bit != 0 && rest != 0 && (rest & (rest - 1)) == 0 && (is & ~mask) == 0) {
        ends.yes = ask_mask(graph, word, rest, is & rest, ends);
        return ask_mask(graph, word, bit, is & bit, ends);
    }
    const struct sb_bpf_test test = {
        .kind = SB_BPF_MASK, .word = (uint8_t)word, .k = is, .mask = mask};
    return sb_bpf_branch(graph, test, ends.yes, ends.no);
}

static uint32_t
ask_masked(struct sb_bpf_graph *graph, unsigned low, const struct sb_argcmp *cmp, struct ends ends)
{
    ends.yes = ask_mask(graph, low, (uint32_t)cmp->value, (uint32_t)cmp->value_two, ends);
    return ask_mask(graph, low + HIGH, (uint32_t)(cmp->value >> 32),
                    (uint32_t)(cmp->value_two >> 32), ends);
}

static uint32_t condition(struct sb_bpf_graph *graph, const struct sb_argcmp *cmp, struct ends ends)
{
    const unsigned low = FIRST_ARG + WORDS_OF_ARG * (unsigned)cmp->arg;
    const struct ends swapped = {ends.no, ends.yes};
    switch ((enum sb_argcmp_op)cmp->op) {
    case SB_ARGCMP_EQ:
        return ask_equal(graph, low, cmp->value, ends);
    case SB_ARGCMP_NE:
        return ask_equal(graph, low, cmp->value, swapped);
    case SB_ARGCMP_GT:
        return ask_above(graph, low, cmp->value, ends);
    case SB_ARGCMP_LE:
        return ask_above(graph, low, cmp->value, swapped);
    case SB_ARGCMP_GE:
        return cmp->value == 0 ? ends.yes : ask_above(graph, low, cmp->value - 1, ends);
    case SB_ARGCMP_LT:
        return cmp->value == 0 ? ends.no : ask_above(graph, low, cmp->value - 1, swapped);
    case SB_ARGCMP_MASKED_EQ:
        return ask_masked(graph, low, cmp, ends);
    }
    graph->has_failed = true;
    return 0;
}

/* The rule before everything else: @yes when all its conditions hold. */
static uint32_t before(struct sb_bpf_graph *graph,
                       const struct sb_bpf_slice *slice,
                       const struct sb_bpf_rule *rule,
                       struct ends ends)
{
    for (unsigned i = rule->n_args; i > 0; i--) {
        ends.yes = condition(graph, &slice->args[rule->first_arg + i - 1], ends);
    }
    return ends.yes;
}

/* What the allowing list makes of a call of which the other one says @denied. */
static uint32_t
decide_allow(struct sb_bpf_graph *graph, const struct sb_bpf_slice *allow, uint32_t denied)
{
    uint32_t at = sb_bpf_return(graph, sb_bpf_more_severe(allow->default_action, denied));
    for (size_t i = allow->n; i > 0; i--) {
        const struct sb_bpf_rule *rule = &allow->rules[i - 1];
        uint32_t holds = sb_bpf_return(graph, sb_bpf_more_severe(rule->action, denied));
        at = before(graph, allow, rule, (struct ends){holds, at});
    }
    return at;
}

uint32_t sb_bpf_decide(struct sb_bpf_graph *graph,
                       const struct sb_bpf_slice *allow,
                       const struct sb_bpf_slice *deny,
                       bool simplifies)
{
    graph->simplifies = simplifies && allow->n + deny->n <= MAX_SIMPLIFIED;
    uint32_t at = decide_allow(graph, allow, deny->default_action);
    uint32_t holds = 0;
    for (size_t i = deny->n; i > 0; i--) {
        const struct sb_bpf_rule *rule = &deny->rules[i - 1];
        if (i == deny->n || rule->action != deny->rules[i].action) {
            holds = decide_allow(graph, allow, rule->action);
        }
        at = before(graph, deny, rule, (struct ends){holds, at});
    }
    return graph->simplifies ? sb_bpf_flatten(graph, at) : at;
}
