#pragma once
#include <stdint.h>

struct sock_fprog;

/** What the program answers to that call on this architecture: SECCOMP_RET_* with its data. Runs
 *  here: nothing is called. */
uint32_t verdict_of(const struct sock_fprog *program, int number, const uint64_t args[6]);

/** The same for a call of another architecture, AUDIT_ARCH_*. */
uint32_t verdict_of_arch(const struct sock_fprog *program,
                         uint32_t arch,
                         int number,
                         const uint64_t args[6]);
