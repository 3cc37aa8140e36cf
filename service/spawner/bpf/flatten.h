#pragma once
#include <stdint.h>

struct sb_bpf_graph;

/** The same decision with fewer questions: of those in a row that compare one word, one after the
 *  other, a tree is made. */
uint32_t sb_bpf_flatten(struct sb_bpf_graph *graph, uint32_t root);
