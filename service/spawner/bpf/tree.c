/* A balanced tree over the values of a word. Its leaves are stretches of values with one decision
 * out of which a few single ones are picked: to pick one takes one question, to go around it
 * two. */
#include "service/spawner/bpf/tree.h"

#include <stdbool.h>

#include "service/spawner/bpf/graph.h"

enum { MAX_PICKED = 3 };

void sb_bpf_range_push(struct sb_bpf_range *ranges, size_t *n, uint32_t first, uint32_t node)
{
    if (*n > 0 && ranges[*n - 1].first == first) {
        --*n;
    }
    if (*n == 0 || ranges[*n - 1].node != node) {
        ranges[(*n)++] = (struct sb_bpf_range){first, node};
    }
}

static bool is_single(const struct sb_bpf_range *ranges, size_t i, size_t n)
{
    return i + 1 < n && ranges[i + 1].first == ranges[i].first + 1;
}

/* How many ranges from @i on make one leaf, and what it answers where nothing is picked. */
static size_t leaf_at(const struct sb_bpf_range *ranges, size_t i, size_t n, uint32_t *ret_ground)
{
    const size_t begin = i;
    size_t n_picked = 0;
    size_t ground = i;
    while (ground + 1 < n && ground - i < MAX_PICKED && is_single(ranges, ground, n)) {
        ground++;
    }
    *ret_ground = ranges[ground].node;
    for (; i < n && (ranges[i].node == *ret_ground || n_picked < MAX_PICKED); i++) {
        if (ranges[i].node == *ret_ground) {
            continue;
        }
        if (!is_single(ranges, i, n)) {
            break;
        }
        n_picked++;
    }
    return i - begin;
}

static uint32_t leaf(struct sb_bpf_graph *graph,
                     unsigned word,
                     const struct sb_bpf_range *ranges,
                     size_t n,
                     uint32_t ground)
{
    uint32_t at = ground;
    for (size_t i = n; i > 0; i--) {
        if (ranges[i - 1].node != ground) {
            const struct sb_bpf_test test = {
                .kind = SB_BPF_EQ, .word = (uint8_t)word, .k = ranges[i - 1].first};
            at = sb_bpf_branch(graph, test, ranges[i - 1].node, at);
        }
    }
    return at;
}

static uint32_t
halve(struct sb_bpf_graph *graph, unsigned word, const struct sb_bpf_range *leaves, size_t n)
{
    if (n == 1) {
        return leaves[0].node;
    }
    const size_t middle = n / 2;
    const struct sb_bpf_test test = {
        .kind = SB_BPF_GT, .word = (uint8_t)word, .k = leaves[middle].first - 1};
    uint32_t below = halve(graph, word, leaves, middle);
    uint32_t above = halve(graph, word, leaves + middle, n - middle);
    return sb_bpf_branch(graph, test, above, below);
}

uint32_t
sb_bpf_tree(struct sb_bpf_graph *graph, unsigned word, struct sb_bpf_range *ranges, size_t n)
{
    const bool simplifies = graph->simplifies;
    size_t n_leaves = 0; /* which are put where the ranges were that they were made of */
    graph->simplifies = false;
    for (size_t i = 0; i < n;) {
        uint32_t ground = 0;
        size_t took = leaf_at(ranges, i, n, &ground);
        uint32_t node = leaf(graph, word, ranges + i, took, ground);
        ranges[n_leaves++] = (struct sb_bpf_range){ranges[i].first, node};
        i += took;
    }
    uint32_t root = halve(graph, word, ranges, n_leaves);
    graph->simplifies = simplifies;
    return root;
}
