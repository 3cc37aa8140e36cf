#include "tests/unit/spawner/bpf/run.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct machine {
    const struct seccomp_data *data;
    uint32_t a;
    bool looked; /* at an argument */
};

static void load(struct machine *machine, uint32_t at)
{
    if (at % 4 != 0 || at > sizeof *machine->data - 4) {
        abort();
    }
    memcpy(&machine->a, (const char *)machine->data + at, sizeof machine->a);
    machine->looked = machine->looked || at >= offsetof(struct seccomp_data, instruction_pointer);
}

static bool is_true(const struct sock_filter *op, uint32_t a)
{
    switch (op->code) {
    case BPF_JMP | BPF_JEQ | BPF_K:
        return a == op->k;
    case BPF_JMP | BPF_JGE | BPF_K:
        return a >= op->k;
    case BPF_JMP | BPF_JGT | BPF_K:
        return a > op->k;
    case BPF_JMP | BPF_JSET | BPF_K:
        return (a & op->k) != 0;
    default:
        abort();
    }
}

static uint32_t run(const struct sock_fprog *program, struct machine *machine)
{
    for (size_t pc = 0; pc < program->len; pc++) {
        const struct sock_filter *op = &program->filter[pc];
        switch (op->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            load(machine, op->k);
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            machine->a &= op->k;
            break;
        case BPF_JMP | BPF_JA:
            pc += op->k;
            break;
        case BPF_RET | BPF_K:
            return op->k;
        default:
            pc += is_true(op, machine->a) ? op->jt : op->jf;
        }
    }
    abort();
}

uint32_t bpf_run(const struct sock_fprog *program, const struct seccomp_data *data)
{
    struct machine machine = {.data = data};
    return run(program, &machine);
}

bool bpf_is_constant(const struct sock_fprog *program, const struct seccomp_data *data)
{
    struct machine machine = {.data = data};
    return run(program, &machine) == SECCOMP_RET_ALLOW && !machine.looked;
}
