/* Extended headers: records "LEN KEY=VALUE\n" of pax, with those of GNU's sparse files. */
#include <string.h>

#include "base/tar_format.h"

static int is_key(const char *key, size_t len, const char *wanted)
{
    size_t i = 0;
    while (i < len && wanted[i] != '\0' && wanted[i] == key[i]) {
        i++;
    }
    return i == len && wanted[i] == '\0';
}

/* A whole number, or SB_TAR_NUMBER. */
static enum sb_tar_result decimal(const char *text, size_t len, uint64_t *ret_number)
{
    uint64_t number = 0;
    for (size_t i = 0; i < len; i++) {
        uint64_t digit = (uint64_t)(unsigned char)text[i] - '0';
        if (digit > 9 || number > (INT64_MAX - digit) / 10) {
            return SB_TAR_NUMBER;
        }
        number = number * 10 + digit;
    }
    *ret_number = number;
    return len == 0 ? SB_TAR_NUMBER : SB_TAR_OK;
}

/* ---- one kind of record each ---- */

static enum sb_tar_result
take_text(struct sb_tar_reader *reader, char *text, int *has, const char *value, size_t len)
{
    *has = 1;
    for (size_t i = 0; i < len; i++) {
        if (value[i] == '\0') {
            reader->problem = SB_TAR_NAME_HAS_NUL;
            return SB_TAR_OK;
        }
    }
    if (len >= SB_TAR_MAX_PATH) {
        reader->problem = SB_TAR_NAME_TOO_LONG;
        return SB_TAR_OK;
    }
    memcpy(text, value, len);
    text[len] = '\0';
    return SB_TAR_OK;
}

static enum sb_tar_result take_path(struct sb_tar_reader *reader, const char *value, size_t len)
{
    return take_text(reader, reader->path, &reader->has_path, value, len);
}

static enum sb_tar_result take_link(struct sb_tar_reader *reader, const char *value, size_t len)
{
    return take_text(reader, reader->link, &reader->has_link, value, len);
}

static enum sb_tar_result take_size(struct sb_tar_reader *reader, const char *value, size_t len)
{
    reader->has_size = 1;
    return decimal(value, len, &reader->size);
}

static enum sb_tar_result
take_real_size(struct sb_tar_reader *reader, const char *value, size_t len)
{
    reader->has_real_size = 1;
    return decimal(value, len, &reader->real_size);
}

/* "-12.5" is half a second after -13. */
static enum sb_tar_result take_time(struct sb_tar_reader *reader, const char *value, size_t len)
{
    int is_negative = len > 0 && value[0] == '-';
    size_t at = is_negative ? 1 : 0;
    size_t point = at;
    uint64_t whole = 0;
    uint32_t ns = 0;
    while (point < len && value[point] != '.') {
        point++;
    }
    if (decimal(value + at, point - at, &whole) != SB_TAR_OK) {
        return SB_TAR_NUMBER;
    }
    uint32_t weight = 100000000;
    for (size_t i = point + 1; i < len; i++, weight /= 10) {
        if (value[i] < '0' || value[i] > '9') {
            return SB_TAR_NUMBER;
        }
        ns += weight * (uint32_t)(value[i] - '0');
    }
    reader->has_mtime = 1;
    reader->mtime_s = is_negative ? -(int64_t)whole : (int64_t)whole;
    reader->mtime_ns = ns;
    if (is_negative && ns > 0) {
        reader->mtime_s--;
        reader->mtime_ns = 1000000000 - ns;
    }
    return SB_TAR_OK;
}

static enum sb_tar_result take_version(const char *value, size_t len, int *version)
{
    if (len != 1 || value[0] < '0' || value[0] > '9') {
        return SB_TAR_SPARSE;
    }
    *version = value[0] - '0';
    return SB_TAR_OK;
}

static enum sb_tar_result take_major(struct sb_tar_reader *reader, const char *value, size_t len)
{
    return take_version(value, len, &reader->sparse_major);
}

static enum sb_tar_result take_minor(struct sb_tar_reader *reader, const char *value, size_t len)
{
    return take_version(value, len, &reader->sparse_minor);
}

/* Format 0.0: offset and length in records of their own, by turns. */
static enum sb_tar_result take_offset(struct sb_tar_reader *reader, const char *value, size_t len)
{
    reader->sparse_major = 0;
    return decimal(value, len, &reader->map_value);
}

static enum sb_tar_result take_length(struct sb_tar_reader *reader, const char *value, size_t len)
{
    uint64_t number = 0;
    enum sb_tar_result result = decimal(value, len, &number);
    return result != SB_TAR_OK ? result : sb_tar_add_part(reader, reader->map_value, number);
}

/* Format 0.1: "0,512,4096,512" */
static enum sb_tar_result take_map(struct sb_tar_reader *reader, const char *value, size_t len)
{
    uint64_t numbers[2] = {0, 0};
    size_t n = 0;
    reader->sparse_major = 0;
    reader->n_parts = 0;
    for (size_t at = 0; at < len; at++) {
        size_t end = at;
        while (end < len && value[end] != ',') {
            end++;
        }
        if (decimal(value + at, end - at, &numbers[n % 2]) != SB_TAR_OK ||
            (n % 2 == 1 && sb_tar_add_part(reader, numbers[0], numbers[1]) != SB_TAR_OK)) {
            return SB_TAR_SPARSE;
        }
        n++;
        at = end;
    }
    return n % 2 == 0 ? SB_TAR_OK : SB_TAR_SPARSE;
}

static const struct {
    const char *key;
    enum sb_tar_result (*take)(struct sb_tar_reader *reader, const char *value, size_t len);
} keys[] = {
    {"path", take_path},
    {"linkpath", take_link},
    {"size", take_size},
    {"mtime", take_time},
    {"GNU.sparse.name", take_path},
    {"GNU.sparse.realsize", take_real_size},
    {"GNU.sparse.size", take_real_size},
    {"GNU.sparse.major", take_major},
    {"GNU.sparse.minor", take_minor},
    {"GNU.sparse.offset", take_offset},
    {"GNU.sparse.numbytes", take_length},
    {"GNU.sparse.map", take_map},
};

static enum sb_tar_result take(struct sb_tar_reader *reader, const char *text, size_t len)
{
    size_t key_len = 0;
    while (key_len < len && text[key_len] != '=') {
        key_len++;
    }
    if (key_len == len) {
        return SB_TAR_META;
    }
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (is_key(text, key_len, keys[i].key)) {
            return keys[i].take(reader, text + key_len + 1, len - key_len - 1);
        }
    }
    return SB_TAR_OK; /* owners, comments, attributes: not ours */
}

enum sb_tar_result sb_tar_meta_read(struct sb_tar_reader *reader)
{
    const char *at = reader->meta;
    const char *end = at + reader->meta_len;
    while (at < end) {
        uint64_t len = 0;
        const char *blank = at;
        while (blank < end && *blank != ' ') {
            blank++;
        }
        if (blank == end || decimal(at, (size_t)(blank - at), &len) != SB_TAR_OK ||
            len > (uint64_t)(end - at) || len < (uint64_t)(blank - at) + 2 || at[len - 1] != '\n') {
            return SB_TAR_META;
        }
        enum sb_tar_result result = take(reader, blank + 1, (size_t)(at + len - 1 - (blank + 1)));
        if (result != SB_TAR_OK) {
            return result;
        }
        at += len;
    }
    return SB_TAR_OK;
}
