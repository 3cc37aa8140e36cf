#pragma once
#include <stddef.h>

#include "spawn/v1/spawn.pb-c.h"

/** The filters of the profiles that are built in, as the worker sends them to the spawner. */
struct shipped {
    const char *profile;
    Spawn__V1__LoadFilter *message;
};

enum { SHIPPED_MAX = 32 };

/** Returns how many there are; they live as long as the process. */
size_t shipped_read(struct shipped filters[SHIPPED_MAX]);
