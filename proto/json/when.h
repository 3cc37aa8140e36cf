#pragma once
#include <stdint.h>

#define SB_WHEN_SIZE 40 /* bytes, with the NUL */

struct Google__Protobuf__Timestamp;

/** RFC 3339 in UTC, to the millisecond: "2026-01-31T23:59:59.123Z"; "" for NULL. Returns out. */
const char *sb_when_format(char out[SB_WHEN_SIZE], const struct Google__Protobuf__Timestamp *time);

/** How long ago, for people: "12s", "5m", "3h", "2d"; "-" for NULL. @now_ms  since 1970. */
const char *sb_when_format_age(char out[SB_WHEN_SIZE],
                               const struct Google__Protobuf__Timestamp *time,
                               uint64_t now_ms);
