#include "trail/record.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/json.h"
#include "base/json_scan.h"
#include "base/out.h"
#include "base/sha256.h"

#define AT(member) offsetof(struct sb_trail_record, member)
const struct sb_trail_part sb_trail_parts[SB_TRAIL_PARTS] = {
    {"actor", AT(actor)},
    {"tenant", AT(tenant)},
    {"action", AT(action)},
    {"outcome", AT(outcome)},
    {"sandbox_id", AT(sandbox_id)},
    {"exec_id", AT(exec_id)},
    {"policy_hash", AT(policy_hash)},
    {"detail", AT(detail)},
};

struct sb_str *sb_trail_part(struct sb_trail_record *record, size_t i)
{
    return (struct sb_str *)(void *)((char *)record + sb_trail_parts[i].offset);
}

struct sb_str sb_trail_part_of(const struct sb_trail_record *record, size_t i)
{
    return *(const struct sb_str *)(const void *)((const char *)record + sb_trail_parts[i].offset);
}

/* ---- the chain ---- */

static void add_number(struct sb_sha256 *sum, uint64_t number, size_t n_bytes)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < n_bytes; i++) {
        bytes[i] = (uint8_t)(number >> (8 * i));
    }
    sb_sha256_add(sum, bytes, n_bytes);
}

static void add_record(struct sb_sha256 *sum, const struct sb_trail_record *record)
{
    static const char magic[] = "aisbx audit 1\n";
    sb_sha256_add(sum, magic, sizeof magic - 1);
    add_number(sum, record->sequence, 8);
    add_number(sum, record->time_ms, 8);
    for (size_t i = 0; i < SB_TRAIL_PARTS; i++) {
        struct sb_str part = sb_trail_part_of(record, i);
        add_number(sum, part.len, 4);
        sb_sha256_add(sum, part.ptr, part.len);
    }
}

int sb_trail_hash(const uint8_t previous[SB_TRAIL_HASH_BYTES],
                  const struct sb_trail_record *record,
                  uint8_t ret_hash[SB_TRAIL_HASH_BYTES],
                  struct sb_err *err)
{
    struct sb_sha256 sum;
    for (size_t i = 0; i < SB_TRAIL_PARTS; i++) {
        if (sb_trail_part_of(record, i).len > SB_TRAIL_PART_MAX) {
            return sb_err_set(err, SB_INVALID, "audit: %s is longer than %d bytes",
                              sb_trail_parts[i].name, (int)SB_TRAIL_PART_MAX);
        }
    }
    sb_sha256_init(&sum);
    sb_sha256_add(&sum, previous, SB_TRAIL_HASH_BYTES);
    add_record(&sum, record);
    sb_sha256_end(&sum, ret_hash);
    return 0;
}

/* ---- text ---- */

void sb_trail_hex(const uint8_t hash[SB_TRAIL_HASH_BYTES], char ret_hex[SB_TRAIL_HEX_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < SB_TRAIL_HASH_BYTES; i++) {
        ret_hex[2 * i] = digits[hash[i] >> 4];
        ret_hex[2 * i + 1] = digits[hash[i] & 15];
    }
    ret_hex[SB_TRAIL_HEX_SIZE - 1] = '\0';
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int sb_trail_unhex(struct sb_str hex, uint8_t ret_hash[SB_TRAIL_HASH_BYTES])
{
    uint8_t hash[SB_TRAIL_HASH_BYTES];
    if (hex.len != SB_TRAIL_HEX_SIZE - 1) {
        return -1;
    }
    for (size_t i = 0; i < SB_TRAIL_HASH_BYTES; i++) {
        int high = digit_of(hex.ptr[2 * i]);
        int low = digit_of(hex.ptr[2 * i + 1]);
        if (high < 0 || low < 0) {
            return -1;
        }
        hash[i] = (uint8_t)(high << 4 | low);
    }
    memcpy(ret_hash, hash, sizeof hash);
    return 0;
}

const char *sb_trail_when(uint64_t time_ms, char out[SB_TRAIL_WHEN_SIZE])
{
    struct tm tm;
    time_t seconds = (time_t)(time_ms / 1000);
    char text[24] = "";
    out[0] = '\0';
    if (gmtime_r(&seconds, &tm) != NULL &&
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm) > 0) {
        (void)snprintf(out, SB_TRAIL_WHEN_SIZE, "%s.%03uZ", text, (unsigned)(time_ms % 1000));
    }
    return out;
}

/** What lies in the file may be anybody's: as it is only when it is one line of strict JSON. */
static bool is_json_line(struct sb_str text)
{
    static const struct sb_json_scan_limits limits = {SB_TRAIL_PART_MAX, 8, 4096};
    struct sb_err ignored;
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] < ' ') {
            return false;
        }
    }
    return text.len > 0 && sb_json_scan(text, &limits, &ignored) == 0;
}

void sb_trail_write_json(const struct sb_trail_record *record, struct sb_out *out)
{
    char when[SB_TRAIL_WHEN_SIZE];
    char hex[SB_TRAIL_HEX_SIZE];
    struct sb_json json = {.out = out};
    sb_json_open(&json, NULL, '{');
    sb_json_u64(&json, "sequence", record->sequence);
    sb_json_cstr(&json, "time", sb_trail_when(record->time_ms, when));
    for (size_t i = 0; i < SB_TRAIL_PARTS - 1; i++) {
        struct sb_str part = sb_trail_part_of(record, i);
        if (part.len > 0) {
            sb_json_str(&json, sb_trail_parts[i].name, part);
        }
    }
    if (is_json_line(record->detail)) {
        sb_json_key(&json, SB_STR("detail"));
        sb_out_write(out, record->detail.ptr, record->detail.len);
        json.needs_comma = true;
    } else if (record->detail.len > 0) {
        sb_json_str(&json, "detail", record->detail);
    }
    sb_trail_hex(record->hash, hex);
    sb_json_cstr(&json, "hash", hex);
    sb_json_close(&json, '}');
    sb_out_put(out, "\n");
}
