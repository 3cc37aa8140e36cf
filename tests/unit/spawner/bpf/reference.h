#pragma once
#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

struct sb_bpf_lists;
struct seccomp_data;

/** The two programs that libseccomp makes of two lists. */
struct reference {
    struct sock_fprog allow; /* owned, as deny */
    struct sock_fprog deny;
};

/** @arch  SCMP_ARCH_*. End it with reference_done. */
void reference_make(const struct sb_bpf_lists *lists, uint32_t arch, struct reference *ret);
void reference_done(struct reference *reference);

/** False for numbers whose rules libseccomp cannot be told. */
bool reference_knows(uint32_t arch, int number);

/** What the kernel makes of both answers. */
uint32_t
reference_run(const struct reference *reference, bool asks, const struct seccomp_data *data);
