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

/* Two or four digits. */
static bool take_digits(struct sb_str *text, size_t n, int min, int max, int *ret_value)
{
    int value = 0;
    if (text->len < n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (text->ptr[i] < '0' || text->ptr[i] > '9') {
            return false;
        }
        value = value * 10 + (text->ptr[i] - '0');
    }
    *text = sb_str_skip(*text, n);
    *ret_value = value;
    return value >= min && value <= max;
}

static bool take_char(struct sb_str *text, char c)
{
    if (text->len == 0 || text->ptr[0] != c) {
        return false;
    }
    *text = sb_str_skip(*text, 1);
    return true;
}

static bool take_fraction(struct sb_str *text, int32_t *ret_nanos)
{
    int32_t nanos = 0;
    int32_t unit = 100000000;
    size_t n = 0;
    *ret_nanos = 0;
    if (!take_char(text, '.')) {
        return true;
    }
    for (; text->len > 0 && text->ptr[0] >= '0' && text->ptr[0] <= '9'; n++) {
        nanos += (text->ptr[0] - '0') * unit;
        unit /= 10;
        *text = sb_str_skip(*text, 1);
    }
    *ret_nanos = nanos;
    return n >= 1 && n <= 9;
}

static bool take_offset(struct sb_str *text, int *ret_seconds)
{
    int hours = 0;
    int minutes = 0;
    *ret_seconds = 0;
    if (take_char(text, 'Z')) {
        return true;
    }
    int sign = take_char(text, '+') ? 1 : take_char(text, '-') ? -1 : 0;
    if (sign == 0 || !take_digits(text, 2, 0, 23, &hours) || !take_char(text, ':') ||
        !take_digits(text, 2, 0, 59, &minutes)) {
        return false;
    }
    *ret_seconds = sign * (hours * 3600 + minutes * 60);
    return true;
}

bool sb_when_parse(struct sb_str text, int64_t *ret_seconds, int32_t *ret_nanos)
{
    struct tm tm = {0};
    int year = 0;
    int month = 0;
    int32_t nanos = 0;
    int offset = 0;
    if (!take_digits(&text, 4, 1970, 9999, &year) || !take_char(&text, '-') ||
        !take_digits(&text, 2, 1, 12, &month) || !take_char(&text, '-') ||
        !take_digits(&text, 2, 1, 31, &tm.tm_mday) || !take_char(&text, 'T') ||
        !take_digits(&text, 2, 0, 23, &tm.tm_hour) || !take_char(&text, ':') ||
        !take_digits(&text, 2, 0, 59, &tm.tm_min) || !take_char(&text, ':') ||
        !take_digits(&text, 2, 0, 59, &tm.tm_sec) || !take_fraction(&text, &nanos) ||
        !take_offset(&text, &offset) || text.len != 0) {
        return false;
    }
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    int day = tm.tm_mday;
    time_t seconds = timegm(&tm);
    if (tm.tm_mday != day) { /* 31 February */
        return false;
    }
    *ret_seconds = (int64_t)seconds - offset;
    *ret_nanos = nanos;
    return true;
}
