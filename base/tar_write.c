#include <string.h>

#include "base/tar_format.h"

struct out {
    char *at;
    char *end;
    int is_full;
};

static void put(struct out *out, const char *text, size_t len)
{
    if (len > (size_t)(out->end - out->at)) {
        out->is_full = 1;
        return;
    }
    memcpy(out->at, text, len);
    out->at += len;
}

static void fill(struct out *out, const char *begin)
{
    size_t n = sb_tar_pad((uint64_t)(out->at - begin));
    if (n > (size_t)(out->end - out->at)) {
        out->is_full = 1;
        return;
    }
    memset(out->at, 0, n);
    out->at += n;
}

/* Decimal digits, at the end of a text of SB_TAR_DIGITS bytes. */
static const char *digits(char text[SB_TAR_DIGITS], uint64_t number)
{
    char *at = text + SB_TAR_DIGITS;
    *--at = '\0';
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return at;
}

static void put_number(struct out *out, uint64_t number)
{
    char text[SB_TAR_DIGITS];
    const char *from = digits(text, number);
    put(out, from, sb_tar_len(from));
}

/* ---- the extended header ---- */

/* "LEN KEY=VALUE\n", where LEN counts its own digits. */
static void record(struct out *out, const char *key, const char *value, size_t value_len)
{
    size_t rest = 1 + sb_tar_len(key) + 1 + value_len + 1;
    size_t len = rest + 1;
    char text[SB_TAR_DIGITS];
    while (rest + sb_tar_len(digits(text, len)) != len) {
        len = rest + sb_tar_len(digits(text, len));
    }
    put_number(out, len);
    put(out, " ", 1);
    put(out, key, sb_tar_len(key));
    put(out, "=", 1);
    put(out, value, value_len);
    put(out, "\n", 1);
}

static void record_number(struct out *out, const char *key, uint64_t number)
{
    char text[SB_TAR_DIGITS];
    const char *from = digits(text, number);
    record(out, key, from, sb_tar_len(from));
}

/* "1234.5", "-0.25": digits of the fraction without zeros at the end. */
static void record_time(struct out *out, int64_t s, uint32_t ns)
{
    char text[2 * SB_TAR_DIGITS];
    struct out time = {text, text + sizeof text, 0};
    uint32_t fraction = ns;
    uint64_t whole = (uint64_t)s;
    if (s < 0) {
        whole = ns == 0 ? 0 - (uint64_t)s : ~(uint64_t)s;
        fraction = ns == 0 ? 0 : 1000000000 - ns;
        put(&time, "-", 1);
    }
    put_number(&time, whole);
    if (fraction > 0) {
        char places[9];
        size_t n = sizeof places;
        for (size_t i = n; i-- > 0; fraction /= 10) {
            places[i] = (char)('0' + fraction % 10);
        }
        while (places[n - 1] == '0') {
            n--;
        }
        put(&time, ".", 1);
        put(&time, places, n);
    }
    record(out, "mtime", text, (size_t)(time.at - text));
}

static int is_ascii(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text >= 0x80) {
            return 0;
        }
    }
    return 1;
}

/* Names that are no UTF-8 go into the plain header, which has no opinion, if they fit. */
static int is_plain(const char *text, size_t size)
{
    return sb_tar_len(text) <= size && (is_ascii(text) || !sb_tar_is_utf8(text));
}

static void records(struct out *out, const struct sb_tar_entry *entry, uint64_t real_size)
{
    int is_sparse = real_size != UINT64_MAX;
    int has_path = !is_sparse && !is_plain(entry->path, SB_TAR_NAME);
    int has_link = !is_plain(entry->link, SB_TAR_NAME);
    if ((has_path || is_sparse || has_link) &&
        (!sb_tar_is_utf8(entry->path) || !sb_tar_is_utf8(entry->link))) {
        record(out, "hdrcharset", "BINARY", 6);
    }
    if (is_sparse) {
        record(out, "GNU.sparse.major", "1", 1);
        record(out, "GNU.sparse.minor", "0", 1);
        record(out, "GNU.sparse.name", entry->path, sb_tar_len(entry->path));
        record_number(out, "GNU.sparse.realsize", real_size);
    }
    if (has_path) {
        record(out, "path", entry->path, sb_tar_len(entry->path));
    }
    if (has_link) {
        record(out, "linkpath", entry->link, sb_tar_len(entry->link));
    }
    if (entry->size > SB_TAR_MAX_OCTAL12) {
        record_number(out, "size", entry->size);
    }
    if (entry->mtime_ns != 0 || entry->mtime_s < 0 ||
        (uint64_t)entry->mtime_s > SB_TAR_MAX_OCTAL12) {
        record_time(out, entry->mtime_s, entry->mtime_ns);
    }
}

/* ---- the plain header ---- */

static void octal(char *field, size_t size, uint64_t number)
{
    field[size - 1] = '\0';
    for (size_t i = size - 1; i-- > 0; number >>= 3) {
        field[i] = (char)('0' + (number & 7));
    }
}

static void name(char *field, const char *text)
{
    size_t len = sb_tar_len(text);
    memcpy(field, text, len < SB_TAR_NAME ? len : SB_TAR_NAME);
}

static void plain(struct out *out, const struct sb_tar_entry *entry, char type)
{
    struct sb_tar_header header;
    unsigned sum = 0;
    memset(&header, 0, sizeof header);
    name(header.name, entry->path);
    name(header.link, entry->link);
    octal(header.mode, sizeof header.mode, entry->mode);
    octal(header.uid, sizeof header.uid, entry->uid <= SB_TAR_MAX_OCTAL8 ? entry->uid : 0);
    octal(header.gid, sizeof header.gid, entry->gid <= SB_TAR_MAX_OCTAL8 ? entry->gid : 0);
    octal(header.size, sizeof header.size, entry->size <= SB_TAR_MAX_OCTAL12 ? entry->size : 0);
    octal(header.mtime, sizeof header.mtime,
          entry->mtime_s < 0 || (uint64_t)entry->mtime_s > SB_TAR_MAX_OCTAL12
              ? 0
              : (uint64_t)entry->mtime_s);
    header.type = type;
    memcpy(header.magic, SB_TAR_MAGIC, sizeof header.magic);
    memset(header.checksum, ' ', sizeof header.checksum);
    for (size_t i = 0; i < sizeof header; i++) {
        sum += ((const unsigned char *)&header)[i];
    }
    octal(header.checksum, 7, sum);
    put(out, (const char *)&header, sizeof header);
}

static const char types[] = {
    [SB_TAR_FILE] = '0', [SB_TAR_HARDLINK] = '1',     [SB_TAR_SYMLINK] = '2',
    [SB_TAR_CHAR] = '3', [SB_TAR_BLOCK_DEVICE] = '4', [SB_TAR_DIR] = '5',
    [SB_TAR_FIFO] = '6',
};

static uint64_t sum_of(const struct sb_tar_part *parts, size_t n_parts)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n_parts; i++) {
        sum += parts[i].len;
    }
    return sum;
}

size_t sb_tar_head(const struct sb_tar_entry *entry,
                   const struct sb_tar_part *parts,
                   size_t n_parts,
                   char *out)
{
    char map[SB_TAR_MAX_MAP];
    struct out all = {out, out + SB_TAR_MAX_HEAD, 0};
    struct sb_tar_entry main = *entry;
    struct sb_tar_entry extended = {.path = "PaxHeaders/0", .link = "", .mode = 0644};
    uint64_t real_size = UINT64_MAX;
    if (sb_tar_len(entry->path) >= SB_TAR_MAX_PATH || sb_tar_len(entry->link) >= SB_TAR_MAX_PATH) {
        return 0;
    }
    main.size = entry->kind == SB_TAR_FILE ? entry->size : 0;
    main.link = entry->kind == SB_TAR_SYMLINK || entry->kind == SB_TAR_HARDLINK ? entry->link : "";
    if (parts != NULL) {
        real_size = entry->size;
        main.size = sb_tar_map(parts, n_parts, map) + sum_of(parts, n_parts);
    }
    out += SB_TAR_BLOCK; /* what the extended header holds has a header, too */
    struct out body = {out, all.end, 0};
    records(&body, &main, real_size);
    extended.size = (uint64_t)(body.at - out);
    if (extended.size > 0) {
        plain(&all, &extended, 'x');
        fill(&body, out);
        all.at = body.at;
    }
    if (parts != NULL) {
        main.path = "GNUSparseFile.0/sparse";
    }
    plain(&all, &main, types[entry->kind]);
    return all.is_full || body.is_full ? 0 : (size_t)(all.at - (out - SB_TAR_BLOCK));
}

size_t sb_tar_map(const struct sb_tar_part *parts, size_t n_parts, char *out)
{
    struct out map = {out, out + SB_TAR_MAX_MAP, 0};
    put_number(&map, n_parts);
    put(&map, "\n", 1);
    for (size_t i = 0; i < n_parts; i++) {
        put_number(&map, parts[i].offset);
        put(&map, "\n", 1);
        put_number(&map, parts[i].len);
        put(&map, "\n", 1);
    }
    fill(&map, out);
    return map.is_full ? 0 : (size_t)(map.at - out);
}
