#pragma once
#include <stdint.h>

struct sb_filter;

/** What the kernel would answer for that call on this architecture: the more severe action of both
 *  filters, SECCOMP_RET_* with its data. Runs the programs here: nothing is called. */
uint32_t verdict_of(const struct sb_filter *filter, int number, const uint64_t args[6]);

/** The same for a call of another architecture, AUDIT_ARCH_*. */
uint32_t
verdict_of_arch(const struct sb_filter *filter, uint32_t arch, int number, const uint64_t args[6]);
