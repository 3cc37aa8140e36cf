#pragma once
#include <stddef.h>
#include <stdint.h>

struct sb_bpf_graph;

/** From that value of a word on, up to the next range, that decision. */
struct sb_bpf_range {
    uint32_t first;
    uint32_t node;
};

/** Appends a range, merged with the last one if it is no other; replaces the last one if it begins
 *  at the same value. Its place must be there. */
void sb_bpf_range_push(struct sb_bpf_range *ranges, size_t *n, uint32_t first, uint32_t node);

/** A decision on the word.
 *  @ranges  in order, the first from 0 on; of no use afterwards.  @n  at least 1. */
uint32_t
sb_bpf_tree(struct sb_bpf_graph *graph, unsigned word, struct sb_bpf_range *ranges, size_t n);
