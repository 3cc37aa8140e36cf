#pragma once
#include <stdbool.h>
#include <stdint.h>

struct seccomp_data;
struct sock_fprog;

/** What the program answers: SECCOMP_RET_* with its data. Knows the part of classic BPF that
 * seccomp programs are written in, and aborts on a jump out of the program. */
uint32_t bpf_run(const struct sock_fprog *program, const struct seccomp_data *data);

/** True when the kernel sees that the program allows the call without a look at its arguments. */
bool bpf_is_constant(const struct sock_fprog *program, const struct seccomp_data *data);
