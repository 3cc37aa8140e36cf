#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** System calls that a sandbox is refused and whose refusal is worth telling: the spawner's filter
 *  lets the worker answer them, which counts them. What ordinary programs merely try, to do without
 *  it, is not here: the kernel refuses that alone. */
struct sb_denial_call {
    const char *name;
    int error;      /* errno the caller gets */
    int key_arg;    /* index of the argument that says what was wanted; -1: the call alone does */
    bool has_rules; /* rules of a profile that refuse it with an errno are told too */
};

extern const struct sb_denial_call sb_denial_calls[];
extern const size_t sb_denial_n_calls;

/** NULL: not one of them. */
const struct sb_denial_call *sb_denial_find(const char *name);

/** True when the floor refuses it, whatever a profile says: for a call that was told. */
bool sb_denial_is_floor(const struct sb_denial_call *call, const uint64_t args[6]);
