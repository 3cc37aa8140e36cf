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

/** Makes one program of both lists; how: compile.c.
 *  @asks  what is told asks a listener; else it is refused.
 *  @ret_program  its code is for free().
 *  Errors: SB_INVALID: the program would be too long; SB_EXHAUSTED: memory, or too much of it. */
int sb_bpf_compile(const struct sb_bpf_lists *lists,
                   const struct sb_bpf_target *target,
                   bool asks,
                   struct sock_fprog *ret_program,
                   struct sb_err *err);
