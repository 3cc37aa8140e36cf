#pragma once
#include "spawn/v1/spawn.pb-c.h"

struct sb_bpf_lists;
struct sb_err;

/** The rules of a profile's filter with those of the floor and of init; theory of operation:
 *  filter.c.
 *  @ret_lists  end them with sb_bpf_lists_done.
 *  Errors: SB_INVALID: the text names rule and field; SB_EXHAUSTED: memory. */
int sb_filter_rules(const Spawn__V1__LoadFilter *msg,
                    struct sb_bpf_lists *ret_lists,
                    struct sb_err *err);
