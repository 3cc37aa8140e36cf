#pragma once
#include <stdbool.h>
#include <stdint.h>

struct sb_bpf_lists;
struct sb_bpf_target;
struct seccomp_data;

/** What the lists say, read rule by rule. */
uint32_t naive_run(const struct sb_bpf_lists *lists,
                   const struct sb_bpf_target *target,
                   bool asks,
                   const struct seccomp_data *data);

/** True when the rules about the call are of a kind of which libseccomp makes what they say. */
bool naive_is_clear(const struct sb_bpf_lists *lists, const struct seccomp_data *data);
