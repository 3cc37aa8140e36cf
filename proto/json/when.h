#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define SB_WHEN_SIZE 40 /* bytes, with the NUL */

struct Google__Protobuf__Timestamp;

/** RFC 3339 in UTC, to the millisecond: "2026-01-31T23:59:59.123Z"; "" for NULL. Returns out. */
const char *sb_when_format(char out[SB_WHEN_SIZE], const struct Google__Protobuf__Timestamp *time);

/** How long ago, for people: "12s", "5m", "3h", "2d"; "-" for NULL. @now_ms  since 1970. */
const char *sb_when_format_age(char out[SB_WHEN_SIZE],
                               const struct Google__Protobuf__Timestamp *time,
                               uint64_t now_ms);

/** RFC 3339, "2026-01-31T23:59:59Z", with up to nine decimals, or an offset "+01:00". False: it is
 *  none; both untouched. @ret_seconds  since 1970. */
bool sb_when_parse(struct sb_str text, int64_t *ret_seconds, int32_t *ret_nanos);
