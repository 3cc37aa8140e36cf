#include "tests/unit/spawner/verdict.h"

#include <linux/seccomp.h>
#include <string.h>

#include "service/spawner/bpf/compile.h"
#include "tests/unit/spawner/bpf/run.h"

uint32_t
verdict_of_arch(const struct sock_fprog *program, uint32_t arch, int number, const uint64_t args[6])
{
    struct seccomp_data data = {.nr = number, .arch = arch};
    memcpy(data.args, args, sizeof data.args);
    return bpf_run(program, &data);
}

uint32_t verdict_of(const struct sock_fprog *program, int number, const uint64_t args[6])
{
    return verdict_of_arch(program, sb_bpf_native.arch, number, args);
}
