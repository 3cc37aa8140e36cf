/* Questions in a row that compare the same word divide its values into ranges, each of which leads
 * to a node that asks something else. That is all that counts about them, so they are replaced by a
 * tree over the ranges. */
#include "service/spawner/bpf/flatten.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "service/spawner/bpf/graph.h"
#include "service/spawner/bpf/tree.h"

/* Where the answers to questions about one word change: ranges without nodes, in any order. */
struct edges {
    struct sb_bpf_range *at; /* NULL: to count */
    size_t n;
    uint32_t stamp;
    unsigned word;
};

/* A mask without the lowest bits only asks for a range. */
static bool is_range(const struct sb_bpf_test *test)
{
    return test->kind == SB_BPF_EQ || test->kind == SB_BPF_GT ||
           (test->kind == SB_BPF_MASK && (~test->mask & (~test->mask + 1)) == 0);
}

static uint32_t last_of(const struct sb_bpf_test *test)
{
    return test->kind == SB_BPF_MASK ? test->k | ~test->mask : test->k;
}

static bool is_yes(const struct sb_bpf_test *test, uint32_t value)
{
    return test->kind == SB_BPF_GT ? value > test->k : value >= test->k && value <= last_of(test);
}

static bool is_inside(const struct sb_bpf_node *node, unsigned word)
{
    return node->test.kind != SB_BPF_RETURN && node->test.word == word && is_range(&node->test);
}

static void add_edge(struct edges *edges, uint32_t value)
{
    if (edges->at != NULL) {
        edges->at[edges->n].first = value;
    }
    edges->n++;
}

static void find_edges(struct sb_bpf_graph *graph, uint32_t at, struct edges *edges)
{
    struct sb_bpf_node *node = &graph->nodes[at];
    if (!is_inside(node, edges->word) || node->stamp == edges->stamp) {
        return;
    }
    node->stamp = edges->stamp;
    if (node->test.kind != SB_BPF_GT) {
        add_edge(edges, node->test.k);
    }
    if (last_of(&node->test) != UINT32_MAX) {
        add_edge(edges, last_of(&node->test) + 1);
    }
    find_edges(graph, node->yes, edges);
    find_edges(graph, node->no, edges);
}

/* The first node that asks something else about that value. */
static uint32_t
exit_of(const struct sb_bpf_graph *graph, uint32_t at, unsigned word, uint32_t value)
{
    while (is_inside(&graph->nodes[at], word)) {
        const struct sb_bpf_node *node = &graph->nodes[at];
        at = is_yes(&node->test, value) ? node->yes : node->no;
    }
    return at;
}

static int compare(const void *left, const void *right)
{
    const struct sb_bpf_range *a = left;
    const struct sb_bpf_range *b = right;
    return a->first < b->first ? -1 : a->first > b->first;
}

static size_t find_all_edges(struct sb_bpf_graph *graph, uint32_t root, struct sb_bpf_range *ranges)
{
    struct edges edges = {
        .at = ranges, .stamp = ++graph->stamp, .word = graph->nodes[root].test.word};
    add_edge(&edges, 0);
    find_edges(graph, root, &edges);
    return edges.n;
}

static uint32_t flatten_word(struct sb_bpf_graph *graph, uint32_t root)
{
    const unsigned word = graph->nodes[root].test.word;
    const size_t n_edges = find_all_edges(graph, root, NULL);
    SB_CLEANUP(sb_freep) struct sb_bpf_range *ranges = calloc(n_edges, sizeof *ranges);
    size_t n = 0;
    if (ranges == NULL) {
        graph->has_failed = true;
        return root;
    }
    (void)find_all_edges(graph, root, ranges);
    qsort(ranges, n_edges, sizeof *ranges, compare);
    for (size_t i = 0; i < n_edges; i++) { /* what is pushed stays behind what is read */
        const uint32_t first = ranges[i].first;
        uint32_t exit = sb_bpf_flatten(graph, exit_of(graph, root, word, first));
        sb_bpf_range_push(ranges, &n, first, exit);
    }
    return sb_bpf_tree(graph, word, ranges, n);
}

uint32_t sb_bpf_flatten(struct sb_bpf_graph *graph, uint32_t root)
{
    const struct sb_bpf_node node = graph->nodes[root]; /* a copy: the array moves */
    if (node.test.kind == SB_BPF_RETURN || graph->has_failed) {
        return root;
    }
    if (node.flat != 0) {
        return node.flat - 1U;
    }
    uint32_t flat = 0;
    if (is_range(&node.test)) {
        flat = flatten_word(graph, root);
    } else {
        uint32_t yes = sb_bpf_flatten(graph, node.yes);
        uint32_t no = sb_bpf_flatten(graph, node.no);
        flat = sb_bpf_branch(graph, node.test, yes, no);
    }
    graph->nodes[root].flat = (uint16_t)(flat + 1);
    return flat;
}
