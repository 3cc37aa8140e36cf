#pragma once
/** The bounds of a limited network: keys of `network:`, which a request cannot set. */
#include <stddef.h>

#include "base/field.h"
#include "base/str.h"

struct sb_network;

/** Members of struct sb_network, each a uint64_t; 0: not said. */
extern const struct sb_field sb_network_limits[];
extern const size_t sb_network_limits_n;

/** Fills what is 0 in @network from @base. */
void sb_network_limits_inherit(struct sb_network *network, const struct sb_network *base);
uint64_t sb_network_limits_get(const struct sb_network *network, const struct sb_field *field);
void sb_network_limits_put(struct sb_network *network,
                           const struct sb_field *field,
                           uint64_t value);
