#include "base/num.h"

#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"

#define FRACTION_DIGITS 6U
#define ARRAY_LEN(a)    (sizeof(a) / sizeof(a)[0])

typedef const char *format_fn(char out[SB_NUM_TEXT_SIZE], uint64_t value);

struct unit {
    const char *suffix;
    uint64_t size;
};

/* Largest first; the formatters rely on it, and so does "1h30m". */
static const struct unit byte_units[] = {
    {"TiB", 1ULL << 40}, {"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}, {"B", 1},
};
static const struct unit milli_units[] = {
    {"h", 3600000},
    {"m", 60000},
    {"s", 1000},
    {"ms", 1},
};

/* Digits with an optional fraction: whole + fraction / scale. */
struct decimal {
    uint64_t whole;
    uint64_t fraction;
    uint64_t scale; /* 1 when there is no fraction, at most 10^FRACTION_DIGITS */
    bool is_over;   /* more than 64 bits, and so more than any maximum */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char lower(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return (char)(c - 'A' + 'a');
    }
    return c;
}

/* Takes digits off the front. False when there are none. *is_over is set when the number does not
 * fit. */
static bool take_digits(struct sb_str *rest, uint64_t *ret_value, bool *is_over)
{
    uint64_t value = 0;
    struct sb_str left = *rest;
    while (left.len > 0 && is_digit(left.ptr[0])) {
        if (__builtin_mul_overflow(value, 10U, &value) ||
            __builtin_add_overflow(value, (uint64_t)(left.ptr[0] - '0'), &value)) {
            *is_over = true;
        }
        left = sb_str_skip(left, 1);
    }
    if (left.len == rest->len) {
        return false;
    }
    *rest = left;
    *ret_value = value;
    return true;
}

static bool take_decimal(struct sb_str *rest, struct decimal *ret_decimal)
{
    struct decimal d = {.scale = 1};
    if (!take_digits(rest, &d.whole, &d.is_over)) {
        return false;
    }
    if (sb_str_starts_with(*rest, SB_STR("."))) {
        *rest = sb_str_skip(*rest, 1);
        size_t before = rest->len;
        if (!take_digits(rest, &d.fraction, &d.is_over) || before - rest->len > FRACTION_DIGITS) {
            return false;
        }
        for (size_t i = rest->len; i < before; i++) {
            d.scale *= 10;
        }
    }
    *ret_decimal = d;
    return true;
}

/* d times unit; *ret_exact says whether nothing was lost. False when it does not fit, and then
 * *ret_value has no meaning. fraction < 10^6 and unit <= 2^40 keep their product in 64 bits. */
static bool scale(struct decimal d, uint64_t unit, uint64_t *ret_value, bool *ret_exact)
{
    uint64_t part = d.fraction * unit;
    *ret_exact = part % d.scale == 0;
    return !d.is_over && !__builtin_mul_overflow(d.whole, unit, ret_value) &&
           !__builtin_add_overflow(*ret_value, part / d.scale, ret_value);
}

static int refuse(struct sb_str text, const char *form, struct sb_err *err)
{
    struct sb_str shown = sb_str_head(text, 64);
    return sb_err_set(err, SB_INVALID, "\"%.*s\" is not %s", SB_STR_ARG(shown), form);
}

static const char *format_plain(char out[SB_NUM_TEXT_SIZE], uint64_t value)
{
    (void)snprintf(out, SB_NUM_TEXT_SIZE, "%llu", (unsigned long long)value);
    return out;
}

/* What the four parsers end with: limits are checked and named in the caller's unit. */
static int finish(struct sb_str text,
                  const uint64_t limits[2],
                  format_fn *format,
                  uint64_t value,
                  bool is_over,
                  struct sb_err *err)
{
    char limit[SB_NUM_TEXT_SIZE];
    struct sb_str shown = sb_str_head(text, 64);
    if (!is_over && value < limits[0]) {
        return sb_err_set(err, SB_INVALID, "\"%.*s\" is too small; the minimum is %s",
                          SB_STR_ARG(shown), format(limit, limits[0]));
    }
    if (is_over || value > limits[1]) {
        return sb_err_set(err, SB_INVALID, "\"%.*s\" is too large; the maximum is %s",
                          SB_STR_ARG(shown), format(limit, limits[1]));
    }
    return 0;
}

int sb_num_u64(
    struct sb_str text, uint64_t min, uint64_t max, uint64_t *ret_value, struct sb_err *err)
{
    struct sb_str rest = text;
    uint64_t value = 0;
    bool is_over = false;
    if (!take_digits(&rest, &value, &is_over) || rest.len > 0) {
        return refuse(text, "a whole number, such as 42", err);
    }
    if (finish(text, (const uint64_t[2]){min, max}, format_plain, value, is_over, err) < 0) {
        return -1;
    }
    *ret_value = value;
    return 0;
}

/* Size of the unit that "k", "KB", "KiB", "b", ... names; 0 for other suffixes. */
static uint64_t byte_unit(struct sb_str suffix)
{
    char text[4] = "";
    if (suffix.len == 0) {
        return 1;
    }
    if (suffix.len >= sizeof text || sb_str_has_nul(suffix)) {
        return 0;
    }
    for (size_t i = 0; i < suffix.len; i++) {
        text[i] = lower(suffix.ptr[i]);
    }
    if (strcmp(text, "b") == 0) {
        return 1;
    }
    bool has_known_tail =
        text[1] == '\0' || strcmp(text + 1, "b") == 0 || strcmp(text + 1, "ib") == 0;
    for (size_t i = 0; has_known_tail && i < ARRAY_LEN(byte_units) - 1; i++) {
        if (text[0] == lower(byte_units[i].suffix[0])) {
            return byte_units[i].size;
        }
    }
    return 0;
}

int sb_num_bytes(
    struct sb_str text, uint64_t min, uint64_t max, uint64_t *ret_value, struct sb_err *err)
{
    static const char form[] = "a size; write bytes or a unit of 1024: 1048576, 64k, 512MiB, 1.5g";
    struct sb_str rest = text;
    struct decimal d;
    uint64_t value = 0;
    bool is_exact = false;
    if (!take_decimal(&rest, &d)) {
        return refuse(text, form, err);
    }
    uint64_t unit = byte_unit(rest);
    bool is_split_byte = unit == 1 && d.scale > 1;
    if (unit == 0 || is_split_byte) {
        return refuse(text, form, err);
    }
    bool is_over = !scale(d, unit, &value, &is_exact);
    if (finish(text, (const uint64_t[2]){min, max}, sb_num_format_bytes, value, is_over, err) < 0) {
        return -1;
    }
    *ret_value = value;
    return 0;
}

/* Takes one "1.5h" off the front; its unit must be smaller than the last one, whose row is
 * *row - 1. *is_over is set when the sum does not fit. */
static bool take_duration(struct sb_str *rest, size_t *row, uint64_t *total, bool *is_over)
{
    uint64_t part = 0;
    struct decimal d;
    bool is_exact = false;
    if (!take_decimal(rest, &d)) {
        return false;
    }
    size_t n = 0;
    while (n < rest->len && !is_digit(rest->ptr[n])) {
        n++;
    }
    struct sb_str suffix = sb_str_head(*rest, n);
    *rest = sb_str_skip(*rest, n);
    while (*row < ARRAY_LEN(milli_units) &&
           !sb_str_eq(suffix, sb_str_from(milli_units[*row].suffix))) {
        (*row)++;
    }
    if (*row == ARRAY_LEN(milli_units) || (d.scale > 1 && rest->len > 0)) {
        return false;
    }
    *is_over = *is_over || !scale(d, milli_units[(*row)++].size, &part, &is_exact) ||
               __builtin_add_overflow(*total, part, total);
    return *is_over || is_exact;
}

int sb_num_millis(
    struct sb_str text, uint64_t min, uint64_t max, uint64_t *ret_value, struct sb_err *err)
{
    static const char form[] = "a duration; write a unit (ms, s, m, h): 250ms, 30s, 1h30m";
    struct sb_str rest = text;
    uint64_t total = 0;
    size_t row = 0;
    bool is_over = false;
    do {
        if (!take_duration(&rest, &row, &total, &is_over)) {
            return refuse(text, form, err);
        }
    } while (rest.len > 0);
    if (finish(text, (const uint64_t[2]){min, max}, sb_num_format_millis, total, is_over, err) <
        0) {
        return -1;
    }
    *ret_value = total;
    return 0;
}

int sb_num_cpu(
    struct sb_str text, uint64_t min, uint64_t max, uint64_t *ret_value, struct sb_err *err)
{
    struct sb_str rest = text;
    struct decimal d;
    uint64_t value = 0;
    bool is_exact = false;
    bool is_form = take_decimal(&rest, &d) && rest.len == 0;
    bool is_over = is_form && !scale(d, 1000, &value, &is_exact);
    if (!is_form || (!is_over && !is_exact)) {
        return refuse(text, "a number of CPUs; write up to three decimals: 2, 0.5, 1.25", err);
    }
    if (finish(text, (const uint64_t[2]){min, max}, sb_num_format_cpu, value, is_over, err) < 0) {
        return -1;
    }
    *ret_value = value;
    return 0;
}

const char *sb_num_format_bytes(char out[SB_NUM_TEXT_SIZE], uint64_t bytes)
{
    size_t row = 0;
    while (bytes % byte_units[row].size != 0) {
        row++;
    }
    if (bytes == 0) {
        row = ARRAY_LEN(byte_units) - 1;
    }
    (void)snprintf(out, SB_NUM_TEXT_SIZE, "%llu%s",
                   (unsigned long long)(bytes / byte_units[row].size), byte_units[row].suffix);
    return out;
}

const char *sb_num_format_bytes_short(char out[SB_NUM_TEXT_SIZE], uint64_t bytes)
{
    size_t row = 0;
    while (row < ARRAY_LEN(byte_units) - 1 && bytes < byte_units[row].size) {
        row++;
    }
    uint64_t size = byte_units[row].size;
    uint64_t tenths = bytes % size * 10 / size; /* below 10 * 2^40 */
    if (tenths == 0) {
        (void)snprintf(out, SB_NUM_TEXT_SIZE, "%llu%s", (unsigned long long)(bytes / size),
                       byte_units[row].suffix);
    } else {
        (void)snprintf(out, SB_NUM_TEXT_SIZE, "%llu.%llu%s", (unsigned long long)(bytes / size),
                       (unsigned long long)tenths, byte_units[row].suffix);
    }
    return out;
}

const char *sb_num_format_millis(char out[SB_NUM_TEXT_SIZE], uint64_t millis)
{
    if (millis == 0) {
        (void)snprintf(out, SB_NUM_TEXT_SIZE, "0s");
        return out;
    }
    size_t len = 0;
    uint64_t left = millis;
    for (size_t i = 0; i < ARRAY_LEN(milli_units); i++) {
        uint64_t count = left / milli_units[i].size;
        left %= milli_units[i].size;
        if (count > 0) {
            /* The longest is "5124095576030h25m51s615ms". */
            len += (size_t)snprintf(out + len, SB_NUM_TEXT_SIZE - len, "%llu%s",
                                    (unsigned long long)count, milli_units[i].suffix);
        }
    }
    return out;
}

const char *sb_num_format_cpu(char out[SB_NUM_TEXT_SIZE], uint64_t millicores)
{
    (void)snprintf(out, SB_NUM_TEXT_SIZE, "%llu.%03u", (unsigned long long)(millicores / 1000),
                   (unsigned)(millicores % 1000));
    size_t len = strlen(out);
    while (out[len - 1] == '0') {
        out[--len] = '\0';
    }
    if (out[len - 1] == '.') {
        out[len - 1] = '\0';
    }
    return out;
}
