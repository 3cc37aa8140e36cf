#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct sb_err;

#define SB_NUM_TEXT_SIZE 32 /* bytes; enough for every formatter below, with the NUL */

/* Strict parsers: the whole text is the number; no blanks, no sign, no locale. All share one
 * signature, so that tables can name them. On success *ret_value is within min..max.
 * Errors: SB_INVALID with text that quotes the input and names the accepted form or the limits. */

/** Decimal digits only. */
int sb_num_u64(
    struct sb_str text, uint64_t min, uint64_t max, uint64_t *ret_value, struct sb_err *err);

/** Bytes: "1048576", "512m", "64KiB", "1.5g". Suffixes b, k, m, g, t, alone or followed by "b" or
 *  "ib", in any case; k is 1024, as in Docker. A fraction of a byte is dropped. */
int sb_num_bytes(
    struct sb_str text, uint64_t min, uint64_t max, uint64_t *ret_value, struct sb_err *err);

/** Milliseconds: "250ms", "30s", "1.5s", "5m", "1h30m"; units h, m, s, ms, each once, largest
 * first. A bare number is refused ("0" too), for nobody can tell seconds from milliseconds. */
int sb_num_millis(
    struct sb_str text, uint64_t min, uint64_t max, uint64_t *ret_value, struct sb_err *err);

/** CPUs as millicores: "1" is 1000, "0.5" is 500; at most three decimals. min and max are
 *  millicores too. */
int sb_num_cpu(
    struct sb_str text, uint64_t min, uint64_t max, uint64_t *ret_value, struct sb_err *err);

/** Value of a hexadecimal digit in either case, -1 for any other character. */
static inline int sb_num_hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Formatters: write NUL-terminated text and return out. What they write parses back to the same
 * value, except for sb_num_format_bytes_short. */

/** Largest unit that divides exactly: "512MiB", "1000B". */
const char *sb_num_format_bytes(char out[SB_NUM_TEXT_SIZE], uint64_t bytes);
/** For people, to one decimal: "117.7MiB". */
const char *sb_num_format_bytes_short(char out[SB_NUM_TEXT_SIZE], uint64_t bytes);
/** "1h30m", "1s500ms", "0s". */
const char *sb_num_format_millis(char out[SB_NUM_TEXT_SIZE], uint64_t millis);
/** "1", "0.5". */
const char *sb_num_format_cpu(char out[SB_NUM_TEXT_SIZE], uint64_t millicores);
