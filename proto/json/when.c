#include "proto/json/when.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "google/protobuf/timestamp.pb-c.h"

const char *sb_when_format(char out[SB_WHEN_SIZE], const struct Google__Protobuf__Timestamp *time)
{
    struct tm tm;
    out[0] = '\0';
    if (time == NULL || gmtime_r(&(time_t){time->seconds}, &tm) == NULL) {
        return out;
    }
    size_t len = strftime(out, SB_WHEN_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(out + len, SB_WHEN_SIZE - len, ".%03dZ", (int)(time->nanos / 1000000) % 1000);
    return out;
}

const char *sb_when_format_age(char out[SB_WHEN_SIZE],
                               const struct Google__Protobuf__Timestamp *time,
                               uint64_t now_ms)
{
    static const struct {
        uint64_t seconds;
        char unit;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    if (time == NULL) {
        return "-";
    }
    int64_t age = (int64_t)(now_ms / 1000) - time->seconds;
    uint64_t seconds = age < 0 ? 0 : (uint64_t)age;
    size_t i = 0;
    while (i < 3 && seconds < units[i].seconds) {
        i++;
    }
    (void)snprintf(out, SB_WHEN_SIZE, "%" PRIu64 "%c", seconds / units[i].seconds, units[i].unit);
    return out;
}
