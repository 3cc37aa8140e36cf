#pragma once
#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

struct sb_bpf_lists;
struct sb_err;

/** A machine whose calls are filtered. */
struct sb_bpf_target {
    uint32_t arch;       /* AUDIT_ARCH_* */
    uint32_t foreign;    /* from this number on calls are of another ABI; 0: none are */
    uint32_t on_foreign; /* what is answered to them, and to calls of other machines */
};

/** What this program was built for; its foreign calls kill. */
extern const struct sb_bpf_target sb_bpf_native;

/** The program of two lists, in two forms. */
struct sb_bpf_forms {
    struct sock_fprog plain;  /* refuses what is told; its code is for free() */
    struct sock_fprog asking; /* asks a listener about it; likewise */
};

/** Makes one program of both lists; how: compile.c.
 *  Errors: SB_INVALID: the program would be too long; SB_EXHAUSTED: memory, or too much of it. */
int sb_bpf_compile(const struct sb_bpf_lists *lists,
                   const struct sb_bpf_target *target,
                   struct sb_bpf_forms *ret_forms,
                   struct sb_err *err);
void sb_bpf_forms_done(struct sb_bpf_forms *forms);
