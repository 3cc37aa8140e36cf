#pragma once
#include <linux/filter.h>
#include <stdint.h>

struct sb_bpf_graph;
struct sb_err;

/** The decision as a program.
 *  @ret_program  its code is for free().
 *  Errors: SB_INVALID: more than BPF_MAXINSNS instructions; SB_EXHAUSTED: memory. */
int sb_bpf_emit(const struct sb_bpf_graph *graph,
                uint32_t root,
                struct sock_fprog *ret_program,
                struct sb_err *err);
