#pragma once
/** What the store runs as one step each, by enum sb_shared_act. They answer one text or number. */
#include "mcp-gateway/shared/shared.h"

enum {
    SB_SCRIPT_HASH_SIZE = 41
}; /* SHA-1 in hexadecimal, with the NUL: the name of a script there */

extern const char *const sb_scripts[SB_SHARED_ACTS_];
