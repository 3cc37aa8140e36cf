#include "tests/unit/spawner/verdict.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>

#include "service/spawner/filter.h"

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#else
#define ARCH AUDIT_ARCH_AARCH64
#endif

/* The subset of classic BPF that libseccomp writes. */
static uint32_t run(const struct sock_fprog *program, const struct seccomp_data *data)
{
    uint32_t a = 0;
    for (size_t pc = 0; pc < program->len; pc++) {
        const struct sock_filter *op = &program->filter[pc];
        int jumps = 0;
        switch (op->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            memcpy(&a, (const char *)data + op->k, sizeof a);
            continue;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= op->k;
            continue;
        case BPF_JMP | BPF_JA:
            pc += op->k;
            continue;
        case BPF_RET | BPF_K:
            return op->k;
        case BPF_JMP | BPF_JEQ | BPF_K:
            jumps = a == op->k;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            jumps = a >= op->k;
            break;
        case BPF_JMP | BPF_JGT | BPF_K:
            jumps = a > op->k;
            break;
        case BPF_JMP | BPF_JSET | BPF_K:
            jumps = (a & op->k) != 0;
            break;
        default:
            abort();
        }
        pc += jumps ? op->jt : op->jf;
    }
    abort();
}

uint32_t
verdict_of_arch(const struct sb_filter *filter, uint32_t arch, int number, const uint64_t args[6])
{
    struct seccomp_data data = {.nr = number, .arch = arch};
    memcpy(data.args, args, sizeof data.args);
    uint32_t allow = run(&filter->allow, &data);
    uint32_t deny = run(&filter->deny, &data);
    /* As the kernel: smaller is more severe, as a signed number; of equals the last one put on. */
    return (int32_t)(allow & SECCOMP_RET_ACTION_FULL) < (int32_t)(deny & SECCOMP_RET_ACTION_FULL)
               ? allow
               : deny;
}

uint32_t verdict_of(const struct sb_filter *filter, int number, const uint64_t args[6])
{
    return verdict_of_arch(filter, ARCH, number, args);
}
