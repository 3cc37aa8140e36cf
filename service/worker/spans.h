#pragma once
/** What of the worker's doings becomes spans (proto/trace/trace.h), and how a program learns which
 *  trace it belongs to. Loop thread.
 *
 *      the call, from the gate to its end, child of what its metadata names
 *        +-- aisbx.sandbox.start   one that is made, until it runs
 *        +-- aisbx.exec            from being asked for to its verdict; the program's parent
 *              +-- aisbx.exec.wait     for its sandbox, its files
 *              +-- aisbx.exec.spawn    until it runs
 *
 *  Names, numbers, ids and verdicts alone: no argument, path, variable, input or output. */
#include <stdbool.h>
#include <stdint.h>

#include "base/trace.h"
#include "proto/trace/trace.h"

struct sb_err;
struct sb_exec;
struct sb_pairs;
struct sb_rpc_call;
struct sb_sandbox;
struct sb_worker;

/** The trace that something is asked for in; zero: none. */
struct sb_lineage {
    struct sb_trace trace;
    const char *state; /* checked tracestate; NULL: none; borrowed */
};

/** Of an exec. */
struct sb_exec_spans {
    struct sb_span span;
    uint64_t asked_ns;  /* init was asked to start it; real time, as all here; 0: not yet */
    uint64_t ran_ns;    /* it runs */
    uint64_t output_ns; /* its first byte of output was read */
    bool is_told;       /* the program gets its trace */
    char *state;        /* tracestate for an interpreter that waits; heap; NULL: none */
};

/** How a call ended, and what it was about. */
struct sb_call_end {
    const char *code; /* static */
    bool is_good;
    const char *tenant; /* "", as below: not known */
    const char *sandbox_id;
    const char *exec_id;
};

void sb_spans_call_begin(struct sb_worker *worker,
                         const struct sb_rpc_call *call,
                         struct sb_span *ret_span);
void sb_spans_call_end(struct sb_worker *worker,
                       const struct sb_rpc_call *call,
                       const struct sb_span *span,
                       const struct sb_call_end *end);
/** @span  of the call. */
struct sb_lineage sb_spans_lineage(const struct sb_rpc_call *call, const struct sb_span *span);

/** It runs, or never will. */
void sb_spans_sandbox_made(struct sb_sandbox *sandbox, bool is_failure);

/** @lineage  NULL: none. */
void sb_spans_exec_begin(struct sb_exec *exec, const struct sb_lineage *lineage);
/** Adds TRACEPARENT and TRACESTATE for its program, when there is a trace and neither the sandbox
 *  nor the caller has set TRACEPARENT. @own  of the caller; NULL: none. */
int sb_spans_exec_env(struct sb_exec *exec,
                      const struct sb_lineage *lineage,
                      const struct sb_pairs *own,
                      struct sb_pairs *to,
                      struct sb_err *err);
void sb_spans_exec_end(struct sb_exec *exec);
static inline void sb_spans_note(const struct sb_exec_spans *spans, uint64_t *at_ns)
{
    if (sb_span_is_recorded(&spans->span) && *at_ns == 0) {
        *at_ns = sb_span_now();
    }
}
