#pragma once
#include <stdbool.h>

#include "base/str.h"

struct sb_err;

#define SB_ID_PREFIX_MAX 5
#define SB_ID_TAG        6                           /* characters: 30 bits */
#define SB_ID_SIZE       (SB_ID_PREFIX_MAX + 26 + 1) /* bytes, with the NUL */

/** Writes a new id: prefix and 26 characters of lower-case base32 (RFC 4648 alphabet, unpadded) of
 *  128 random bits: "sb_" -> "sb_mfrggzdfmztwq2lk...". @prefix  at most SB_ID_PREFIX_MAX bytes.
 *  Errors: by errno of getrandom(2). Thread-safe. */
int sb_id_make(char out[SB_ID_SIZE], const char *prefix, struct sb_err *err);

/** As sb_id_make, but beginning with the SB_ID_TAG characters of @kin behind its own prefix, which
 *  leaves 98 random bits. @kin  a valid id, of whatever prefix. */
int sb_id_make_kin(char out[SB_ID_SIZE], const char *prefix, const char *kin, struct sb_err *err);

/** The SB_ID_TAG characters behind the prefix; empty when text is no id of that prefix. */
struct sb_str sb_id_tag(struct sb_str text, const char *prefix);

/** True when text could have come from sb_id_make with that prefix. */
bool sb_id_valid(struct sb_str text, const char *prefix);
