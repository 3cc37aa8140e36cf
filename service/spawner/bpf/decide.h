#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sb_argcmp;
struct sb_bpf_graph;
struct sb_bpf_lists;
struct sb_bpf_rule;

/** Rules of one list about one call, that first which counts if it holds. */
struct sb_bpf_slice {
    const struct sb_bpf_rule *rules; /* borrowed, as args */
    size_t n;
    const struct sb_argcmp *args;
    uint32_t default_action;
};

/** What to answer to a call that the two slices are about; actions are resolved already.
 *  @simplifies  makes it short. */
uint32_t sb_bpf_decide(struct sb_bpf_graph *graph,
                       const struct sb_bpf_slice *allow,
                       const struct sb_bpf_slice *deny,
                       bool simplifies);
