#pragma once
#include <stddef.h>
#include <stdint.h>

struct sb_bpf_lists;

/** Compiles both forms of the lists, for x86_64 and aarch64, and looks that for many calls the
 *  programs say what the lists say, and what libseccomp's say where it can be relied upon. Aborts
 *  with the call if not.
 *  @n_random  calls to make up for each number, beside those that follow from the rules. */
void check_lists(const struct sb_bpf_lists *lists, unsigned n_random);

/** The same for this machine alone, and libseccomp's programs have to agree about every call. */
void check_native(const struct sb_bpf_lists *lists, unsigned n_random);

/** check_lists for the lists that the bytes stand for. */
void check_bytes(const uint8_t *data, size_t size);
