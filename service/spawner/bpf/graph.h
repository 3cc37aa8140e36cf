#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "service/spawner/bpf/test.h"

/* Decisions that share their ends: nodes without cycles, each of which is there once. A node is
 * named by its index; node 0 kills the process. */

enum {
    SB_BPF_MAX_NODES = 1 << 15,
    SB_BPF_BUCKETS = 1024,
    SB_BPF_MAX_STEPS = 1 << 21, /* of simplification; a filter that is shipped takes some 40,000 */
};

/* Small, as what costs most of a filter is memory that was not used before. */
struct sb_bpf_node {
    struct sb_bpf_test test;
    uint32_t stamp; /* of the last simplification that saw it */
    uint16_t yes;
    uint16_t no;
    uint16_t next;   /* of its bucket; 0: none */
    uint16_t became; /* what the simplification made of it */
    uint16_t flat;   /* what sb_bpf_flatten made of it, and one; 0: it did not see it */
    uint16_t words;  /* asked about here and below, a bit for each */
};

struct sb_bpf_graph {
    struct sb_bpf_node *nodes; /* owned */
    uint32_t n_nodes;
    uint32_t cap;
    uint32_t stamp;
    uint32_t n_steps;
    bool simplifies; /* leaves out questions whose answer follows from those before */
    bool has_failed; /* too much work, or no memory: what was made is of no use */
    uint16_t buckets[SB_BPF_BUCKETS];
};

/** End it with sb_bpf_graph_done; failure is told by has_failed. */
void sb_bpf_graph_init(struct sb_bpf_graph *graph);
/** As after init, in the memory that it has. */
void sb_bpf_graph_reset(struct sb_bpf_graph *graph);
void sb_bpf_graph_done(struct sb_bpf_graph *graph);

uint32_t sb_bpf_return(struct sb_bpf_graph *graph, uint32_t action);

uint32_t
sb_bpf_branch(struct sb_bpf_graph *graph, struct sb_bpf_test test, uint32_t yes, uint32_t no);
