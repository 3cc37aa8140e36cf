#pragma once
#include <stdbool.h>

#include "base/str.h"

struct sb_err;

#define SB_ID_PREFIX_MAX 5
#define SB_ID_SIZE       (SB_ID_PREFIX_MAX + 26 + 1) /* bytes, with the NUL */

/** Writes a new id: prefix and 26 characters of lower-case base32 (RFC 4648 alphabet, unpadded) of
 *  128 random bits: "sb_" -> "sb_mfrggzdfmztwq2lk...". @prefix  at most SB_ID_PREFIX_MAX bytes.
 *  Errors: by errno of getrandom(2). Thread-safe. */
int sb_id_make(char out[SB_ID_SIZE], const char *prefix, struct sb_err *err);

/** True when text could have come from sb_id_make with that prefix. */
bool sb_id_valid(struct sb_str text, const char *prefix);
