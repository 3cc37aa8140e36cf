#pragma once
#include <stdbool.h>
#include <stdint.h>

/* One question about one word of struct seccomp_data, as classic BPF can ask it. */

enum sb_bpf_kind {
    SB_BPF_RETURN, /* no question: the answer is k */
    SB_BPF_EQ,     /* word == k */
    SB_BPF_GT,     /* word > k */
    SB_BPF_ANY,    /* (word & k) != 0 */
    SB_BPF_MASK,   /* (word & mask) == k */
};

struct sb_bpf_test {
    uint32_t k;
    uint32_t mask; /* SB_BPF_MASK only, else 0 */
    uint8_t kind;
    uint8_t word; /* offset in units of four bytes */
};

enum sb_bpf_answer { SB_BPF_UNKNOWN, SB_BPF_NO, SB_BPF_YES };

/** What follows about @asked once @fact is known to be true, or false. May be UNKNOWN although
 *  something follows. */
enum sb_bpf_answer
sb_bpf_follows(const struct sb_bpf_test *fact, bool is_true, const struct sb_bpf_test *asked);

/** The same question in the form of which there is only one; the answer, when it is always the
 * same.
 *  @ret_is_negated  the new question is the opposite of the old one. */
enum sb_bpf_answer sb_bpf_normalize(struct sb_bpf_test *test, bool *ret_is_negated);
