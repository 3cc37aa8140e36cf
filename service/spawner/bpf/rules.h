#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/shared/argcmp.h"

struct sb_err;

/** One rule: the call @number, when all conditions hold. */
struct sb_bpf_rule {
    int number;
    uint32_t action;    /* SECCOMP_RET_* with its data, or sb_bpf_told() */
    uint32_t first_arg; /* index into the list's args */
    uint8_t n_args;     /* 0: without condition */
};

/** What one filter says: of the rules that hold the most severe, of equals one without conditions,
 *  else the first; the default where none does. Zeroed memory with a default is an empty list. */
struct sb_bpf_list {
    uint32_t default_action;
    struct sb_bpf_rule *rules; /* owned, as args */
    size_t n_rules;
    size_t rules_cap;
    struct sb_argcmp *args;
    size_t n_args;
    size_t args_cap;
};

/** Two filters of which the more severe answer counts, of equals that of deny. */
struct sb_bpf_lists {
    struct sb_bpf_list allow;
    struct sb_bpf_list deny;
};

enum { SB_BPF_MAX_RULES = 16384 /* of one list */ };

/** @args is copied. Errors: SB_EXHAUSTED: memory; SB_INVALID: too many rules. */
int sb_bpf_list_add(struct sb_bpf_list *list,
                    uint32_t action,
                    int number,
                    unsigned n_args,
                    const struct sb_argcmp *args,
                    struct sb_err *err);
void sb_bpf_lists_done(struct sb_bpf_lists *lists);

/** An action that no message can name: refused with that errno, and told to a listener where there
 *  is one. */
uint32_t sb_bpf_told(uint32_t error);

/** What to return for an action.
 *  @asks  a listener is there. */
uint32_t sb_bpf_resolve(uint32_t action, bool asks);

/** What the kernel makes of the answers of two filters of which @second was put on later. */
uint32_t sb_bpf_more_severe(uint32_t first, uint32_t second);

/** Smaller is more severe. What is told counts as the errno that it is where nobody listens. */
int32_t sb_bpf_severity(uint32_t action);
