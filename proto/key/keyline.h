#pragma once
/** A key as a file of keys has it: what a worker needs to know its bearer, and not the key.
 *
 *      ID HASH ROLE TENANT EXPIRES [TITLE]
 *
 *  parted by one blank each: the id in the key's text, SHA-256 of the whole text as 64 lower-case
 *  hexadecimal digits, "user", "auditor" or "admin", the tenant, RFC 3339 or "never", and to the
 *  end of the line what it is for. */
#include <stdint.h>

#include "base/str.h"
#include "proto/key/keytext.h"
#include "proto/key/role.h"

struct sb_err;

#define SB_KEY_TITLE_SIZE 201 /* bytes, with the NUL, as below */
#define SB_KEY_LINE_SIZE  400 /* of a whole line, without a newline */

struct sb_key_line {
    char id[SB_KEY_ID_SIZE];
    unsigned char hash[SB_KEY_HASH];
    enum sb_role role;
    char tenant[SB_TENANT_SIZE]; /* or "*": an auditor of all */
    char title[SB_KEY_TITLE_SIZE];
    uint64_t expire_ms; /* since 1970; 0: never */
};

/** May there be a key with these? @tenant  empty: SB_TENANT_LOCAL, of an admin alone.
 *  Errors: SB_INVALID that begins with the field's name. */
int sb_key_check(enum sb_role role, struct sb_str tenant, struct sb_str title, struct sb_err *err);

/** @line  without its newline; any bytes. Errors: SB_INVALID; the text shows no hash, and nothing
 *  that could be a key. */
int sb_key_line_parse(struct sb_str line, struct sb_key_line *ret_line, struct sb_err *err);
/** Parses back to the same. Returns out. */
const char *sb_key_line_format(const struct sb_key_line *line, char out[SB_KEY_LINE_SIZE]);
