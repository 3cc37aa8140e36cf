#pragma once
#include "spawn/v1/spawn.pb-c.h"

struct sb_counters;

/** Counters of a message; all 0 without one. */
void sb_counters_read(const Spawn__V1__Counters *from, struct sb_counters *ret_counters);
