#pragma once
/** One record of the audit: what it holds, its one canonical form, and the chain of hashes.
 *
 *  hash(n) = SHA-256(hash(n - 1) || canonical form of record n); hash(0) is 32 zero bytes. The
 *  canonical form has every part behind its length, so that no text within one can pass for another
 *  part:
 *
 *      "aisbx audit 1\n"  sequence (8 bytes)  time_ms (8 bytes)
 *      then for each row of sb_trail_parts its length (4 bytes) and its bytes
 *
 *  Numbers are little-endian. */
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct sb_err;
struct sb_out;

enum {
    SB_TRAIL_HASH_BYTES = 32,
    SB_TRAIL_PARTS = 8,
    SB_TRAIL_PART_MAX = 16 << 10, /* bytes of one part; more is refused */
};

struct sb_trail_record {
    uint64_t sequence; /* from 1, without holes */
    uint64_t time_ms;  /* since 1970 */
    struct sb_str actor;
    struct sb_str tenant;
    struct sb_str action;  /* "exec.start" */
    struct sb_str outcome; /* "allowed", "denied", "failed", "ended" */
    struct sb_str sandbox_id;
    struct sb_str exec_id;
    struct sb_str policy_hash; /* hexadecimal */
    struct sb_str detail;      /* JSON object, or empty */
    uint8_t hash[SB_TRAIL_HASH_BYTES];
};

/** The texts of a record in canonical order; also the columns of the table and the names in JSON.
 */
struct sb_trail_part {
    const char *name;
    size_t offset; /* of the struct sb_str */
};
extern const struct sb_trail_part sb_trail_parts[SB_TRAIL_PARTS];

struct sb_str *sb_trail_part(struct sb_trail_record *record, size_t i);
struct sb_str sb_trail_part_of(const struct sb_trail_record *record, size_t i);

/** The hash of a record behind the one that has @previous. Errors: SB_INVALID: a part is too long;
 *  SB_INTERNAL, SB_EXHAUSTED. */
int sb_trail_hash(const uint8_t previous[SB_TRAIL_HASH_BYTES],
                  const struct sb_trail_record *record,
                  uint8_t ret_hash[SB_TRAIL_HASH_BYTES],
                  struct sb_err *err);

#define SB_TRAIL_HEX_SIZE 65 /* bytes, with the NUL */
void sb_trail_hex(const uint8_t hash[SB_TRAIL_HASH_BYTES], char ret_hex[SB_TRAIL_HEX_SIZE]);
/** False: not 64 digits. */
int sb_trail_unhex(struct sb_str hex, uint8_t ret_hash[SB_TRAIL_HASH_BYTES]);

/** One line of JSON, with its newline; whatever the texts hold, it is one line. */
void sb_trail_write_json(const struct sb_trail_record *record, struct sb_out *out);
/** RFC 3339, UTC, milliseconds. */
#define SB_TRAIL_WHEN_SIZE 40
const char *sb_trail_when(uint64_t time_ms, char out[SB_TRAIL_WHEN_SIZE]);
