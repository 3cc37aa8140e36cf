#include "service/spawner/bpf/test.h"

/* What is known about a word: its bits within @mask, and between what it lies. */
struct known {
    uint32_t mask;
    uint32_t bits;
    uint32_t least;
    uint32_t most;
};

static bool is_one_bit(uint32_t mask)
{
    return mask != 0 && (mask & (mask - 1)) == 0;
}

static struct known known_of(const struct sb_bpf_test *fact, bool is_true)
{
    struct known known = {.most = UINT32_MAX};
    switch (fact->kind) {
    case SB_BPF_EQ:
        if (is_true) {
            known = (struct known){UINT32_MAX, fact->k, fact->k, fact->k};
        }
        break;
    case SB_BPF_GT:
        if (is_true) {
            known.least = fact->k + 1; /* k is not the greatest number: sb_bpf_normalize */
        } else {
            known.most = fact->k;
        }
        break;
    case SB_BPF_ANY:
        if (!is_true || is_one_bit(fact->k)) {
            known.mask = fact->k;
            known.bits = is_true ? fact->k : 0;
        }
        break;
    case SB_BPF_MASK:
        if (is_true) {
            known.mask = fact->mask;
            known.bits = fact->k;
        }
        break;
    default:
        break;
    }
    return known;
}

static enum sb_bpf_answer answer(bool is_yes, bool is_no)
{
    return is_yes ? SB_BPF_YES : is_no ? SB_BPF_NO : SB_BPF_UNKNOWN;
}

static enum sb_bpf_answer ask(const struct sb_bpf_test *test, const struct known *known)
{
    const uint32_t k = test->k;
    bool is_all_known = known->mask == UINT32_MAX;
    switch (test->kind) {
    case SB_BPF_EQ:
        return answer(is_all_known && known->bits == k,
                      (k & known->mask) != known->bits || k < known->least || k > known->most);
    case SB_BPF_GT:
        return answer(known->least > k, known->most <= k);
    case SB_BPF_ANY:
        return answer((known->bits & k) != 0, (k & ~known->mask) == 0);
    case SB_BPF_MASK:
        return answer((test->mask & ~known->mask) == 0 && (known->bits & test->mask) == k,
                      ((k ^ known->bits) & test->mask & known->mask) != 0);
    default:
        return SB_BPF_UNKNOWN;
    }
}

enum sb_bpf_answer
sb_bpf_follows(const struct sb_bpf_test *fact, bool is_true, const struct sb_bpf_test *asked)
{
    if (fact->word != asked->word) {
        return SB_BPF_UNKNOWN;
    }
    struct known known = known_of(fact, is_true);
    enum sb_bpf_answer got = ask(asked, &known);
    if (got != SB_BPF_UNKNOWN) {
        return got;
    }
    /* Either answer of which the opposite of the fact would follow is not the answer. */
    const enum sb_bpf_answer opposite = is_true ? SB_BPF_NO : SB_BPF_YES;
    known = known_of(asked, true);
    if (ask(fact, &known) == opposite) {
        return SB_BPF_NO;
    }
    known = known_of(asked, false);
    return ask(fact, &known) == opposite ? SB_BPF_YES : SB_BPF_UNKNOWN;
}

static enum sb_bpf_answer normalize_mask(struct sb_bpf_test *test, bool *ret_is_negated)
{
    if ((test->k & ~test->mask) != 0) {
        return SB_BPF_NO;
    }
    if (test->mask == 0) {
        return SB_BPF_YES;
    }
    if (test->mask == UINT32_MAX) {
        test->kind = SB_BPF_EQ;
        test->mask = 0;
    } else if (test->k == 0 || is_one_bit(test->mask)) {
        *ret_is_negated = test->k == 0;
        *test = (struct sb_bpf_test){.kind = SB_BPF_ANY, .word = test->word, .k = test->mask};
    }
    return SB_BPF_UNKNOWN;
}

enum sb_bpf_answer sb_bpf_normalize(struct sb_bpf_test *test, bool *ret_is_negated)
{
    *ret_is_negated = false;
    if (test->kind == SB_BPF_MASK) {
        return normalize_mask(test, ret_is_negated);
    }
    bool is_never = (test->kind == SB_BPF_GT && test->k == UINT32_MAX) ||
                    (test->kind == SB_BPF_ANY && test->k == 0);
    return is_never ? SB_BPF_NO : SB_BPF_UNKNOWN;
}
