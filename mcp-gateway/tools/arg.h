#pragma once
/** Arguments of tools, whose types the schema has checked. */
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct cJSON;

/** For fields of messages, which are not const although nothing changes what they point to. */
static inline void *sb_lend(const void *borrowed)
{
    return (void *)(uintptr_t)borrowed;
}

/** The text, borrowed; NULL when it is not there. */
const char *sb_arg_text(const struct cJSON *arguments, const char *name);
/** The same, "" when it is not there: as messages want it. */
char *sb_arg_field(const struct cJSON *arguments, const char *name);
bool sb_arg_has(const struct cJSON *arguments, const char *name);
bool sb_arg_flag(const struct cJSON *arguments, const char *name);
/** A number, cut to a whole one; @otherwise when it is not there. */
int64_t sb_arg_number(const struct cJSON *arguments, const char *name, int64_t otherwise);
/** Seconds, perhaps with a fraction, as milliseconds; 0 when they are not there. */
uint64_t sb_arg_seconds(const struct cJSON *arguments, const char *name);
