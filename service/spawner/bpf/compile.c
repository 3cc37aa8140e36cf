/* Theory of operation. Two lists of rules become one program that answers what the kernel would
 * make of two programs, the more severe of both answers:
 *
 *   rules.c   lists       what is said about each call, by number
 *   decide.c  graph.c     the rules about one call become a decision on its arguments; decisions
 *             test.c      and parts of them that are the same are there once, and nothing is asked
 *                         whose answer follows from what was asked before
 *   flatten.c             questions in a row about one word become ranges, and these a tree
 *   tree.c    ranges      numbers in a row with the same decision become ranges, too, and these a
 *                         balanced tree
 *   emit.c    program     nodes become instructions
 *
 * What counts is the length: the kernel keeps three forms of a program for each process that puts
 * it on, and runs it once for every number to learn which calls it allows whatever their
 * arguments are, which then pass without it. So those must be decided by their number alone.
 *
 * libseccomp is what it is checked against: tests/unit/spawner/bpf/. */
#include "service/spawner/bpf/compile.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "service/spawner/bpf/decide.h"
#include "service/spawner/bpf/emit.h"
#include "service/spawner/bpf/graph.h"
#include "service/spawner/bpf/rules.h"
#include "service/spawner/bpf/tree.h"

enum {
    WORD_OF_NUMBER = 0,
    WORD_OF_ARCH = 1,
    NO_CALL = -1 /* by which a tracer has a call left out */
};

const struct sb_bpf_target sb_bpf_native = {
#if defined(__x86_64__)
    .arch = AUDIT_ARCH_X86_64,
    .foreign = 0x40000000, /* x32 */
#elif defined(__aarch64__)
    .arch = AUDIT_ARCH_AARCH64,
#else
#error "which AUDIT_ARCH_* is it?"
#endif
    .on_foreign = SECCOMP_RET_KILL_PROCESS,
};

/* A rule on its way into the order in which rules are decided. */
struct place {
    struct sb_bpf_rule rule;
    uint32_t at; /* in the list */
};

static int compare(const void *left, const void *right)
{
    const struct place *a = left;
    const struct place *b = right;
    const int32_t a_severity = sb_bpf_severity(a->rule.action);
    const int32_t b_severity = sb_bpf_severity(b->rule.action);
    if (a->rule.number != b->rule.number) {
        return a->rule.number < b->rule.number ? -1 : 1;
    }
    if (a_severity != b_severity) {
        return a_severity < b_severity ? -1 : 1;
    }
    if ((a->rule.n_args == 0) != (b->rule.n_args == 0)) {
        return a->rule.n_args == 0 ? -1 : 1;
    }
    return a->at < b->at ? -1 : a->at > b->at;
}

/* The rules by number, the most severe ones first, with actions resolved; for free(). */
static struct sb_bpf_rule *in_order(const struct sb_bpf_list *list, bool asks)
{
    const size_t n = list->n_rules;
    SB_CLEANUP(sb_freep) struct place *places = calloc(n + 1, sizeof *places);
    struct sb_bpf_rule *rules = calloc(n + 1, sizeof *rules);
    if (places == NULL || rules == NULL) {
        free(rules);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        places[i] = (struct place){list->rules[i], (uint32_t)i};
    }
    qsort(places, n, sizeof *places, compare);
    for (size_t i = 0; i < n; i++) {
        rules[i] = places[i].rule;
        rules[i].action = sb_bpf_resolve(rules[i].action, asks);
    }
    return rules;
}

/* Goes through a list, call by call. */
struct reader {
    struct sb_bpf_slice slice; /* about the call that is next */
    size_t n_left;             /* from its first rule on */
};

static void slice_next(struct reader *reader)
{
    struct sb_bpf_slice *slice = &reader->slice;
    slice->n = 0;
    while (slice->n < reader->n_left && slice->rules[slice->n].number == slice->rules[0].number) {
        slice->n++;
    }
}

static void
reader_init(struct reader *reader, const struct sb_bpf_list *list, const struct sb_bpf_rule *rules)
{
    reader->slice =
        (struct sb_bpf_slice){rules, 0, list->args, sb_bpf_resolve(list->default_action, false)};
    reader->n_left = list->n_rules;
    slice_next(reader);
}

/* The rules about that call, which is the next one of either list. */
static struct sb_bpf_slice take(struct reader *reader, int number)
{
    struct sb_bpf_slice slice = reader->slice;
    if (slice.n == 0 || slice.rules[0].number != number) {
        slice.n = 0;
        return slice;
    }
    reader->slice.rules += slice.n;
    reader->n_left -= slice.n;
    slice_next(reader);
    return slice;
}

static int next_number(const struct reader *allow, const struct reader *deny)
{
    const int a = allow->slice.n > 0 ? allow->slice.rules[0].number : NO_CALL;
    const int b = deny->slice.n > 0 ? deny->slice.rules[0].number : NO_CALL;
    return a == NO_CALL || (b != NO_CALL && b < a) ? b : a;
}

/* All that a program is made of. */
struct compile {
    const struct sb_bpf_target *target;
    struct reader allow;
    struct reader deny;
    struct sb_bpf_range *ranges;
    bool simplifies;
};

/* The decision on calls of this machine. */
static uint32_t decide_numbers(struct compile compile, struct sb_bpf_graph *graph)
{
    const struct sb_bpf_target *target = compile.target;
    const uint32_t nothing =
        sb_bpf_return(graph, sb_bpf_more_severe(compile.allow.slice.default_action,
                                                compile.deny.slice.default_action));
    size_t n = 0;
    sb_bpf_range_push(compile.ranges, &n, 0, nothing);
    for (int number = 0; (number = next_number(&compile.allow, &compile.deny)) != NO_CALL;) {
        const struct sb_bpf_slice allow = take(&compile.allow, number);
        const struct sb_bpf_slice deny = take(&compile.deny, number);
        uint32_t node = sb_bpf_decide(graph, &allow, &deny, compile.simplifies);
        sb_bpf_range_push(compile.ranges, &n, (uint32_t)number, node);
        sb_bpf_range_push(compile.ranges, &n, (uint32_t)number + 1, nothing);
    }
    if (target->foreign != 0) {
        uint32_t foreign = sb_bpf_return(graph, target->on_foreign);
        sb_bpf_range_push(compile.ranges, &n, target->foreign, foreign);
        sb_bpf_range_push(compile.ranges, &n, (uint32_t)NO_CALL, nothing);
    }
    return sb_bpf_tree(graph, WORD_OF_NUMBER, compile.ranges, n);
}

/* Returns 1 when the graph is too much. */
static int make(const struct compile *compile,
                struct sb_bpf_graph *graph,
                struct sock_fprog *ret_program,
                struct sb_err *err)
{
    uint32_t root = decide_numbers(*compile, graph);
    const struct sb_bpf_test is_native = {
        .kind = SB_BPF_EQ, .word = WORD_OF_ARCH, .k = compile->target->arch};
    uint32_t foreign = sb_bpf_return(graph, compile->target->on_foreign);
    root = sb_bpf_branch(graph, is_native, root, foreign);
    return graph->has_failed ? 1 : sb_bpf_emit(graph, root, ret_program, err);
}

static int compile_form(const struct sb_bpf_lists *lists,
                        const struct sb_bpf_target *target,
                        bool asks,
                        struct sb_bpf_graph *graph,
                        struct sock_fprog *ret_program,
                        struct sb_err *err)
{
    const size_t n_ranges = 2 * (lists->allow.n_rules + lists->deny.n_rules) + 3;
    SB_CLEANUP(sb_freep) struct sb_bpf_rule *allow_rules = in_order(&lists->allow, asks);
    SB_CLEANUP(sb_freep) struct sb_bpf_rule *deny_rules = in_order(&lists->deny, asks);
    SB_CLEANUP(sb_freep) struct sb_bpf_range *ranges = calloc(n_ranges, sizeof *ranges);
    if (allow_rules == NULL || deny_rules == NULL || ranges == NULL) {
        return sb_err_oom(err);
    }
    struct compile compile = {.target = target, .ranges = ranges, .simplifies = true};
    reader_init(&compile.allow, &lists->allow, allow_rules);
    reader_init(&compile.deny, &lists->deny, deny_rules);
    int made = graph->has_failed ? 1 : make(&compile, graph, ret_program, err);
    if (made > 0) {
        SB_CLEANUP(sb_bpf_graph_done) struct sb_bpf_graph simple;
        sb_bpf_graph_init(&simple);
        compile.simplifies = false;
        made = simple.has_failed ? 1 : make(&compile, &simple, ret_program, err);
    }
    return made > 0 ? sb_err_set(err, SB_EXHAUSTED, "rules: too many different decisions") : made;
}

int sb_bpf_compile(const struct sb_bpf_lists *lists,
                   const struct sb_bpf_target *target,
                   struct sb_bpf_forms *ret_forms,
                   struct sb_err *err)
{
    struct sb_bpf_forms forms = {0};
    SB_CLEANUP(sb_bpf_graph_done)
    struct sb_bpf_graph graph; /* the other form is made in its memory */
    sb_bpf_graph_init(&graph);
    int rc = compile_form(lists, target, false, &graph, &forms.plain, err);
    if (rc == 0) {
        sb_bpf_graph_reset(&graph);
        rc = compile_form(lists, target, true, &graph, &forms.asking, err);
    }
    if (rc < 0) {
        sb_bpf_forms_done(&forms);
        return -1;
    }
    *ret_forms = forms;
    return 0;
}

void sb_bpf_forms_done(struct sb_bpf_forms *forms)
{
    free(forms->plain.filter);
    free(forms->asking.filter);
    *forms = (struct sb_bpf_forms){0};
}
