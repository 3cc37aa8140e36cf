#include "service/spawner/bpf/graph.h"

#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>

static uint32_t hash_of(const struct sb_bpf_test *test, uint32_t yes, uint32_t no)
{
    uint32_t hash = test->k * 0x9e3779b1U;
    hash = (hash ^ test->mask ^ ((uint32_t)test->kind << 8) ^ test->word) * 0x85ebca6bU;
    hash = (hash ^ yes) * 0xc2b2ae35U;
    hash = (hash ^ no) * 0x27d4eb2fU;
    return (hash ^ (hash >> 15)) % SB_BPF_BUCKETS;
}

static bool is_same(const struct sb_bpf_test *a, const struct sb_bpf_test *b)
{
    return a->kind == b->kind && a->word == b->word && a->k == b->k && a->mask == b->mask;
}

static bool grow(struct sb_bpf_graph *graph)
{
    uint32_t cap = graph->cap == 0 ? 512 : graph->cap * 2;
    struct sb_bpf_node *moved =
        cap > SB_BPF_MAX_NODES ? NULL : realloc(graph->nodes, cap * sizeof *moved);
    if (moved == NULL) {
        graph->has_failed = true;
        return false;
    }
    graph->nodes = moved;
    graph->cap = cap;
    return true;
}

/* The node, made if there is none. */
static uint32_t
intern(struct sb_bpf_graph *graph, const struct sb_bpf_test *test, uint32_t yes, uint32_t no)
{
    uint16_t *bucket = &graph->buckets[hash_of(test, yes, no)];
    for (uint32_t at = *bucket; at != 0; at = graph->nodes[at].next) {
        const struct sb_bpf_node *node = &graph->nodes[at];
        if (node->yes == yes && node->no == no && is_same(&node->test, test)) {
            return at;
        }
    }
    if (graph->n_nodes == graph->cap && !grow(graph)) {
        return 0;
    }
    uint32_t at = graph->n_nodes++;
    graph->nodes[at] = (struct sb_bpf_node){
        .test = *test,
        .yes = (uint16_t)yes,
        .no = (uint16_t)no,
        .next = *bucket,
        .words =
            (uint16_t)(test->kind == SB_BPF_RETURN
                           ? 0U
                           : (1U << test->word) | graph->nodes[yes].words | graph->nodes[no].words),
    };
    *bucket = (uint16_t)at;
    return at;
}

uint32_t sb_bpf_return(struct sb_bpf_graph *graph, uint32_t action)
{
    const struct sb_bpf_test test = {.kind = SB_BPF_RETURN, .k = action};
    return action == SECCOMP_RET_KILL_PROCESS ? 0 : intern(graph, &test, 0, 0);
}

void sb_bpf_graph_reset(struct sb_bpf_graph *graph)
{
    *graph = (struct sb_bpf_graph){.nodes = graph->nodes, .cap = graph->cap};
    if (graph->cap > 0 || grow(graph)) {
        graph->nodes[graph->n_nodes++] = (struct sb_bpf_node){
            .test = {.kind = SB_BPF_RETURN, .k = SECCOMP_RET_KILL_PROCESS},
        };
    }
}

void sb_bpf_graph_init(struct sb_bpf_graph *graph)
{
    *graph = (struct sb_bpf_graph){.nodes = NULL};
    sb_bpf_graph_reset(graph);
}

void sb_bpf_graph_done(struct sb_bpf_graph *graph)
{
    free(graph->nodes);
    *graph = (struct sb_bpf_graph){0};
}

/* True when the question is whether all of some bits are as asked. */
static bool asks_all(const struct sb_bpf_test *test)
{
    return test->kind == SB_BPF_MASK ||
           (test->kind == SB_BPF_ANY && (test->k & (test->k - 1)) == 0);
}

static uint32_t mask_of(const struct sb_bpf_test *test)
{
    return test->kind == SB_BPF_MASK ? test->mask : test->k;
}

/* Two questions about bits of one word in a row become one, where the second is nobody else's
 * business: any of these or any of those; all of these and all of those. */
static bool
merge(const struct sb_bpf_graph *graph, struct sb_bpf_test *test, uint32_t *yes, uint32_t *no)
{
    const struct sb_bpf_node *behind = &graph->nodes[*no];
    if (test->kind == SB_BPF_ANY && behind->test.kind == SB_BPF_ANY &&
        behind->test.word == test->word && behind->yes == *yes) {
        test->k |= behind->test.k;
        *no = behind->no;
        return true;
    }
    behind = &graph->nodes[*yes];
    if (asks_all(test) && asks_all(&behind->test) && behind->test.word == test->word &&
        behind->no == *no && (mask_of(test) & mask_of(&behind->test)) == 0) {
        test->mask = mask_of(test) | mask_of(&behind->test);
        test->k |= behind->test.k;
        test->kind = SB_BPF_MASK;
        *yes = behind->yes;
        return true;
    }
    return false;
}

/* A question all of whose ends are as simple as can be. */
static uint32_t join(struct sb_bpf_graph *graph, struct sb_bpf_test test, uint32_t yes, uint32_t no)
{
    bool is_negated = false;
    if (yes == no) {
        return yes;
    }
    while (graph->simplifies && merge(graph, &test, &yes, &no)) {
    }
    enum sb_bpf_answer always = sb_bpf_normalize(&test, &is_negated);
    if (always != SB_BPF_UNKNOWN) {
        return always == SB_BPF_YES ? yes : no;
    }
    return intern(graph, &test, is_negated ? no : yes, is_negated ? yes : no);
}

/* The decision below @at, where the fact is known. */
static uint32_t simplify(struct sb_bpf_graph *graph,
                         uint32_t at,
                         const struct sb_bpf_test *fact,
                         bool is_true,
                         uint32_t stamp)
{
    const struct sb_bpf_node node = graph->nodes[at]; /* a copy: the array moves */
    if ((node.words & (1U << fact->word)) == 0 || graph->has_failed) {
        return at;
    }
    if (node.stamp == stamp) {
        return node.became;
    }
    if (++graph->n_steps > SB_BPF_MAX_STEPS) {
        graph->has_failed = true;
    }
    enum sb_bpf_answer got = sb_bpf_follows(fact, is_true, &node.test);
    uint32_t became = 0;
    if (got != SB_BPF_UNKNOWN) {
        became = simplify(graph, got == SB_BPF_YES ? node.yes : node.no, fact, is_true, stamp);
    } else {
        uint32_t yes = simplify(graph, node.yes, fact, is_true, stamp);
        uint32_t no = simplify(graph, node.no, fact, is_true, stamp);
        became = yes == node.yes && no == node.no ? at : join(graph, node.test, yes, no);
    }
    graph->nodes[at].stamp = stamp;
    graph->nodes[at].became = (uint16_t)became;
    return became;
}

uint32_t
sb_bpf_branch(struct sb_bpf_graph *graph, struct sb_bpf_test test, uint32_t yes, uint32_t no)
{
    bool is_negated = false;
    enum sb_bpf_answer always = sb_bpf_normalize(&test, &is_negated);
    if (always != SB_BPF_UNKNOWN) {
        return always == SB_BPF_YES ? yes : no;
    }
    if (is_negated) {
        uint32_t swapped = yes;
        yes = no;
        no = swapped;
    }
    if (graph->simplifies) {
        yes = simplify(graph, yes, &test, true, ++graph->stamp);
        no = simplify(graph, no, &test, false, ++graph->stamp);
    }
    return join(graph, test, yes, no);
}
